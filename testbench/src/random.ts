/**
 * Seeded pseudo-random numbers for testbench: one seed reproduces a whole run.
 *
 * Not for keys or nonces: mulberry32 is small and predictable on purpose.
 */

export interface SeededRandom {
  /** Uniform in [0, 1). */
  fraction(): number;
  /** Uniform integer in [0, below). */
  below(below: number): number;
}

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { fraction, below: (below) => Math.floor(fraction() * below) };
}
