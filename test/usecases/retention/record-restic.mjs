/**
 * Records what restic's own retention keeps, as the table that `keep-rules.test.ts` compares with. Needs `restic` in the path and
 * takes a minute: node test/usecases/retention/record-restic.mjs > test/usecases/retention/restic-cases.json
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ZONE = 'Europe/Berlin';

/** Local times with tags: turns of years by calendar and by ISO weeks, a leap day, both changes of the clock, gaps, crowds. */
const SNAPSHOTS = [
  ['2020-02-29 12:00:00', ''], ['2020-02-29 12:20:00', ''], ['2021-06-15 08:30:00', 'a'],
  ['2022-12-30 23:10:00', ''], ['2022-12-31 23:59:59', ''], ['2023-01-01 00:00:00', 'a,b'], ['2023-01-01 23:00:00', ''], ['2023-01-02 00:00:01', ''],
  ['2023-03-25 12:00:00', ''], ['2023-03-26 01:30:00', ''], ['2023-03-26 03:30:00', 'b'], ['2023-03-26 04:10:00', ''],
  ['2023-10-29 01:15:00', ''], ['2023-10-29 02:15:00', ''], ['2023-10-29 03:15:00', ''], ['2023-10-30 03:15:00', ''],
  ['2023-12-31 22:00:00', 'a'], ['2024-01-01 00:30:00', ''], ['2024-01-31 12:00:00', ''], ['2024-02-28 12:00:00', ''], ['2024-02-29 12:00:00', ''], ['2024-03-01 12:00:00', ''],
  ['2024-03-31 01:59:00', ''], ['2024-03-31 03:01:00', ''], ['2024-05-31 10:00:00', 'b'], ['2024-06-30 10:00:00', ''], ['2024-07-31 10:00:00', ''],
  ['2024-12-29 20:00:00', ''], ['2024-12-30 06:00:00', ''], ['2024-12-31 06:00:00', ''], ['2025-01-05 06:00:00', ''], ['2025-01-06 06:00:00', ''],
  ...[3, 4, 5, 6, 7, 8, 9].flatMap(day => [[`2025-05-0${day} 08:00:00`, ''], [`2025-05-0${day} 20:00:00`, day === 7 ? 'a' : '']]),
  ...[0, 5, 10, 20, 40, 59].map(minute => [`2025-05-31 22:${String(minute).padStart(2, '0')}:00`, '']),
  ['2025-05-31 23:00:00', ''], ['2025-05-31 23:30:00', 'b'], ['2025-06-01 00:00:00', ''], ['2025-06-01 00:00:01', ''],
];

const RULES = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'];
const CASES = [
  ...RULES.flatMap(rule => [1, 3, 100].map(count => [`--keep-${rule}`, String(count)])),
  ...RULES.slice(1).map(rule => [`--keep-${rule}`, '7']),
  ['--keep-daily', '7', '--keep-weekly', '4', '--keep-monthly', '3'],
  ['--keep-last', '2', '--keep-hourly', '5', '--keep-daily', '3', '--keep-weekly', '5', '--keep-monthly', '6', '--keep-yearly', '10'],
  ...['1h', '2h', '1d', '1m', '1y', '3m1d', '1y5m7d2h', '22d', '24h', '2y3m', '15m'].map(within => ['--keep-within', within]),
  ...RULES.slice(1).flatMap(rule => ['2d', '3m', '1y1m', '10y'].map(within => [`--keep-within-${rule}`, within])),
  ['--keep-within', '1d', '--keep-within-daily', '30d', '--keep-within-monthly', '2y', '--keep-yearly', '2'],
  ['--keep-tag', 'a'], ['--keep-tag', 'a,b'], ['--keep-tag', 'a', '--keep-tag', 'b'], ['--keep-tag', 'a', '--keep-daily', '2'],
];

const folder = mkdtempSync(join(tmpdir(), 'record-restic-'));
const restic = (...words) => execFileSync('restic', words, {
  encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'],
  env: { ...process.env, RESTIC_REPOSITORY: join(folder, 'repository'), RESTIC_PASSWORD: 'x', RESTIC_CACHE_DIR: join(folder, 'cache'), TZ: ZONE },
});

try {
  writeFileSync(join(folder, 'file'), 'content');
  restic('init');
  for (const [time, tags] of SNAPSHOTS) {
    restic('backup', '-q', '--host', 'host', '--time', time, ...tags === '' ? [] : ['--tag', tags], join(folder, 'file'));
  }
  const ids = new Map();
  const snapshots = JSON.parse(restic('snapshots', '--json')).sort((a, b) => Date.parse(a.time) - Date.parse(b.time)).map(({ id, time, tags }, i) => {
    ids.set(id, i);
    return { time, tags: tags ?? [] };
  });
  const cases = CASES.map(options => {
    const [{ keep, reasons }] = JSON.parse(restic('forget', '--dry-run', '--json', '--group-by', '', ...options));
    return { options, kept: keep.map(({ id }, i) => ({ snapshot: ids.get(id), matches: reasons[i].matches })) };
  });
  const lines = (values) => values.map(value => `    ${JSON.stringify(value)}`).join(',\n');
  console.log(`{\n  "madeBy": ${JSON.stringify(restic('version').trim())},\n  "zone": ${JSON.stringify(ZONE)},\n  "snapshots": [\n${lines(snapshots)}\n  ],\n  "cases": [\n${lines(cases)}\n  ]\n}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
