/**
 * Moments: when, in one run of an agent, it is struck down. Drawn by seed, never chosen by what happened to be easy.
 *
 * A moment is a state of the record, and then a count of durable operations or a delay. Which states can still come in
 * a run follows from where the record stands; among them, those that were met less often are likelier, so that every
 * phase is met. Pure: no clock, no files.
 */
import type { AttemptState } from '@airlock/protocol';
import type { GroupLetter } from '@airlock/trust';
import type { SeededRandom } from '../random.ts';
import type { RecordView } from '../virtual-device/device-view.ts';

export const phases: readonly AttemptState[] = [
  'Idle',
  'Fetching',
  'Staged',
  'Pending',
  'Trial',
  'Confirming',
  'Failing',
];

export type Moment =
  /** At the so many-th durable operation once the record says `phase`. */
  | {
      readonly kind: 'operations';
      readonly phase: AttemptState;
      readonly nth: number;
      readonly side: 'before' | 'after';
    }
  /** So long after the record said `phase` for the first time in this run, or after the start if it says so already. */
  | { readonly kind: 'delay'; readonly phase: AttemptState; readonly ms: number };

/** How many durable operations a phase has, about: a count beyond it falls into the next one. */
const operationsOf: Readonly<Record<AttemptState, number>> = {
  Idle: 20,
  Fetching: 11,
  Staged: 6,
  Pending: 9,
  Trial: 9,
  Confirming: 17,
  Failing: 12,
};

/** How long a phase takes, about, on two busy cores. `Idle` and `Trial` begin with the agent's own start. */
const msOf: Readonly<Record<AttemptState, number>> = {
  Idle: 1500,
  Fetching: 400,
  Staged: 400,
  Pending: 250,
  Trial: 1500,
  Confirming: 400,
  Failing: 1200,
};

/** Some runs are left alone, or no attempt would ever come to its end. */
const leftAlone = 0.08;
/** In one phase of one attempt; one attempt in eight is struck until its tries are used up. */
const strikesUsualMax = 2;
const strikesStubbornMax = 6;

/** The states that can still come before this run of the agent ends by itself. `passes`: its self-tests will. */
export function phasesAhead(
  record: RecordView,
  bootedGroup: GroupLetter,
  passes: boolean,
): readonly AttemptState[] {
  const { state, attempt } = record;
  const next: readonly AttemptState[] = ['Idle', 'Fetching', 'Staged', 'Pending'];
  if (attempt?.group === bootedGroup) {
    if (state === 'Failing') return ['Failing'];
    if (state === 'Confirming') return ['Confirming', ...next];
    return passes ? ['Trial', 'Confirming', ...next] : ['Trial', 'Failing'];
  }
  if (state === 'Confirming') return ['Confirming', ...next];
  if (state === 'Failing') return ['Failing', ...next];
  if (state === 'Trial') return ['Failing', ...next];
  const at = next.indexOf(state);
  return at < 0 ? next : next.slice(at);
}

/** Draws one; undefined: this run is left alone. `met`: strikes so far by phase; `metNow`: in this attempt. */
export function drawMoment(
  random: SeededRandom,
  ahead: readonly AttemptState[],
  given: {
    readonly met: ReadonlyMap<AttemptState, number>;
    readonly metNow: ReadonlyMap<AttemptState, number>;
    readonly stubborn: boolean;
  },
): Moment | undefined {
  const alone = random.fraction() < leftAlone;
  const [which, how, where, after] = [
    random.fraction(),
    random.fraction(),
    random.fraction(),
    random.fraction(),
  ];
  const strikesMax = given.stubborn ? strikesStubbornMax : strikesUsualMax;
  const weighed = ahead.map((phase, index) => {
    const spent = (given.metNow.get(phase) ?? 0) >= strikesMax;
    const seldom = 1 / (1 + (given.met.get(phase) ?? 0)) ** 2;
    // Where the device stands already counts more: what lies far ahead is often not reached in this run.
    return { phase, weight: spent ? 0 : seldom * (index === 0 ? 4 : 1) };
  });
  let left = which * weighed.reduce((sum, { weight }) => sum + weight, 0);
  const drawn = weighed.find(({ weight }) => (left -= weight) < 0);
  if (alone || drawn === undefined || drawn.weight === 0) return undefined;
  const { phase } = drawn;
  if (how < 0.5) {
    const nth = 1 + Math.floor(where * operationsOf[phase]);
    return { kind: 'operations', phase, nth, side: after < 0.5 ? 'before' : 'after' };
  }
  return { kind: 'delay', phase, ms: Math.floor(where * msOf[phase]) };
}

export function wordsOf(moment: Moment): string {
  return moment.kind === 'delay'
    ? `${moment.ms} ms after ${moment.phase}`
    : `${moment.side} operation ${moment.nth} of ${moment.phase}`;
}
