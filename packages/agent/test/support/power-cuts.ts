/**
 * Power lost before every durable operation of a scenario: what is checked after each boot, and at the end.
 */
import assert from 'node:assert/strict';
import { assertHolds } from './invariants.ts';
import { SimDevice, World } from './sim-device.ts';

export interface Scenario {
  /** Before the updates. */
  prepare: (world: World) => void;
  /** Release 3 over release 2, whose predecessor stays armed as the fallback until it is overwritten. */
  fallbackArmed?: boolean;
  /** The device is provisioned with a TPM. */
  tpm?: boolean;
  /** Release 2 is confirmed and its starts are used up: the device runs release 1 in fallback, and repairs. */
  repair?: boolean;
  versions: readonly number[];
  check: (device: SimDevice, where: string) => Promise<void>;
}

export async function readyDevice(scenario: Scenario): Promise<SimDevice> {
  const world = new World();
  world.tpm = scenario.tpm === true;
  const device = await SimDevice.provisioned(world);
  device.world.company.release(2);
  device.world.company.publish(2);
  scenario.prepare(device.world);
  if (scenario.fallbackArmed === true) {
    await device.settle();
    device.world.company.release(3);
    device.world.company.publish(3);
  }
  if (scenario.repair === true) {
    await device.settle();
    while (device.bootState().left.B !== 0) device.startGroup();
  }
  return device;
}

/** Durable operations of each boot when nothing is cut. */
export async function countBoots(base: SimDevice): Promise<number[]> {
  const counts: number[] = [];
  const device = base.clone();
  for (let boot = 0; boot < 10; boot += 1) {
    const end = await device.boot();
    counts.push(device.power.trace.length);
    if (end !== 'restart') return counts;
  }
  return assert.fail('the scenario does not come to rest');
}

/** Cuts the given boot before its `cut`-th operation, then boots until rest, checking after each boot. */
export async function cutAndRecover(
  base: SimDevice,
  scenario: Scenario,
  at: { boot: number; cut: number; again?: number; damage?: (device: SimDevice) => void },
) {
  const device = base.clone();
  const where = `boot ${at.boot}, cut ${at.cut}${at.again === undefined ? '' : `, then ${at.again}`}`;
  let floorBefore = 1;
  for (let boot = 0; boot < 14; boot += 1) {
    const cutBefore = boot === at.boot ? at.cut : boot === at.boot + 1 ? at.again : undefined;
    const end = await device.boot(cutBefore === undefined ? {} : { cutBefore });
    device.disk.loseUnflushed();
    if (boot === at.boot) at.damage?.(device);
    floorBefore = await assertHolds(device, { floorBefore, versions: scenario.versions, where });
    const done = typeof end === 'object' && boot > at.boot;
    if (done) break;
  }
  const record = await device.record();
  assert.equal(record.state, 'Idle', `${where}: it ends at rest`);
  const perAttempt = new Map<string, number>();
  for (const { attempt = '' } of await device.results())
    perAttempt.set(attempt, (perAttempt.get(attempt) ?? 0) + 1);
  for (const [attempt, count] of perAttempt)
    assert.equal(count, 1, `${where}: attempt ${attempt} has one result`);
  const begun = new Set((await device.log()).map(({ attempt }) => attempt).filter((id) => id !== undefined));
  for (const attempt of begun)
    assert.ok(perAttempt.has(attempt), `${where}: attempt ${attempt} has a result`);
  await scenario.check(device, where);
}

export async function cutEverywhere(scenario: Scenario, again?: (cut: number) => number): Promise<number> {
  const base = await readyDevice(scenario);
  let cuts = 0;
  for (const [boot, count] of (await countBoots(base)).entries()) {
    for (let cut = 0; cut < count; cut += 1) {
      await cutAndRecover(base, scenario, {
        boot,
        cut,
        ...(again === undefined ? {} : { again: again(cut) }),
      });
      cuts += 1;
    }
  }
  return cuts;
}
