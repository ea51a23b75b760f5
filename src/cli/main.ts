#!/usr/bin/env node
/** Start of the program. Nothing heavy is imported before it is needed, so that small questions are answered at once. */
import { programVersion } from './program-version.ts';

const words = process.argv.slice(2);
const asksVersion = words.length === 1 && ['version', '--version', '-V'].includes(words[0]!);

if (asksVersion) {
  process.stdout.write(`snap ${programVersion()}\n`);
} else {
  // The S3 client advises everybody on the Node version of its own later releases; which release runs here is decided by snap.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const { run } = await import('./run.ts');
  process.exitCode = await run(words, process);
}
