/**
 * Samples the memory of a process from /proc while something runs.
 *
 * `peakBytes` is the kernel's own high-water mark (VmHWM), which no sampling can miss; `anonymousBytes` is the largest
 * RssAnon seen, since file pages come and go with the cache and say nothing about the program.
 */
import { readFileSync } from 'node:fs';

const sampleMs = 20;

export interface Memory {
  readonly peakBytes: number;
  readonly anonymousBytes: number;
}

/** Starts sampling `pid`; `stop` answers what was seen. A process that is gone keeps its last values. */
export function sampleMemory(pid: number): { stop(): Memory } {
  let peakBytes = 0;
  let anonymousBytes = 0;
  const sample = (): void => {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      peakBytes = Math.max(peakBytes, kilobytes(status, 'VmHWM') * 1024);
      anonymousBytes = Math.max(anonymousBytes, kilobytes(status, 'RssAnon') * 1024);
    } catch {
      // The process has ended; what was seen before stays.
    }
  };
  const timer = setInterval(sample, sampleMs);
  sample();
  return {
    stop: () => {
      sample();
      clearInterval(timer);
      return { peakBytes, anonymousBytes };
    },
  };
}

function kilobytes(status: string, field: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status);
  return found === null ? 0 : Number(found[1]);
}
