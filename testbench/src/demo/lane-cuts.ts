/**
 * Scenario 11: power cuts in the middle of writing, of activating and of confirming, each continued.
 *
 * One device with a volatile disk, one update. At each cut, what was not flushed is kept, lost or torn by the seed;
 * then the power is back and the device goes on by itself.
 */
import type { CutPlan } from '../power-cut/cut-plan.ts';
import { readRecord } from '../virtual-device/device-view.ts';
import { addDevice, addRelease, type Run, said, scenario } from './run.ts';

const factoryVersion = 10;
const version = 11;
const fillerBytes = 5_000_000;
const cutMsMax = 90_000;

export async function cutsLane(run: Run, seed: number): Promise<void> {
  const factory = await addRelease(run, { version: factoryVersion, agent: 'volatile' });
  const device = await addDevice(run, 'pump-11', { factory, volatile: true, seed });
  const { virtual, folder } = device;
  const record = `${folder.stateFolder}/record`;
  const plans: readonly { number: string; words: string; plan: CutPlan; code: string }[] = [
    {
      number: '11a',
      words: 'writing the slot',
      plan: { path: folder.slots.B, operation: 'write', nth: 4, moment: 'after' },
      code: 'OTA_STAGED',
    },
    {
      number: '11b',
      words: 'activating',
      plan: { path: record, operation: 'write', contains: '"state":"Pending"', nth: 1, moment: 'after' },
      code: 'OTA_TRIAL_BEGUN',
    },
    {
      number: '11c',
      words: 'confirming',
      plan: {
        path: folder.bootFile,
        operation: 'write',
        afterWriteOf: '"state":"Confirming"',
        nth: 1,
        moment: 'after',
      },
      code: 'OTA_CONFIRMED',
    },
  ];
  await addRelease(run, { version, agent: 'volatile', fillerBytes });
  await run.company.assign(device.id, version);
  virtual.planCuts(plans.map(({ plan }) => plan));
  virtual.powerOn();
  for (const [index, { number, words, code }] of plans.entries()) {
    const done = `the power is cut while ${words} (seed ${seed}), and comes back`;
    await scenario(run, { number, requirement: 'REQ-OTA-APPLY-03', done }, async () => {
      const cut = await virtual.waitForCut(index + 1, cutMsMax);
      const entry = await device.waitForCode(code, { version, limitMs: 90_000 });
      const what = `${cut.kept} unflushed writes kept, ${cut.lost} lost, ${cut.torn} torn`;
      const now = readRecord(folder.stateFolder);
      const confirmed = code === 'OTA_CONFIRMED' && now?.confirmed.version !== version;
      return { ...said(entry, what), ...(confirmed ? { fault: `confirmed ${now?.confirmed.version}` } : {}) };
    });
  }
  await virtual.killAgent();
}
