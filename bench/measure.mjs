/** Runs one command and measures it as a whole process: wall time, CPU time, peak resident memory. Linux only (/proc). */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICK_SECONDS = 1 / 100; // USER_HZ

/** @returns {Promise<{wall: number, cpu: number, peakMiB: number, code: number, output: string}>} seconds, MiB */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let peakKiB = 0;
    let cpu = 0;
    const look = () => {
      try {
        peakKiB = Math.max(peakKiB, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0));
        const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
        cpu = (Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])) * TICK_SECONDS;
      } catch { /* the process has just ended */ }
    };
    const timer = setInterval(look, 10);
    const keep = chunk => { output = (output + chunk).slice(-4000); };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', code => {
      clearInterval(timer);
      resolve({ wall: (performance.now() - started) / 1000, cpu, peakMiB: peakKiB / 1024, code: code ?? -1, output });
    });
  });
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

export const spread = values => `${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)}`;
