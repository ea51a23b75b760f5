import type { Result } from '../outcome.ts';
import { programVersion } from '../program-version.ts';
import type { RunVerb } from '../verb.ts';

export const runVersion: RunVerb<Record<never, never>> = async ({ globals, terminal }): Promise<Result> => {
  const { version: node, platform, arch } = process;
  const version = programVersion();
  terminal.out(globals.json
    ? JSON.stringify({ message_type: 'version', version, node, os: platform, arch })
    : `snap ${version} on Node ${node}, ${platform} ${arch}`);
  return 'complete';
};
