/**
 * Waiting on conditions: asked again and again until it holds, within an overall limit. Never a guessed sleep.
 */

const askAgainMs = 40;

class WaitedTooLong extends Error {}

/** Resolves to the first answer that is not undefined; throws `WaitedTooLong` with the words after `limitMs`. */
export async function waitUntil<T>(
  words: string,
  limitMs: number,
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const until = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > until)
      throw new WaitedTooLong(`waited ${Math.round(limitMs / 1000)} s in vain: ${words}`);
    await new Promise((resolve) => {
      setTimeout(resolve, askAgainMs);
    });
  }
}
