/** `device add | list | show | revoke`; `device record` stands in a file of its own. */
import { readdir } from 'node:fs/promises';
import { type DeviceRecord, isDeviceId, parseDeviceRecord } from '@airlock/trust';
import { type CommandSpec, type Context, reasonOption } from '../command.ts';
import { checkAgentConfig } from '../core/agent-config.ts';
import { isSafetyClass } from '../core/company.ts';
import { checkDevice, decisionsLeft, makeDevice } from '../device.ts';
import { nearestFolder, readJsonFile, readTextFile, removeFiles, writeNewFiles } from '../files.ts';
import { keyTypes } from '../keys.ts';
import { table } from '../output.ts';
import { requireAttended } from '../passphrases.ts';
import type { Device } from '../device-answers.ts';
import { deviceAuthorityFile, deviceAuthorityKey } from '../setup.ts';
import { verifyRepository } from '../signer.ts';
import { need, stop } from '../stop.ts';

async function readRecord(context: Context): Promise<DeviceRecord> {
  const { options } = context;
  const device = context.argument(0);
  if (!isDeviceId(device)) {
    stop('CLI_USAGE', `"${device}" must be letters, digits, ".", "_" and "-", at most 64`, 'DEVICE');
  }
  const product = options.required('product');
  const settings = await context.home.product(product);
  const safetyClass = options.text('class') ?? settings.safetyClass;
  if (!isSafetyClass(safetyClass))
    return stop('CLI_USAGE', `--class must be A, B or C, not "${safetyClass}"`, '--class');
  const hardware = options.list('hardware');
  if (hardware.length === 0) stop('CLI_USAGE', 'option --hardware is needed, such as hw:rev2', '--hardware');
  const udi = options.text('udi') ?? settings.udi;
  if (udi === undefined)
    return stop('CLI_USAGE', `${product} has no UDI of its own, so the device needs one`, '--udi');
  return need(
    parseDeviceRecord({
      schema: 'airlock-device-record/1',
      number: 1,
      device,
      udi,
      product,
      safetyClass,
      market: options.required('market'),
      hardware,
      emergencyAllowed: options.flag('emergency-allowed'),
    }),
  );
}

/** `rootfs=/dev/mmcblk0p2,/dev/mmcblk0p3`. */
function readSlots(context: Context, template: Readonly<Record<string, unknown>>) {
  const slots: Record<string, { A: string; B: string }> = {};
  for (const text of context.options.list('slot')) {
    const [, component, a, b] = /^([a-z][a-z0-9-]{0,31})=([^,]+),([^,]+)$/.exec(text) ?? [];
    if (
      component === undefined ||
      a === undefined ||
      b === undefined ||
      a === b ||
      Object.hasOwn(slots, component)
    ) {
      return stop('CLI_USAGE', `"${text}" must be COMPONENT=PATH-OF-A,PATH-OF-B, once each`, '--slot');
    }
    slots[component] = { A: a, B: b };
  }
  if (Object.keys(slots).length === 0 && template['slots'] === undefined) {
    return stop('CLI_USAGE', 'the places of the slots are needed: rootfs=PATH-OF-A,PATH-OF-B', '--slot');
  }
  return slots;
}

async function readTemplate(context: Context): Promise<Readonly<Record<string, unknown>>> {
  const file = context.options.text('agent-config');
  if (file === undefined) return {};
  const path = context.path(file);
  return need(checkAgentConfig(need(await readJsonFile(path)), path));
}

/** The newest root of the director that lies in the home. */
async function directorRoot(context: Context): Promise<string> {
  const names = await readdir(context.home.path('director')).catch((): string[] => []);
  const versions = names.flatMap((name) => /^(\d+)\.root\.json$/.exec(name)?.[1] ?? []).map(Number);
  const newest = Math.max(0, ...versions);
  return need(await readTextFile(context.home.path('director', `${newest}.root.json`)));
}

async function refuseFull(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((): string[] => []);
  if (entries.length > 0) stop('CLI_EXISTS', `${folder} is not empty`, '--out');
}

async function runAdd(context: Context): Promise<void> {
  const { home, ring, io, options } = context;
  const record = await readRecord(context);
  const template = await readTemplate(context);
  const slots = readSlots(context, template);
  const logKeyType = options.choice('log-key-type', keyTypes) ?? 'ed25519';
  const folder = context.path(options.text('out') ?? home.deviceFolder(record.device));
  await refuseFull(folder);
  const settings = await home.settings();
  const { deviceUrl } = settings;
  if (deviceUrl === undefined) {
    return stop(
      'CLI_NO_SERVER',
      'this home only signs; devices are made where the server is',
      'airlock.json',
    );
  }
  const api = await context.api(settings);
  if ((await api.device(record.device)) !== undefined) {
    stop('CLI_EXISTS', `the server knows a device ${record.device} already`, 'DEVICE');
  }
  const { view } = await verifyRepository(home, record.product, api, io.now());
  checkDevice(record, view);
  requireAttended(ring.passphrases, {
    product: record.product,
    classes: [record.safetyClass],
    demo: view.demo,
  });
  const provisioning = view.root.image?.provisioning ?? { keys: [], threshold: 1 };
  const made = await makeDevice({
    record,
    view,
    provisioning: await ring.signersFor('the device record', provisioning.keys, provisioning.threshold),
    authority: {
      certificate: need(await readTextFile(home.path(deviceAuthorityFile))),
      privateKey: await ring.openNamed(deviceAuthorityKey),
    },
    serverAuthority: need(await readTextFile(home.path(settings.authorityFile))),
    directorRoot: await directorRoot(context),
    deviceUrl,
    logKeyType,
    slots,
    template,
    folder,
    now: io.now(),
  });
  const above = await nearestFolder(folder);
  await ring.record(`device add ${record.device}`);
  await writeNewFiles(made.files, above);
  try {
    const { certificate, logKey } = made;
    await api.postDevice({
      record: made.record,
      certificate,
      logKey: { ...logKey, keytype: knownType(logKey.keytype) },
    });
  } catch (error) {
    await removeFiles(
      made.files.map(({ path }) => path),
      above,
    );
    throw error;
  }
  const left = decisionsLeft(template);
  const toComplete = left.map(([name]) => name);
  // Said here and not only in a guide: a device that ships so is updated during a therapy.
  const open = left.map(([name, meaning]) => `  ${name.padEnd(18)} ${meaning}\n`).join('');
  context.out.result(
    { device: record.device, folder, record, files: made.files.map(({ path }) => path), toComplete },
    `Registered ${record.device} (${record.product}, class ${record.safetyClass}, ${record.market})\n` +
      `Its files are in ${folder}; agent.json there is a template. Move them to the device.\n` +
      (open === '' ? '' : `Before it ships, write into agent.json what nobody has decided yet:\n${open}`),
  );
}

/** Narrows what `publicKeyJson` writes as text. */
function knownType(keytype: string): 'ed25519' | 'ecdsa' {
  return keytype === 'ecdsa' ? 'ecdsa' : 'ed25519';
}

function row(device: Device): string[] {
  return [
    device.device,
    device.product,
    device.safetyClass,
    device.market,
    device.hardware.join(', '),
    device.revoked === undefined ? stateWords(device) : `revoked ${device.revoked}`,
  ];
}

async function runList(context: Context): Promise<void> {
  const devices = await (await context.api()).devices();
  context.out.result(
    { devices },
    table(['DEVICE', 'PRODUCT', 'CLASS', 'MARKET', 'HARDWARE', 'STATE'], devices.map(row)),
  );
}

/** The device that the first argument names. */
export async function findDevice(context: Context): Promise<Device> {
  const found = await (await context.api()).device(context.argument(0));
  return found ?? stop('CLI_DEVICE_UNKNOWN', `the server knows no device ${context.argument(0)}`, 'DEVICE');
}

function assignedWords({ assigned, emergency }: Device): string {
  if (assigned === undefined) return 'nothing';
  return `release ${assigned}${emergency ? ', marked EMERGENCY' : ''}`;
}

async function runShow(context: Context): Promise<void> {
  const device = await findDevice(context);
  const { reported } = device;
  const rows = [
    ['product', device.product],
    ['class, market', `${device.safetyClass}, ${device.market}`],
    ['hardware', device.hardware.join(', ')],
    ['record', String(device.recordNumber)],
    ['registered', device.registered],
    ...(device.revoked === undefined ? [] : [['revoked', device.revoked]]),
    ['last seen', device.lastSeen ?? 'never'],
    ['emergency set', device.emergencyAllowed ? 'may stand in for class and market' : 'does not count'],
    ['assigned', assignedWords(device)],
    ...(reported === undefined
      ? []
      : [
          ['state', reported.state],
          ['booted', String(reported.booted)],
          ['confirmed', `${reported.confirmed} (floor ${reported.floor})`],
          ...(reported.counter === undefined ? [] : [['TPM counter', String(reported.counter)]]),
          ...(reported.restored
            ? [['restored disk', 'installs nothing until a record names its floor']]
            : []),
          ['last result', lastResult(device)],
          ...(reported.waiting === undefined ? [] : [['waits for', reported.waiting]]),
          ...(reported.overdue ? [['overdue', 'deferred past the deadline of its release']] : []),
        ]),
    ['log findings', String(device.logFindings)],
  ];
  context.out.result(device, table(['DEVICE', device.device], rows));
}

/** The state as reported; a release that is deferred past its deadline is an alarm wherever devices are listed. */
export function stateWords({ reported }: Device): string {
  if (reported === undefined) return 'never reported';
  return reported.overdue ? `${reported.state}, OVERDUE` : reported.state;
}

/** `OTA_CONFIRMED 12`, or a dash. */
export function lastResult({ reported }: Device): string {
  if (reported?.lastCode === undefined) return '-';
  return `${reported.lastCode} ${reported.lastVersion ?? ''}`.trim();
}

async function runRevoke(context: Context): Promise<void> {
  const device = await findDevice(context);
  const api = await context.api();
  await api.revokeDevice(device.device, context.options.text('reason'));
  context.out.result(
    { device: device.device, revoked: true },
    `Revoked ${device.device}: it gets nothing any more\n`,
  );
}

export const deviceCommands: readonly CommandSpec[] = [
  {
    usage: 'device add <device>',
    summary: 'make and register a device: signed record, TLS identity, log key, configuration',
    example:
      'device add pump-0001 --product infusion-pump --market us --hardware hw:rev2 --udi "(01)00844588003288" --slot rootfs=/dev/mmcblk0p2,/dev/mmcblk0p3 --out ./pump-0001',
    options: [
      { flags: '--product <name>', describe: 'its product' },
      { flags: '--class <A|B|C>', describe: "safety class (default: the product's)" },
      { flags: '--market <name>', describe: 'where it is used; known to policy and root' },
      { flags: '--hardware <entry>', describe: 'what it is, such as hw:rev2', many: true },
      { flags: '--udi <text>', describe: "its UDI (default: the product's)" },
      { flags: '--emergency-allowed', describe: 'releases marked emergency may count their own approvals' },
      { flags: '--slot <spec>', describe: 'COMPONENT=PATH-OF-A,PATH-OF-B', many: true },
      { flags: '--agent-config <file>', describe: 'fields of agent.json that win over the defaults (JSON)' },
      { flags: '--log-key-type <type>', describe: 'ed25519 (default) or p256' },
      { flags: '--out <folder>', describe: 'where its files go (default: devices/ID in the home)' },
    ],
    run: runAdd,
  },
  { usage: 'device list', summary: 'all devices', example: 'device list', run: runList },
  { usage: 'device show <device>', summary: 'one device', example: 'device show pump-0001', run: runShow },
  {
    usage: 'device revoke <device>',
    summary: "refuse a device's certificate from now on",
    example: 'device revoke pump-0001 --reason "scrapped"',
    options: [reasonOption],
    run: runRevoke,
  },
];
