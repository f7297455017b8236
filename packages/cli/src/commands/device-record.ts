/**
 * `device record`: signs a device record with the next number, such as one that names the floor of a restored disk.
 *
 * Keeps true: it starts from the record that the provisioning keys signed last, which the server only hands over and
 * this machine verifies; what is changed is shown line by line before the passphrase is asked; a floor that is named
 * for a device with a TPM names the counter as well, or the device refuses it (REQ-OTA-ROLL-04).
 */
import {
  type DeviceRecord,
  type ImageView,
  parseDeviceRecord,
  signEnvelope,
  trustLimits,
  verifyDeviceRecord,
} from '@airlock/trust';
import { confirmSigning, requiredReason } from '../acts.ts';
import { type CommandSpec, type Context, wholeNumber } from '../command.ts';
import { isSafetyClass } from '../core/company.ts';
import { checkDevice } from '../device.ts';
import type { Device } from '../device-answers.ts';
import { readTextFile } from '../files.ts';
import { plain } from '../output.ts';
import { requireAttended } from '../passphrases.ts';
import { verifyRepository } from '../signer.ts';
import { need, stop } from '../stop.ts';
import { findDevice } from './device.ts';

const yesNo = ['yes', 'no'] as const;

/**
 * The record that is in force; an older one that a hostile server hands over shows by its number. Where the key that
 * signed it was taken away since, the person names a root that still had it, from their own papers.
 */
async function heldRecord(context: Context, device: Device, view: ImageView): Promise<DeviceRecord> {
  const { product, record } = device;
  const named = context.options.text('root');
  const root =
    named === undefined
      ? view.state.root
      : need(await readTextFile(context.path(named), trustLimits.rootBytesMax));
  const held = need(verifyDeviceRecord(record, root, { product, device: device.device }));
  if (held.number !== device.recordNumber) {
    const said = `the server says that record ${device.recordNumber} is in force and hands over ${held.number}`;
    return stop('CLI_SERVER_ANSWER', said, 'recordNumber');
  }
  return held;
}

function nextRecord({ options }: Context, held: DeviceRecord, reported: Device['reported']): DeviceRecord {
  const safetyClass = options.text('class') ?? held.safetyClass;
  if (!isSafetyClass(safetyClass))
    return stop('CLI_USAGE', `--class must be A, B or C, not "${safetyClass}"`, '--class');
  const hardware = options.list('hardware');
  const emergency = options.choice('emergency-allowed', yesNo);
  const floor = options.integer('floor', 1);
  const named = options.text('counter');
  const counter =
    named === undefined ? undefined : wholeNumber(named, 0, '--counter', Number.MAX_SAFE_INTEGER);
  if (counter !== undefined && floor === undefined)
    return stop(
      'CLI_USAGE',
      '--counter needs --floor: it says for which counter the floor is named',
      '--floor',
    );
  if (floor !== undefined && counter === undefined && reported?.counter !== undefined) {
    const message = `the device has a TPM (counter ${reported.counter}, as it last reported): its floor is named with --counter`;
    return stop('CLI_USAGE', message, '--counter');
  }
  const { floor: heldFloor, counter: heldCounter, ...rest } = held;
  return need(
    parseDeviceRecord({
      ...rest,
      number: held.number + 1,
      safetyClass,
      market: options.text('market') ?? held.market,
      hardware: hardware.length === 0 ? held.hardware : hardware,
      emergencyAllowed: emergency === undefined ? held.emergencyAllowed : emergency === 'yes',
      ...(floor === undefined
        ? {
            ...(heldFloor === undefined ? {} : { floor: heldFloor }),
            ...(heldCounter === undefined ? {} : { counter: heldCounter }),
          }
        : { floor, ...(counter === undefined ? {} : { counter }) }),
    }),
  );
}

/** `  market: us -> eu`, for each field that the new record says otherwise. */
function changedLines(held: DeviceRecord, next: DeviceRecord): string[] {
  const words = (value: unknown): string => (value === undefined ? 'none' : plain(JSON.stringify(value)));
  const before: Readonly<Record<string, unknown>> = { ...held };
  const after: Readonly<Record<string, unknown>> = { ...next };
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((name) => words(before[name]) !== words(after[name]))
    .map((name) => `  ${name}: ${words(before[name])} -> ${words(after[name])}`);
}

/** Those that the root names, or of these the ones that the person names: the new one, while the old one is there. */
async function provisioningKeys({ options, ring }: Context, view: ImageView) {
  const all = view.root.image?.provisioning ?? { keys: [], threshold: 1 };
  const names = options.list('key');
  if (names.length === 0) return all;
  const found = await ring.find(all.keys);
  const stranger = names.find((name) => found.every((key) => key.name !== name));
  if (stranger !== undefined)
    return stop('CLI_KEY_MISSING', `${stranger} is no provisioning key in this home`, '--key');
  return { ...all, keys: found.filter(({ name }) => names.includes(name)).map((key) => key.publicKey) };
}

async function runRecord(context: Context): Promise<void> {
  const { home, ring, io } = context;
  const reason = requiredReason(context);
  const api = await context.api();
  const device = await findDevice(context);
  const { view } = await verifyRepository(home, device.product, api, io.now());
  const held = await heldRecord(context, device, view);
  const provisioning = await provisioningKeys(context, view);
  const next = checkDevice(nextRecord(context, held, device.reported), view);
  const changed = changedLines(held, next);
  // Its number changes always; with a key that is named, its signature is what changes.
  if (changed.length === 1 && context.options.list('key').length === 0)
    stop('CLI_USAGE', 'nothing would change: say what the new record names', 'DEVICE');
  const counter = device.reported?.counter;
  const said = counter === undefined ? [] : [`  (its counter, as it last reported: ${counter})`];
  context.out.show(`${[`Device record of ${next.device}:`, ...changed, ...said].join('\n')}\n`);
  await confirmSigning(context, next.device);
  const classes = [next.safetyClass];
  requireAttended(ring.passphrases, { product: next.product, classes, demo: view.demo });
  const { keys, threshold } = provisioning;
  const signers = await ring.signersFor('the device record', keys, threshold);
  const envelope = Buffer.from(signEnvelope(next, signers)).toString('utf8');
  await ring.record(`device record ${next.device} ${next.number}`, reason);
  await api.putRecord(next.device, envelope, reason);
  context.out.result(
    { device: next.device, record: next },
    `Record ${next.number} of ${next.device} is signed and travels with its next check-in\n`,
  );
}

export const deviceRecordCommand: CommandSpec = {
  usage: 'device record <device>',
  summary: 'sign a later device record: another market, class or hardware, or the floor of a restored disk',
  help:
    'What is not named stays as it is. The floor of a device with a TPM is named together with its counter, ' +
    'which `airlock-agent status` prints at the device and `device show` as it last reported.',
  example: 'device record pump-0001 --floor 7 --counter 12 --reason "CAPA-77: disk replaced by service"',
  options: [
    { flags: '--market <name>', describe: 'where it is used; known to policy and root' },
    { flags: '--class <A|B|C>', describe: 'safety class' },
    { flags: '--hardware <entry>', describe: 'what it is, such as hw:rev2; all entries', many: true },
    {
      flags: '--emergency-allowed <yes|no>',
      describe: 'releases marked emergency may count their own approvals',
    },
    {
      flags: '--floor <version>',
      describe: 'its floor: it installs only versions above',
    },
    { flags: '--counter <value>', describe: "value of its TPM's counter for which the floor is named" },
    {
      flags: '--key <name>',
      describe: 'sign with this provisioning key of the home; also when nothing else changes',
      many: true,
    },
    {
      flags: '--root <file>',
      describe: 'a root that named the key of the record in force, where it was taken away since',
    },
    { flags: '--reason <text>', describe: 'why (needed); kept in key-use.jsonl and in the audit log' },
    { flags: '--yes', describe: 'do not ask; the lines have been read' },
  ],
  run: runRecord,
};
