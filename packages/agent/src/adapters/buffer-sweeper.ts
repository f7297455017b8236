/**
 * Sweeps the buffers that TLS leaves behind, every few megabytes of a download.
 *
 * TLS hands out each record in a fresh buffer outside of the heap. The heap itself hardly grows, so the collector sees
 * no reason to run until 30 MB of dead buffers have piled up: a long download would then need more memory than a short
 * one. A collection of the young generation costs less than a millisecond. Without `--expose-gc` this does nothing.
 */

/** Small against the memory of the device, and rare enough: 100 sweeps a second at 400 MB/s. */
const sweepBytes = 4 << 20;

let passed = 0;

/** Counts bytes that have passed by; sweeps when enough have. */
export function countForSweep(bytes: number): void {
  passed += bytes;
  if (passed < sweepBytes) return;
  passed = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
