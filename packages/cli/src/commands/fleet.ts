/** `assign`, `unassign`, `status`, `log`. */
import { readdir } from 'node:fs/promises';
import { type Alarm, alarmOf, renewalDue, roleLifeSeconds } from '@airlock/protocol';
import { type Failure, type ImageView, readRole, trustLimits } from '@airlock/trust';
import { type CommandSpec, type Context, wholeNumber, reasonOption } from '../command.ts';
import { readSmallFile } from '../files.ts';
import { instant, plain, remainingText, table } from '../output.ts';
import type { Device } from '../device-answers.ts';
import type { Proposal, KeyHolder } from '../proposal-answers.ts';
import type { ServerApi } from '../server-api.ts';
import { tryVerify } from '../signer.ts';
import { stop } from '../stop.ts';
import { lastResult, stateWords } from './device.ts';

async function knownDevice(api: ServerApi, id: string): Promise<Device> {
  return (await api.device(id)) ?? stop('CLI_DEVICE_UNKNOWN', `the server knows no device ${id}`, 'DEVICE');
}

async function runAssign(context: Context): Promise<void> {
  const { options, out } = context;
  const id = context.argument(0);
  const version = wholeNumber(context.argument(1), 1, 'VERSION');
  const rate = options.integer('bytes-per-second', 1);
  const rollout = options.text('rollout');
  const api = await context.api();
  const device = await knownDevice(api, id);
  if (device.revoked !== undefined) {
    stop('CLI_DEVICE_REVOKED', `${id} was revoked at ${device.revoked} and gets nothing`, 'DEVICE');
  }
  if ((await api.release(device.product, version)) === undefined) {
    stop('CLI_RELEASE_UNKNOWN', `${device.product} has no release ${version}`, 'VERSION');
  }
  const value = {
    release: version,
    consentRequired: options.flag('consent'),
    ...(rollout === undefined ? {} : { rollout }),
    ...(rate === undefined ? {} : { bytesPerSecondMax: rate }),
  };
  await api.putAssignment(id, value, { etag: await api.assignmentEtag(id), reason: options.text('reason') });
  out.result(
    { device: id, ...value },
    `Assigned release ${version} to ${id}; the device itself decides whether it is approved for it\n`,
  );
}

async function runUnassign(context: Context): Promise<void> {
  const id = context.argument(0);
  const api = await context.api();
  await knownDevice(api, id);
  const etag = await api.assignmentEtag(id);
  if (etag === undefined) return stop('CLI_NOT_ASSIGNED', `nothing is assigned to ${id}`, 'DEVICE');
  await api.deleteAssignment(id, etag, context.options.text('reason'));
  context.out.result({ device: id, assigned: null }, `Took the assignment of ${id} back\n`);
}

/** One role on the list of those that end. */
interface RoleLine {
  readonly product: string;
  readonly role: string;
  readonly version: number;
  readonly expires: number;
  /** From then on its renewal is due. */
  readonly renewFrom: number;
  readonly due: boolean;
  readonly alarm: Alarm | undefined;
}

interface ProductStatus {
  readonly product: string;
  readonly demo: boolean;
  readonly roles: readonly RoleLine[];
  readonly open: readonly Proposal[];
  /** Why the repository as a whole, or one function, is not in force. */
  readonly problems: readonly (Failure & { readonly role?: string })[];
}

async function productStatus(context: Context, api: ServerApi, product: string): Promise<ProductStatus> {
  const now = context.io.now();
  const proposals = await api.proposals(product);
  const open = proposals.filter(({ state }) => state !== 'published');
  const verified = await tryVerify(context.home, product, api, now);
  if (!verified.ok) return { product, demo: false, roles: [], open, problems: [verified.error] };
  const { view } = verified.value;
  const problems = Object.entries(view.failures).map(([role, failure]) => ({ ...failure, role }));
  return { product, demo: view.demo, roles: roleLines(view, product, now), open, problems };
}

interface Standing {
  readonly role: string;
  readonly version: number;
  readonly expires: number;
}

function roleLine(
  product: string,
  { role, version, expires }: Standing,
  strict: boolean,
  now: number,
): RoleLine {
  const life = roleLifeSeconds(role, strict);
  const renewFrom = renewalDue(expires, life);
  const alarm = alarmOf(expires, life, now);
  return { product, role, version, expires, renewFrom, due: renewFrom <= now, alarm };
}

function roleLines(view: ImageView, product: string, now: number): RoleLine[] {
  const strict = view.root.image?.minimum.classes.C !== undefined;
  const roles = [
    { ...view.root, role: 'root' },
    { ...view.targets, role: 'targets' },
    ...Object.entries(view.functions).map(([role, entry]) => ({ ...entry, role })),
  ];
  return roles.map((role) => roleLine(product, role, strict, now));
}

async function directorLine(context: Context): Promise<RoleLine[]> {
  const folder = context.home.path('director');
  const names = await readdir(folder).catch((): string[] => []);
  const versions = names.flatMap((name) => /^(\d+)\.root\.json$/.exec(name)?.[1] ?? []).map(Number);
  const newest = versions.toSorted((a, b) => b - a)[0];
  if (newest === undefined) return [];
  const bytes = await readSmallFile(
    context.home.path('director', `${newest}.root.json`),
    trustLimits.rootBytesMax,
  );
  const view = bytes.ok ? readRole(bytes.value) : bytes;
  if (!view.ok) return [];
  return [roleLine('(director)', { ...view.value, role: 'root' }, false, context.io.now())];
}

async function runStatus(context: Context): Promise<void> {
  const { home, out, io } = context;
  const api = await context.api();
  const devices = await api.devices();
  const products: ProductStatus[] = [];
  for (const product of await home.products()) products.push(await productStatus(context, api, product));
  const roles = [...(await directorLine(context)), ...products.flatMap((entry) => entry.roles)];
  const now = io.now();
  const text = [
    table(
      ['DEVICE', 'BOOTED', 'CONFIRMED', 'ASSIGNED', 'STATE', 'LAST RESULT', 'LAST SEEN'],
      devices.map(deviceRow),
    ),
    table(
      ['PRODUCT', 'ROLE', 'NUMBER', 'ENDS', 'RENEWAL', 'ALARM'],
      roles.map((role) => roleRow(role, now)),
    ),
    ...products.flatMap(openLines),
    ...products.flatMap(problemLines),
  ];
  const json = {
    devices,
    roles: roles.map((role) => ({
      ...role,
      expires: instant(role.expires),
      renewFrom: instant(role.renewFrom),
      alarm: role.alarm ?? null,
    })),
    products: products.map(({ product, demo, open, problems }) => ({ product, demo, open, problems })),
  };
  out.result(json, text.join('\n'));
}

function deviceRow(device: Device): string[] {
  const { reported } = device;
  return [
    device.device,
    String(reported?.booted ?? '-'),
    String(reported?.confirmed ?? '-'),
    `${device.assigned ?? '-'}${device.emergency ? ' EMERGENCY' : ''}`,
    device.revoked === undefined ? stateWords(device) : 'revoked',
    lastResult(device),
    device.lastSeen ?? 'never',
  ];
}

function roleRow(
  { product, role, version, expires, renewFrom, due, alarm }: RoleLine,
  now: number,
): string[] {
  const left = alarm === undefined || alarm === 'expired' ? (alarm ?? '') : `${alarm} left`;
  const renewal = due ? 'due' : instant(renewFrom);
  return [
    product,
    role,
    String(version),
    `${instant(expires)} (${remainingText(expires - now)})`,
    renewal,
    left,
  ];
}

function openLines({ product, open }: ProductStatus): string[] {
  return open.map(({ role, version, signedBy, threshold, state, problem, missing, until }) => {
    const who =
      state === 'open' ? `; missing one of ${missing.map(keyHolderText).join(', ')}; ends ${until}` : '';
    const why = problem === undefined ? who : `: ${problem}`;
    return `${plain(`${product}: ${role} number ${version} is ${state}, signed by ${signedBy.length} of ${threshold}${why}`)}\n`;
  });
}

export function keyHolderText({ keyId, holder, name }: KeyHolder): string {
  return name === undefined ? `key ${keyId.slice(0, 12)}` : `${name} <${holder ?? ''}>`;
}

function problemLines({ product, problems }: ProductStatus): string[] {
  return problems.map(
    ({ role, code, message }) => `${plain(`${product}: ${role ?? 'repository'}: ${code}: ${message}`)}\n`,
  );
}

async function runLog(context: Context): Promise<void> {
  const id = context.argument(0);
  const limit = context.options.integer('last', 1);
  const api = await context.api();
  await knownDevice(api, id);
  const { entries, findings, raw } = await api.log(id);
  const from = limit === undefined ? 0 : Math.max(0, entries.length - limit);
  const shown = entries.slice(from);
  const rows = shown.map((entry) => [
    String(entry.sequence),
    instant(entry.time),
    entry.code,
    entry.toVersion === undefined ? '' : String(entry.toVersion),
    entry.reason,
  ]);
  const found = findings.map((finding) => `FINDING ${plain(finding)}\n`).join('');
  const lines =
    rows.length === 0
      ? `The server has no log entry of ${plain(id)} yet\n`
      : table(['#', 'TIME', 'CODE', 'TO', 'REASON'], rows);
  context.out.result({ device: id, entries: raw.slice(from), findings }, `${lines}${found}`);
}

export const fleetCommands: readonly CommandSpec[] = [
  {
    usage: 'assign <device> <version>',
    summary: 'tell a device to install a release',
    help: 'The device installs it only if every function that it demands has approved it.',
    example: 'assign pump-0001 12',
    options: [
      { flags: '--rollout <name>', describe: 'name of the act, shown in evidence' },
      { flags: '--bytes-per-second <n>', describe: 'highest download rate' },
      { flags: '--consent', describe: "ask for the operator's consent" },
      reasonOption,
    ],
    run: runAssign,
  },
  {
    usage: 'unassign <device>',
    summary: 'take an assignment back; an attempt that is not activated ends',
    example: 'unassign pump-0001',
    options: [reasonOption],
    run: runUnassign,
  },
  {
    usage: 'status',
    summary: 'devices with what they reported, roles with when they end, open proposals',
    example: 'status --json',
    run: runStatus,
  },
  {
    usage: 'log <device>',
    summary: "a device's own log, as the server received it",
    example: 'log pump-0001 --last 20',
    options: [{ flags: '--last <n>', describe: 'only the newest entries' }],
    run: runLog,
  },
];
