/**
 * Bench of the whole trust check: first sync of a device, and the same check again with nothing new.
 */
import { checkTrust, type TrustState } from '@airlock/trust';
import { makeTrustFixture, type TrustFixture } from './trust-fixture.ts';

const functionReleases = 50;
const warmups = 20;
const rounds = 100;

export interface TrustTimes {
  readonly firstMs: number;
  readonly againMs: number;
}

/** Medians in milliseconds. Throws when the verdict is not an approval: then the time would mean nothing. */
export function benchTrustCheck(): TrustTimes {
  const fixture = makeTrustFixture(functionReleases, 1_800_000_000);
  const first: number[] = [];
  const again: number[] = [];
  for (let round = 0; round < warmups + rounds; round += 1) {
    const fresh = timed(fixture, fixture.state);
    const held = timed(fixture, fresh.state);
    if (round < warmups) continue;
    first.push(fresh.ms);
    again.push(held.ms);
  }
  return { firstMs: median(first), againMs: median(again) };
}

function timed(fixture: TrustFixture, state: TrustState): { ms: number; state: TrustState } {
  const started = performance.now();
  const steps = checkTrust({ identity: fixture.identity, state, now: fixture.now, source: 'network' });
  let step = steps.next(undefined);
  while (!step.done) {
    const { value } = step;
    step = steps.next(
      value.kind === 'fetch' ? fixture.files.get(`${value.repository}/${value.path}`) : undefined,
    );
  }
  const ms = performance.now() - started;
  if (step.value.verdict.kind !== 'approved') {
    throw new Error(`the check answered ${JSON.stringify(step.value.verdict)}`);
  }
  return { ms, state: step.value.state };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
