/**
 * When a device may change, against every moment of an attempt (REQ-OTA-POL-06): whoever says no, and whether by a
 * word, by hanging, by crashing, by the clock on the wall or by an operator who takes a consent back.
 *
 * Method: one good update is run to learn all its durable operations. Then it is run again for each of them, with the
 * answer turning to no just before that operation, on the nights on which the clock changes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Assignment } from '@airlock/trust';
import { Company } from './support/sim-company.ts';
import { SimDevice, World } from './support/sim-device.ts';

const at = (text: string): number => Date.parse(text) / 1000;
const everyDay = [0, 1, 2, 3, 4, 5, 6];

/** A night in New York on which the wall clock jumps, with a window that it jumps over or shows twice. */
interface Season {
  readonly name: string;
  /** The window is open. */
  readonly open: number;
  /** A minute later: it is closed. */
  readonly closed: number;
  readonly opensAgain: number;
  readonly window: NonNullable<Assignment['window']>;
}

const seasons: readonly Season[] = [
  {
    // At 01:59:30 the wall clock goes on with 03:00: half an hour of the window never comes.
    name: 'spring',
    open: at('2027-03-14T06:59:30Z'),
    closed: at('2027-03-14T07:00:10Z'),
    opensAgain: at('2027-03-15T05:30:00Z'),
    window: { fromMinute: 90, toMinute: 150, days: everyDay },
  },
  {
    // 01:00 to 01:30 comes twice: it closes at 05:30 UTC, and opens once more half an hour later.
    name: 'autumn',
    open: at('2026-11-01T05:29:30Z'),
    closed: at('2026-11-01T05:30:10Z'),
    opensAgain: at('2026-11-01T06:10:00Z'),
    window: { fromMinute: 60, toMinute: 90, days: everyDay },
  },
];

type No = 'no' | 'hang' | 'crash' | 'window' | 'consent';
const noes: readonly No[] = ['no', 'hang', 'crash', 'window', 'consent'];

function sayNo(world: World, no: No, season: Season): void {
  if (no === 'window') world.now = season.closed;
  else if (no === 'consent') world.consent = false;
  else world.interlock = () => (no === 'no' ? false : no);
}

function sayYes(world: World, no: No, season: Season): void {
  if (no === 'window') setTime(world, season.opensAgain);
  world.consent = true;
  world.interlock = () => true;
}

function setTime(world: World, now: number): void {
  world.now = now;
  world.company.now = now;
  // Timestamps live a day.
  world.company.publish(2, { consentRequired: true });
}

/** One company for all runs, since its keys cost more than a whole update; each run has a world of its own. */
const company = new Company();
const provisioned = await SimDevice.provisioned(worldWith(company));
company.release(2);

function worldWith(shared: Company): World {
  const world = new World(shared);
  world.windowTimeZone = 'America/New_York';
  world.limitsEnd = true;
  world.data.present = true;
  return world;
}

function assigned(season: Season): SimDevice {
  const world = worldWith(company);
  world.settings = { window: season.window, attemptsPerReleaseMax: 1 };
  setTime(world, season.open);
  return provisioned.clone(world);
}

interface Step {
  readonly name: string;
  readonly group: string;
  readonly at: number;
}

/** All operations of a good update, and of the failure of one. */
async function stepsOf(season: Season, selfTest: World['selfTest']): Promise<readonly Step[]> {
  const device = assigned(season);
  device.world.selfTest = selfTest;
  const steps: Step[] = [];
  device.world.onStep = (name) => steps.push({ name, group: device.bootedGroup, at: steps.length });
  await device.settle();
  return steps;
}

const passes: World['selfTest'] = async () => ({ passed: true, tests: [] });
const fails: World['selfTest'] = async () => ({
  passed: false,
  failed: 'pump',
  reason: 'no flow',
  tests: [],
});

/** Boots until it rests, the answer turning to no before step `turn`; what was done from then on. */
async function turning(device: SimDevice, no: No, season: Season, turn: number): Promise<readonly Step[]> {
  const steps: Step[] = [];
  const { world } = device;
  world.onStep = (name) => {
    if (steps.length === turn) sayNo(world, no, season);
    steps.push({ name, group: device.bootedGroup, at: steps.length });
  };
  await device.settle();
  world.onStep = () => undefined;
  assert.ok(steps.length >= turn, 'the moment was reached');
  return steps.slice(turn);
}

function firstAndLast(steps: readonly Step[]): readonly Step[] {
  const kind = ({ name, group }: Step): string => `${group} ${name}`;
  return steps.filter(
    (step, index) =>
      steps.findIndex((other) => kind(other) === kind(step)) === index ||
      steps.findLastIndex((other) => kind(other) === kind(step)) === index,
  );
}

const isArming = ({ name }: Step): boolean => name.startsWith('boot ') && name.includes(' trial ');
/** The restart that ends `Activate`: that which leaves a failed trial is asked of nobody. */
const isRestart = ({ name, group }: Step): boolean => name === 'restart' && group === 'A';

async function checkWaiting(device: SimDevice, what: string): Promise<void> {
  const { state, attempt } = await device.record();
  assert.ok(state === 'Idle' || state === 'Fetching' || state === 'Staged', `${what}: ${state}`);
  const boot = device.bootState();
  assert.deepEqual([boot.order, boot.trial, device.bootedGroup], [['A'], undefined, 'A'], what);
  assert.equal(attempt?.trialBoots ?? 0, 0, what);
}

/** Power cycles by hand while it waits; then the answer is yes. */
async function goOn(device: SimDevice, no: No, season: Season, what: string): Promise<void> {
  const before = (await device.record()).attempt?.id;
  await device.boot({ polls: 1 });
  await checkWaiting(device, `${what}, power cycled`);
  sayYes(device.world, no, season);
  const images = device.world.imageRequests.length;
  const staged = (await device.record()).state === 'Staged';
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2, what);
  const results = await device.results();
  assert.equal(results.length, 1, what);
  if (before !== undefined) assert.equal(results[0]?.attempt, before, `${what}: the same attempt`);
  if (staged) assert.equal(device.world.imageRequests.length, images, `${what}: nothing is fetched again`);
}

for (const [index, season] of seasons.entries()) {
  test(`TEST-OTA-${1110 + index} REQ-OTA-POL-06, REQ-OTA-LIMIT-01: the answer turns to no - a word, a hang, a crash, the window, the consent - before each durable operation of an attempt, in the night of the ${season.name} change: no activation, no restart, no trial by a power cycle, and it goes on where it was`, async () => {
    const all = await stepsOf(season, passes);
    const restart = all.findIndex(isRestart);
    // The last question before the group is armed comes when the data are prepared.
    const asked = all.findIndex(({ name }) => name === 'data prepare');
    assert.ok(asked > 20 && restart > asked && all.length > restart + 10, 'an attempt with all its states');
    for (const no of noes) {
      // A word of no at every operation; the other ways of saying it at the first and the last of each kind.
      for (const { name, at: turn } of no === 'no' && index === 0 ? all : firstAndLast(all)) {
        const device = assigned(season);
        const after = await turning(device, no, season, turn);
        const what = `${no} before ${turn} (${name})`;
        if (turn >= restart) {
          // The restart was on its way, or the trial runs: nobody is asked, and nothing restarts any more.
          assert.equal(after.filter(isRestart).length, turn === restart ? 1 : 0, what);
          assert.equal((await device.record()).confirmed.version, 2, what);
          continue;
        }
        assert.equal(after.filter(isRestart).length, 0, `${what}: no restart`);
        // Only what a yes of a moment ago had begun is armed, and disarmed again.
        if (turn <= asked) assert.ok(!after.some(isArming), `${what}: no activation`);
        await checkWaiting(device, what);
        await goOn(device, no, season, what);
      }
    }
  });
}

test('TEST-OTA-1112 REQ-OTA-POL-06, REQ-OTA-VERIFY-02: a trial that fails while the answer is no: it is left without asking, the older software runs, and no further restart comes', async () => {
  const [, season] = seasons;
  assert.ok(season);
  const all = await stepsOf(season, fails);
  const restart = all.findIndex(isRestart);
  for (const no of ['no', 'hang', 'window'] as const) {
    for (const { at: turn } of firstAndLast(all.slice(restart + 1))) {
      const device = assigned(season);
      device.world.selfTest = fails;
      const after = await turning(device, no, season, turn);
      assert.equal(after.filter(isRestart).length, 0);
      const { state, confirmed, lastResult } = await device.record();
      assert.deepEqual([state, confirmed.version, device.bootedGroup], ['Idle', 1, 'A']);
      assert.equal(lastResult?.code, 'OTA_FAIL_SELFTEST');
    }
  }
});

test('TEST-OTA-1113 REQ-OTA-POL-06: power cut at every moment between yes and restart while the last answer hangs: with nothing armed before it is asked, only the seconds of the last question can start a trial', async () => {
  const [season] = seasons;
  assert.ok(season);
  const waits: string[] = [];
  const device = assigned(season);
  const { world } = device;
  world.limitsEnd = false;
  // Each question is the one at which it hangs and the power goes.
  for (let hangAt = 0; hangAt < 8; hangAt += 1) {
    const copy = assigned(season);
    copy.world.limitsEnd = false;
    let asked = 0;
    const { promise: hung, resolve } = Promise.withResolvers<'hung'>();
    copy.world.interlock = () => {
      asked += 1;
      if (asked <= hangAt) return true;
      resolve('hung');
      return 'hang';
    };
    const end = await Promise.race([copy.boot(), hung]);
    if (end !== 'hung') break;
    const armed = copy.bootState().trial !== undefined;
    waits.push(armed ? 'armed' : 'disarmed');
    copy.world.interlock = () => false;
    await copy.boot();
    if (!armed) await checkWaiting(copy, `hung at question ${hangAt}`);
  }
  // fetch; activate, reboot; both again once the images are proven; and the last one.
  assert.deepEqual(waits, ['disarmed', 'disarmed', 'disarmed', 'disarmed', 'disarmed', 'armed']);
});
