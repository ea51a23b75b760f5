import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Bytes } from '../../src/base/bytes.ts';
import { writeContent, writeToStream } from '../../src/targets/stream.ts';

async function* pieces(count: number, onPiece: (i: number) => void = () => undefined): AsyncGenerator<Bytes> {
  for (let i = 0; i < count; i++) {
    onPiece(i);
    yield Buffer.alloc(64 * 1024, i);
  }
}

test('bytes arrive complete and in order, and the stream stays open', async () => {
  const received: Buffer[] = [];
  const output = new Writable({ write: (chunk: Buffer, _encoding, done) => {
    received.push(chunk);
    setImmediate(done);
  } });
  expect(await writeContent(pieces(20), output)).toBe('complete');
  const all = Buffer.concat(received);
  expect(all.length).toBe(20 * 64 * 1024);
  expect(all.every((byte, i) => byte === i >> 16)).toBe(true);
  expect([output.writableEnded, output.destroyed, output.listenerCount('error'), output.listenerCount('close')]).toEqual([false, false, 0, 0]);
});

test('nothing is read ahead of a reader that does not read', async () => {
  let produced = 0;
  const output = new PassThrough({ highWaterMark: 64 * 1024 });
  const writing = writeContent(pieces(100, () => { produced++; }), output);
  for (let i = 0; i < 50; i++) await new Promise(resolve => setImmediate(resolve));
  expect(produced).toBeLessThan(6);
  output.resume();
  expect(await writing).toBe('complete');
  expect(produced).toBe(100);
});

test('a reader that has enough ends it without an error, and soon', async () => {
  const child = spawn('head', ['-c', '100000'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let produced = 0;
  const finished = once(child.stdout.resume(), 'close');
  expect(await writeContent(pieces(100_000, () => { produced++; }), child.stdin)).toBe('reader-gone');
  expect(produced).toBeLessThan(100);
  await finished;
});

test.each([['was closed before', true], ['is closed in between', false]])('a stream that %s is a reader that is gone', async (_what, isBefore) => {
  const output = new PassThrough();
  if (isBefore) {
    output.destroy();
    await once(output, 'close');
  } else {
    setImmediate(() => output.destroy());
  }
  expect(await writeContent(pieces(100), output)).toBe('reader-gone');
});

test.each([['ENOSPC', -28, 'NO_SPACE'], ['EIO', -5, 'TARGET_FAILED']])('the failure %s of the stream is an error', async (code, errno, expected) => {
  const failure = Object.assign(new Error(code), { code, errno, syscall: 'write' });
  const output = new Writable({ write: (_chunk, _encoding, done) => done(failure) });
  await expect(writeContent(pieces(3), output)).rejects.toMatchObject({ code: expected, cause: failure });
});

test('a failure without a system error is an error too', async () => {
  const output = new Writable({ write: (_chunk, _encoding, done) => done(new Error('broken')) });
  await expect(writeContent(pieces(3), output)).rejects.toMatchObject({ code: 'TARGET_FAILED' });
});

test('what the producer throws comes out unchanged', async () => {
  const failure = new Error('cannot read');
  await expect(writeToStream(new PassThrough(), () => Promise.reject(failure))).rejects.toBe(failure);
});

test('an aborted signal ends a write that waits for its reader', async () => {
  const controller = new AbortController();
  const output = new PassThrough({ highWaterMark: 1 });
  const writing = writeContent(pieces(10), output, { signal: controller.signal });
  setImmediate(() => controller.abort());
  await expect(writing).rejects.toMatchObject({ code: 'CANCELLED' });
});
