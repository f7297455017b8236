/**
 * How often something may happen for one name within a window of time, counted in memory.
 *
 * Keeps true: at most `perWindow` times between one beginning of a window and its end; a clock set back begins anew.
 * Memory is bounded: the name whose window began longest ago is forgotten.
 */
import type { UtcSeconds } from '@airlock/trust';

/** Names remembered; an entry is some 100 bytes. Each is a registered device or product, so few are ever forgotten. */
const namesMax = 100_000;

export interface Rates {
  /** Counts one; undefined when it may happen, else the seconds until it may. */
  take(name: string, now: UtcSeconds): number | undefined;
}

export function createRates(limit: { readonly perWindow: number; readonly windowSeconds: number }): Rates {
  const windows = new Map<string, { readonly begin: UtcSeconds; count: number }>();
  return {
    take(name, now) {
      const open = windows.get(name);
      if (open !== undefined && now >= open.begin && now - open.begin < limit.windowSeconds) {
        if (open.count >= limit.perWindow) return open.begin + limit.windowSeconds - now;
        open.count += 1;
        return undefined;
      }
      windows.delete(name);
      windows.set(name, { begin: now, count: 1 });
      for (const oldest of windows.keys()) {
        if (windows.size <= namesMax) break;
        windows.delete(oldest);
      }
      return undefined;
    },
  };
}
