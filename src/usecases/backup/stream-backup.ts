/** Backs up one stream of bytes (standard input, the output of a command) as a single file. */
import { concatBytes, utf8 } from '../../base/bytes.ts';
import type { Component } from '../../format/snapshot.ts';
import type { StreamSource } from '../../sources/source.ts';
import type { BackupRun } from './backup-run.ts';
import { ContentIngest } from './content-ingest.ts';

/** The root of the component is the file itself. */
export async function backupStream({ session, engine, options, tally, counters, context, repository }: BackupRun, source: StreamSource): Promise<Component> {
  const ingest = new ContentIngest<never>(engine, session.trees, () => undefined, () => session.assembler.backPressure(), { signal: context.signal });
  let bytesDone = 0;
  const { content, packs, claimed } = await ingest.addStream(source.content({ signal: context.signal }), bytes => {
    bytesDone += bytes;
    counters.bytesDone += bytes;
  });
  await engine.end();
  counters.bytesDone -= bytesDone; // the tally counts it again, as a whole file
  tally.file(utf8('/'), source.name, 'new', content.sizeBytes);
  session.reference(packs);
  session.referenceClaimed(claimed);
  await session.flush();
  const time = repository.clock.nowPair();
  return {
    name: new TextDecoder().decode(source.name), isConfiguration: options.kind === 'config', sourcePath: concatBytes([utf8('/'), source.name]),
    root: { name: new Uint8Array(0), type: 'file', mode: 0o600, mtime: time, ctime: time, flags: 0, ...content },
  };
}
