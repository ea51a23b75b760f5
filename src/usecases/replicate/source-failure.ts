/** Keeps errors of the source apart from those of a target, where one piece of work touches both. */

/** An error of the source, met while something is done for a target: it must not be taken for one of the target. */
export class SourceFailure extends Error {
  constructor(cause: unknown) {
    super('The source failed', { cause });
  }
}

/** @throws SourceFailure */
export async function fromSource<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof SourceFailure ? error : new SourceFailure(error);
  }
}
