/**
 * The scenarios of the crash explorer: where a device begins, what is fixed for it, and what the world may do to it.
 *
 * Each is a graph of its own. `small release` is everything that can happen to the device itself, those after it what
 * can come, or not come, over the wire. The others vary one fixed thing, with the environments that it has to do
 * with. What several of them do together is for the seeded runs, and for `everything at once`, a graph too
 * large to be closed in minutes.
 */
import { type Environment, environmentOf, environments } from './environment.ts';
import type { StartName } from './start-states.ts';
import { type ScenarioOptions, smallRelease } from './world.ts';

export interface Scenario {
  readonly name: string;
  /** In words, for `--list`. */
  readonly about: string;
  readonly start: StartName;
  readonly target: number;
  readonly options: ScenarioOptions;
  readonly environments: readonly Environment[];
  /** Whether the agent alone is killed as well, at every step. */
  readonly kills: boolean;
  /** Whether the target release brings an agent whose record has a second format. */
  readonly newAgent: boolean;
  /** Whether it was seen to be explored to its end within minutes: then it must be, each time. */
  readonly closes: boolean;
}

const ofTrials = ['good', 'count lost', 'self-test fails', 'trial never starts', 'restart never comes'];
const ofDevice = [
  ...ofTrials,
  'self-test hangs',
  'self-test kills the agent',
  'no server',
  'interlock says no',
  'interlock changes its mind',
  'hooks fail',
  'hooks fail half way',
  'restart fails',
];
const ofLeave = [
  'good',
  'interlock says no',
  'interlock changes its mind',
  'operator does not consent',
  'ten years pass',
];
const ofServer = ['good', 'no server', 'withdrawn', 'nothing assigned', 'stale answers', 'clock in 1970'];
const ofNetwork = ['good', 'no server', 'image breaks off', 'image is damaged', 'withdrawn'];
const trials = ofTrials.map(environmentOf);
const plain = {
  start: 'fresh',
  target: 2,
  options: smallRelease,
  environments: trials,
  kills: false,
  newAgent: false,
  closes: true,
} as const;
/** Graphs that were left open in the budgets that were tried. */
const open = { ...plain, closes: false } as const;
/** With a boot loader that leaves a confirmed group which does not come up. */
const counted: ScenarioOptions = { ...smallRelease, confirmedStarts: 2 };

export const scenarios: readonly Scenario[] = [
  {
    ...plain,
    name: 'small release',
    about:
      'everything that can happen to the device itself: cuts, lost counts, self-tests, interlock, hooks, restarts, no server',
    environments: ofDevice.map(environmentOf),
  },
  {
    ...plain,
    name: 'trust state lost',
    about: 'begins with both copies of the trust state damaged: nothing may be installed',
    start: 'trust lost',
  },
  {
    ...plain,
    name: 'no fallback allowed',
    about: 'a device that may not go back: the older group leaves the boot order',
    start: 'updated',
    target: 3,
    options: { ...smallRelease, fallbackAllowed: false },
  },
  {
    ...plain,
    name: 'one-shot boot loader',
    about: 'a boot loader that starts an armed group once and forgets it',
    options: { ...smallRelease, tries: 'one-shot' },
  },
  {
    ...plain,
    name: 'one-shot that power-off undoes',
    about: 'the same, where power-off disarms',
    options: { ...smallRelease, tries: 'one-shot', armingSurvivesPowerOff: false },
  },
  {
    ...plain,
    name: 'update over an armed fallback',
    about: 'the group that is written is in the boot order at the beginning',
    start: 'updated',
    target: 3,
  },
  {
    ...plain,
    name: 'floor in a TPM',
    about: 'the floor is sealed with a counter',
    start: 'updated',
    target: 3,
    options: { ...smallRelease, tpm: true },
  },
  {
    ...plain,
    name: 'TPM that does not answer',
    about: 'the same, and the counter cannot be read or incremented all through a boot',
    start: 'updated',
    target: 3,
    options: { ...smallRelease, tpm: true },
    environments: [...trials, environmentOf('TPM does not answer')],
  },
  {
    ...plain,
    name: 'old copy of the state restored',
    about: 'the same, and at any moment somebody writes an old copy of the state partition back',
    start: 'updated',
    target: 3,
    options: { ...smallRelease, tpm: true, stateMayBeRestored: true },
  },
  {
    ...plain,
    name: 'boot control takes no write',
    about: 'the boot control refuses every write all through a boot',
    environments: [...trials, environmentOf('boot control takes no write')],
  },
  {
    ...plain,
    name: 'log takes no write',
    about: 'the log refuses every write all through a boot',
    environments: [...trials, environmentOf('log takes no write')],
  },
  {
    ...plain,
    name: 'record takes no flush',
    about: 'the record loses what is written to it all through a boot',
    environments: [...trials, environmentOf('record takes no flush')],
  },
  {
    ...plain,
    name: 'leave that is taken back',
    about: 'interlock, consent of the operator, and time that passes while images are proven',
    options: { ...smallRelease, consentRequired: true },
    environments: ofLeave.map(environmentOf),
  },
  {
    ...plain,
    name: 'record lost',
    about: 'begins without a record, and at any moment every copy of it rots',
    start: 'record lost',
    options: { ...smallRelease, recordMayBeLost: true },
    environments: [...trials, environmentOf('log takes no write')],
  },
  {
    ...open,
    name: 'record lost in a trial',
    about: 'begins in a trial; then every copy of the record rots, the agent alone is killed, restarts fail',
    start: 'in trial',
    // Many kills in a row write many entries: the ring must not forget the result of an attempt that is not over.
    options: { ...smallRelease, recordMayBeLost: true, logCells: 128 },
    environments: ['good', 'restart fails', 'boot control takes no write'].map(environmentOf),
    kills: true,
  },
  {
    ...plain,
    name: 'starts are counted',
    about: 'a boot loader that leaves a confirmed group which does not come up twice',
    options: counted,
    environments: [environmentOf('good')],
  },
  {
    ...open,
    name: 'withdrawn, and clocks that are wrong',
    about: 'the release is withdrawn; the clock stands in 1970 or ten years ahead',
    environments: [...trials, ...['withdrawn', 'clock ten years ahead', 'clock in 1970'].map(environmentOf)],
  },
  {
    ...open,
    name: 'server that changes its mind',
    about: 'assigned, withdrawn, nothing assigned, old answers repeated, no answer',
    environments: ofServer.map(environmentOf),
  },
  {
    ...open,
    name: 'network that fails',
    about: 'images that break off or come damaged',
    environments: ofNetwork.map(environmentOf),
  },
  {
    ...open,
    name: 'agent killed',
    about: 'the agent alone is killed, at every step, and goes on in the same boot',
    environments: [environmentOf('good')],
    kills: true,
  },
  {
    ...open,
    name: 'two tries, two attempts',
    about: 'two tries of a trial, two attempts at a release, armed again once',
    options: { ...smallRelease, trialTries: 2, attemptsMax: 2, notTriedMax: 1 },
    environments: [...trials, environmentOf('hooks fail')],
  },
  {
    ...open,
    name: 'repair in fallback',
    about: 'begins in fallback: the confirmed version is installed again',
    start: 'in fallback',
    target: 2,
    options: counted,
  },
  {
    ...open,
    name: 'update in fallback',
    about: 'begins in fallback: a higher version is installed',
    start: 'in fallback',
    target: 3,
    options: counted,
  },
  {
    ...open,
    name: 'old and new agent',
    about: 'the release brings an agent whose record has a second format',
    newAgent: true,
  },
  {
    ...open,
    name: 'old and new agent in fallback',
    about: 'the same, beginning in fallback',
    start: 'in fallback',
    target: 2,
    options: counted,
    newAgent: true,
  },
  {
    ...open,
    name: 'older release assigned',
    about: 'the server assigns a version below the floor',
    start: 'updated',
    target: 3,
    environments: [...trials, environmentOf('older release assigned')],
  },
  {
    ...open,
    name: 'everything at once',
    about:
      'every environment in one graph, with a TPM, consent and counted starts: too large to close in minutes',
    options: { ...counted, tpm: true, consentRequired: true },
    environments,
  },
];

export function scenarioOf(name: string): Scenario {
  const found = scenarios.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no scenario ${name}`);
  return found;
}
