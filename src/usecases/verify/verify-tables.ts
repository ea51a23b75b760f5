/**
 * Level 2 of a check for one pack: the tables at both ends, in two small reads, compared with each other, with what the index
 * says, and with the size of the object (repository design, section 16.2). Level 4 reads them with the data and judges here.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { equalBytes, toHex } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import { packContent } from '../../format/index-segment.ts';
import { packName } from '../../format/object-names.ts';
import { checkSameTables, findDuplicateChunks, type PackTable } from '../../format/pack-table.ts';
import { isUnreadable } from '../../repository/damage.ts';
import { readBackTable, readFrontTable, type StoredPack } from '../../repository/pack-tables.ts';
import { digestOf, type PackDigests } from './verify-index.ts';
import type { VerifyRun } from './verify-run.ts';

/** A table, or why it cannot be read. */
export type TableResult = PackTable | SnapError;

/** @throws every error that does not say that the table is damaged or of a newer format; INVALID_RANGE, since the pack is too short */
export async function attemptTable(read: () => Promise<PackTable>): Promise<TableResult> {
  try {
    return await read();
  } catch (error) {
    if (!isUnreadable(error) || error.code === 'INVALID_RANGE') throw error;
    return error;
  }
}

export class TableCheck {
  readonly #run: Pick<VerifyRun, 'repository' | 'damage' | 'findings'>;
  readonly #digests: PackDigests;

  constructor(run: Pick<VerifyRun, 'repository' | 'damage' | 'findings'>, digests: PackDigests) {
    this.#run = run;
    this.#digests = digests;
  }

  /** Whether nothing is wrong. @throws OBJECT_NOT_FOUND, INVALID_RANGE, UNSUPPORTED_FORMAT */
  async run(pack: StoredPack, options: CallOptions): Promise<boolean> {
    const { repository } = this.#run;
    const front = await attemptTable(() => readFrontTable(repository, pack, options));
    const back = await attemptTable(() => readBackTable(repository, pack, options));
    const table = this.either(pack, front, back);
    if (table === undefined) return false;
    const areSame = !(front instanceof SnapError) && !(back instanceof SnapError) && this.compareEnds(pack, front, back);
    return this.compareIndex(pack, table) && areSame;
  }

  /**
   * A table to go on with. One flipped bit of one end can make it look like one of a newer version; when the other end does not
   * open either, it may be one.
   * @throws UNSUPPORTED_FORMAT
   */
  either(pack: StoredPack, front: TableResult, back: TableResult): PackTable | undefined {
    if (!(front instanceof SnapError)) {
      if (back instanceof SnapError) this.#add(pack, `The back table of the pack is damaged: ${back.message}`);
      return front;
    }
    if (!(back instanceof SnapError)) {
      this.#add(pack, `The front table of the pack is damaged: ${front.message}`);
      return back;
    }
    if (front.kind === 'unsupported') throw front;
    if (back.kind === 'unsupported') throw back;
    this.packIsBad(pack, 'Both tables of the pack are damaged');
    return undefined;
  }

  /** Whether the index says the same. A pack that holds a chunk twice is unusual, but whole. */
  compareIndex(pack: StoredPack, table: PackTable): boolean {
    const { kernel } = this.#run.repository;
    const indexed = this.#digests.get(pack.id);
    const isSame = indexed === undefined || equalBytes(indexed, digestOf(kernel, packContent(table)));
    if (!isSame) this.packIsBad(pack, 'The index does not say of the pack what its own table says');
    for (const id of findDuplicateChunks(table)) this.#run.findings.warn('pack', packName(pack.type, pack.id), `The pack holds chunk ${toHex(id)} twice`);
    return isSame;
  }

  compareEnds(pack: StoredPack, front: PackTable, back: PackTable): boolean {
    try {
      checkSameTables(front, back);
      return true;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#add(pack, 'The tables at both ends of the pack say different things');
      return false;
    }
  }

  /** Whatever needs something of the pack is hit. */
  packIsBad(pack: StoredPack, message: string): void {
    const { repository, damage } = this.#run;
    const number = repository.cache.chunks.packNumber(pack.id);
    if (number === undefined) this.#add(pack, message);
    else damage.packIsBad(number, packName(pack.type, pack.id), message);
  }

  #add({ type, id }: StoredPack, message: string): void {
    this.#run.findings.damage('pack', packName(type, id), message);
  }
}
