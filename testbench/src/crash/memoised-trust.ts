/**
 * The trust package with a check that remembers its verdicts, by the hash of every byte it was given and the time.
 *
 * A crash explorer asks the same question thousands of times, and the check is pure: the same state, time and files
 * give the same steps. One call in a hundred is checked anew and compared, so that a wrong memory is found. So it
 * is with the other pure functions that an agent calls at every start and poll.
 */
import * as trust from '@airlock/trust';
import { latin1 } from './medium.ts';
import type { TrustInput, TrustOutcome, TrustState, TrustStep } from '@airlock/trust';

export * from '@airlock/trust';

const checkedAnewEvery = 100;

type Asked = IteratorResult<TrustStep, TrustOutcome>;

/** What the check does next, and after each answer that was ever given to it. */
interface Remembered {
  readonly asks: Asked;
  readonly after: Map<string, Remembered>;
}

const memory = new Map<string, Remembered>();
const stateKeys = new WeakMap<TrustState, string>();
let calls = 0;

function keyOf({ identity, state, now, source }: TrustInput): string {
  const known = stateKeys.get(state) ?? trust.sha256Hex(trust.encodeTrustState(state));
  stateKeys.set(state, known);
  return JSON.stringify([identity, known, now, source]);
}

/** As trust's own, which shadows it for whoever imports this module instead. */
export function* checkTrust(input: TrustInput): Generator<TrustStep, TrustOutcome, Uint8Array | undefined> {
  calls += 1;
  const key = keyOf(input);
  const anew = calls % checkedAnewEvery === 0;
  const begun = memory.get(key);
  const real = anew || begun === undefined ? begin(input) : undefined;
  let here = begun ?? { asks: take(real), after: new Map<string, Remembered>() };
  memory.set(key, here);
  if (anew && begun !== undefined) compare(here.asks, take(real));
  const given: (Uint8Array | undefined)[] = [];
  let live = real;
  for (;;) {
    if (here.asks.done === true) return here.asks.value;
    const answer: Uint8Array | undefined = yield here.asks.value;
    const said = answer === undefined ? '-' : trust.sha256Hex(answer);
    const known: Remembered | undefined = here.after.get(said);
    if (known === undefined || anew) {
      live ??= replayed(input, given);
      const asks: Asked = live.next(answer);
      if (known !== undefined) compare(known.asks, asks);
      const next: Remembered = known ?? { asks, after: new Map() };
      here.after.set(said, next);
      here = next;
    } else {
      // A live check goes no further than it is needed; it is begun anew where the memory ends.
      live = undefined;
      here = known;
    }
    given.push(answer);
  }
}

/** Answers that are remembered of each function; beyond that all are forgotten, which costs time only. */
const answersMax = 20_000;

/** A pure function that remembers its answers by a text that says all of what it was given. */
function remembering<A extends readonly unknown[], R>(
  work: (...given: A) => R,
  textOf: (...given: A) => string,
): (...given: A) => R {
  const answers = new Map<string, R>();
  let asked = 0;
  return (...given) => {
    const text = textOf(...given);
    const known = answers.get(text);
    asked += 1;
    if (known !== undefined && asked % checkedAnewEvery !== 0) return known;
    const answer = work(...given);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(answer))
      throw new RangeError(`a remembered answer of ${work.name} differs from the one worked out anew`);
    if (answers.size >= answersMax) answers.clear();
    answers.set(text, answer);
    return answer;
  };
}

/** Each as trust's own, which it shadows. */
export const readRole = remembering(trust.readRole, latin1);
export const parseManifest = remembering(trust.parseManifest, latin1);
export const parseTrustState = remembering(trust.parseTrustState, latin1);
export const heldDeviceRecord = remembering(trust.heldDeviceRecord, ({ deviceRecord }) => deviceRecord);
/** Ed25519 says the same of the same bytes. */
export const signEnvelope = remembering(trust.signEnvelope, (value, signers) =>
  JSON.stringify([value, signers.map(({ publicKey }) => publicKey.keyId)]),
);

type Check = ReturnType<typeof trust.checkTrust>;

function begin(input: TrustInput): Check {
  return trust.checkTrust(input);
}

function take(check: Check | undefined): Asked {
  if (check === undefined) throw new Error('nothing to ask');
  return check.next();
}

function replayed(input: TrustInput, given: readonly (Uint8Array | undefined)[]): Check {
  const check = begin(input);
  check.next();
  for (const answer of given) check.next(answer);
  return check;
}

function compare(remembered: Asked, anew: Asked): void {
  if (JSON.stringify(remembered) !== JSON.stringify(anew))
    throw new RangeError('a remembered verdict differs from the one computed anew');
}
