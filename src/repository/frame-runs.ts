/** Which frames of a pack are read together (pure): near ones in one request, so that a disk seeks and a server is asked less often. */
import { MiB } from '../base/units.ts';

/** What lies between wanted frames is read with them when it is at most this. */
const MAX_GAP_BYTES = MiB / 2;

interface FramePlace {
  readonly offset: number;
  readonly storedLength: number;
}

/** `frames` in the order of their offsets; a run is longer than `maxReadBytes` only when it is one frame. */
export function frameRuns<Frame extends FramePlace>(frames: readonly Frame[], maxReadBytes: number): Frame[][] {
  const runs: Frame[][] = [];
  let start = 0;
  let end = 0;
  for (const frame of frames) {
    const frameEnd = frame.offset + frame.storedLength;
    if (runs.length > 0 && frame.offset <= end + MAX_GAP_BYTES && frameEnd - start <= maxReadBytes) runs.at(-1)!.push(frame);
    else {
      runs.push([frame]);
      start = frame.offset;
    }
    end = frameEnd;
  }
  return runs;
}
