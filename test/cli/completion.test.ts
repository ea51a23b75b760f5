import { execFileSync, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { SHELLS, completionScript } from '../../src/cli/completion.ts';
import { spelling } from '../../src/cli/flag.ts';
import { TOPICS, topicText } from '../../src/cli/help-topics.ts';
import { VERBS } from '../../src/cli/verbs.ts';

const topics = TOPICS.map(topic => topic.name);
const isThere = (shell: string): boolean => spawnSync(shell, ['--version']).error === undefined;

test.each(SHELLS)('the %s script knows every verb and every flag', shell => {
  const script = completionScript(shell, VERBS, topics);
  for (const verb of VERBS) {
    for (const word of [...verb.name.split(' '), ...verb.aliases]) expect(script).toMatch(new RegExp(`\\b${word}\\b`));
    for (const each of Object.values(verb.flags)) {
      const written = shell === 'fish' ? `-l ${spelling(each).slice(2)}` : spelling(each);
      if (each.isFileOnly === true) expect(script).not.toContain(written);
      else expect(script).toContain(written);
    }
  }
});

test.each(SHELLS.filter(isThere))('%s accepts its script', shell => {
  const { status, stderr } = spawnSync(shell, ['-n'], { input: completionScript(shell, VERBS, topics), encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

function completeInBash(...words: string[]): string[] {
  const script = `${completionScript('bash', VERBS, topics)}
COMP_WORDS=(snap ${words.map(word => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _snap; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n').filter(line => line !== '');
}

test('bash completes verbs, flags, words of flags, members of groups and topics', () => {
  expect(completeInBash('ba')).toEqual(['backup']);
  expect(completeInBash('-r', '/repo', 'snapsh')).toEqual(['snapshots']);
  expect(completeInBash('backup', '--exclude-c')).toEqual(['--exclude-caches']);
  expect(completeInBash('restore', 'latest', '--overwrite', 'if')).toEqual(['if-changed', 'if-newer']);
  expect(completeInBash('key', 'p')).toEqual(['passwd']);
  expect(completeInBash('forget', '--keep-within-h')).toEqual(['--keep-within-hourly']);
  expect(completeInBash('key', 'add', '--new-key')).toEqual(['--new-key-file']);
  expect(completeInBash('help', 'exit')).toEqual(['exit-codes']);
  expect(completeInBash('completion', 'f')).toEqual(['fish']);
});

test('every topic has a text that fits a terminal', () => {
  for (const { name } of TOPICS) {
    const text = topicText(name, VERBS)!;
    expect(text.length).toBeGreaterThan(100);
    expect(Math.max(...text.split('\n').map(line => line.length)), name).toBeLessThanOrEqual(128);
  }
  expect(topicText('environment', VERBS)).toContain('SNAP_CACHE_DIR');
  expect(topicText('exit-codes', VERBS)).toMatch(/130 {2}interrupted/);
});
