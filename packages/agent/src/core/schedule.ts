/**
 * How fast something may happen: back-off with full jitter, and the byte rate of downloads.
 *
 * Pure: time and randomness are given. Of two limits the stricter counts, always (REQ-OTA-LIMIT-01, -02). Update windows
 * stand in `windows.ts`.
 */
/**
 * Seconds to wait after the `failures`-th failure in a row: uniform between 0 and the doubled bound ("full jitter"),
 * so that a fleet that lost its server does not come back all at once. `fraction` is uniform in [0, 1).
 */
export function backoffSeconds(
  failures: number,
  limits: { readonly secondsMin: number; readonly secondsMax: number },
  fraction: number,
): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 30);
  return Math.min(limits.secondsMax, limits.secondsMin * 2 ** doublings) * fraction;
}

export interface TokenBucket {
  /** Milliseconds to wait before so many bytes that just came may be followed by more. */
  take(bytes: number, nowMs: number): number;
}

/** Bytes per second over time, with at most one second's worth saved up. undefined: no limit. */
export function tokenBucket(bytesPerSecondMax: number | undefined): TokenBucket {
  if (bytesPerSecondMax === undefined) return { take: () => 0 };
  let tokens = bytesPerSecondMax;
  let atMs: number | undefined;
  return {
    take(bytes, nowMs) {
      const passedMs = atMs === undefined ? 0 : Math.max(0, nowMs - atMs);
      atMs = nowMs;
      tokens = Math.min(bytesPerSecondMax, tokens + (passedMs / 1000) * bytesPerSecondMax) - bytes;
      return tokens >= 0 ? 0 : (-tokens / bytesPerSecondMax) * 1000;
    },
  };
}

/** The stricter of two rates; undefined where neither says anything. */
export function stricterRate(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}
