/** Targets that are one archive: `dump` of a directory. */
import type { ArchiveSink, ArchiveWriter } from './archive-writer.ts';
import { createTarWriter } from './tar-writer.ts';
import { createZipWriter } from './zip-writer.ts';

export { type ArchiveSink, type ArchiveWriter, createTarWriter, createZipWriter };

export const ARCHIVE_FORMATS = ['tar', 'zip'] as const;
export type ArchiveFormat = (typeof ARCHIVE_FORMATS)[number];

export function createArchiveWriter(format: ArchiveFormat, sink: ArchiveSink): ArchiveWriter {
  return format === 'tar' ? createTarWriter(sink) : createZipWriter(sink);
}
