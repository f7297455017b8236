/**
 * The act of a ceremony as a person writes it on a command line, against what stands.
 *
 * Every option names one change; what is not named stays. Keys are named by a beginning of their id that only one key
 * of the role has, persons by their id. Pure but for reading the files that are named.
 */
import {
  type KeysAndThreshold,
  parsePolicy,
  parsePublicKey,
  type PublicKey,
  readRole,
  trustLimits,
} from '@airlock/trust';
import type { CeremonyGround } from '../ceremony-ground.ts';
import { type Context, type OptionSpec, wholeNumber } from '../command.ts';
import {
  type CeremonyAct,
  type HolderKey,
  type HoldersChange,
  type KeysChange,
  type RootRole,
  rootRoles,
} from '../core/ceremony-file.ts';
import { parseHolder } from '../core/company.ts';
import { readKeyFile } from '../core/token-key.ts';
import { Reader } from '../fields.ts';
import { parseJson, readJsonFile, readSmallFile } from '../files.ts';
import { nextOnlineKeys, readOnlineKeys } from '../online-keys.ts';
import { need, stop } from '../stop.ts';
import { serverConfig } from './product.ts';

export const actOptions: readonly OptionSpec[] = [
  { flags: '--add <spec>', describe: 'ROLE=FILE: a key of root, targets or provisioning', many: true },
  {
    flags: '--remove <spec>',
    describe: 'ROLE=KEYID (its beginning) or FUNCTION=HOLDER: a key goes',
    many: true,
  },
  {
    flags: '--stolen <spec>',
    describe: 'FUNCTION=HOLDER: as --remove, and new snapshot and timestamp keys with it',
    many: true,
  },
  { flags: '--function <spec>', describe: 'a new holder: quality="Dr. Eve Stone <eve>"', many: true },
  { flags: '--key <spec>', describe: "a new holder's key: eve=FILE (its public half is enough)", many: true },
  { flags: '--threshold <spec>', describe: 'signatures a role or function needs: root=2', many: true },
  { flags: '--online', describe: "new online keys, made at this home's server" },
  { flags: '--online-keys <file>', describe: 'the same, made elsewhere: the answer of online-keys --next' },
  {
    flags: '--drop <spec>',
    describe: 'FUNCTION=VERSION: a release that the thief approved goes',
    many: true,
  },
  {
    flags: '--revoke-secure-boot <id>',
    describe: 'a secure-boot key that no release may be signed with any more (see keys plan)',
    many: true,
  },
  { flags: '--renew <role>', describe: 'root or targets: nothing but number and expiry', many: true },
  { flags: '--number <spec>', describe: 'FUNCTION=NUMBER, when a thief used up the numbers', many: true },
];

/** `left=right`, once each. */
function pairs(context: Context, option: string, example: string): [string, string][] {
  return context.options.list(option).map((text) => {
    const at = text.indexOf('=');
    return at > 0 && at < text.length - 1
      ? [text.slice(0, at), text.slice(at + 1)]
      : stop('CLI_USAGE', `"${text}" must be as ${example}`, `--${option}`);
  });
}

function isRootRole(name: string): name is RootRole {
  return rootRoles.some((role) => role === name);
}

/** The public half of a key: alone, in a sealed file, or in a file that names a token. */
async function publicKeyIn(context: Context, name: string): Promise<PublicKey> {
  const file = context.path(name);
  const bytes = need(await readSmallFile(file, trustLimits.keyFileBytesMax));
  const whole = readKeyFile(bytes, file);
  if (whole.ok) return whole.value.publicKey;
  const json = parseJson(Buffer.from(bytes).toString('utf8'), file);
  const alone = json.ok ? parsePublicKey(json.value, file) : json;
  return alone.ok ? alone.value : need(whole, file);
}

/** Everything that the options say, as an act on `on`. Stops with CLI_USAGE or CLI_CEREMONY_ACT. */
export async function readAct(context: Context, on: CeremonyGround): Promise<CeremonyAct> {
  const stolen = pairs(context, 'stolen', 'quality=ada');
  const removed = [...pairs(context, 'remove', 'root=1f2e3d or quality=ada'), ...stolen];
  const thresholds = readThresholds(context);
  const keys = await readKeysChanges(context, on, removed, thresholds);
  const online = await readOnline(context, on, stolen.length > 0);
  const holders = await readHolders(context, on, removed, thresholds);
  const revoked = context.options.list('revoke-secure-boot');
  const renew = context.options
    .list('renew')
    .map((role) =>
      role === 'root' || role === 'targets'
        ? role
        : stop('CLI_USAGE', '--renew is for root or targets; functions have airlock renew', '--renew'),
    );
  return {
    keys: [...keys, ...online],
    holders,
    drop: pairs(context, 'drop', 'quality=13').map(([name, version]) => ({
      function: name,
      version: wholeNumber(version, 1, '--drop'),
    })),
    ...(revoked.length === 0 ? {} : { rules: { secureBootRevoke: revoked } }),
    renew: [...new Set(renew)],
  };
}

/** `--number quality=8`. */
export function readNumbers(context: Context): Record<string, number> {
  return Object.fromEntries(
    pairs(context, 'number', 'quality=8').map(([role, number]) => [
      role,
      wholeNumber(number, 1, '--number', trustLimits.metadataVersionMax),
    ]),
  );
}

async function readKeysChanges(
  context: Context,
  { root }: CeremonyGround,
  removed: readonly (readonly [string, string])[],
  thresholds: ReadonlyMap<string, number>,
): Promise<KeysChange[]> {
  const added = pairs(context, 'add', 'root=ada.public.json');
  const stray = added.find(([role]) => role === 'snapshot' || role === 'timestamp' || !isRootRole(role));
  if (stray !== undefined) {
    const message = `--add is for root, targets and provisioning, not "${stray[0]}"; functions have --function and --key`;
    stop('CLI_USAGE', message, '--add');
  }
  const held: Readonly<Record<RootRole, KeysAndThreshold | undefined>> = {
    ...root.roles,
    provisioning: root.image?.provisioning,
  };
  const changes: KeysChange[] = [];
  for (const role of rootRoles) {
    const before = held[role];
    const remove = removed.filter(([name]) => name === role).map(([, begin]) => findKey(role, before, begin));
    const add: PublicKey[] = [];
    for (const [name, file] of added) if (name === role) add.push(await publicKeyIn(context, file));
    const wanted = thresholds.get(role);
    if (remove.length === 0 && add.length === 0 && wanted === undefined) continue;
    changes.push({ role, remove, add, threshold: wanted ?? before?.threshold ?? 1 });
  }
  return changes;
}

function findKey(role: string, held: KeysAndThreshold | undefined, begin: string): string {
  const found = held?.keys.filter(({ keyId }) => keyId.startsWith(begin)) ?? [];
  const [first, second] = found;
  if (first !== undefined && second === undefined && begin.length >= 4) return first.keyId;
  const ids = held?.keys.map(({ keyId }) => keyId.slice(0, 12)).join(', ') ?? 'none';
  return stop(
    'CLI_CEREMONY_ACT',
    `"${begin}" must begin the id of one key of ${role}; it has ${ids}`,
    '--remove',
  );
}

/** New online keys take the place of all before. */
async function readOnline(context: Context, on: CeremonyGround, stolen: boolean): Promise<KeysChange[]> {
  const { owner } = on.ground;
  const file = context.options.text('online-keys');
  if (!stolen && file === undefined && !context.options.flag('online')) return [];
  const keys =
    file === undefined
      ? await nextOnlineKeys(serverConfig(context, await context.home.settings()), owner)
      : readOnlineKeys(
          new Reader(need(await readJsonFile(context.path(file))), { code: 'CLI_USAGE', name: file }),
          owner,
        );
  return onlineChanges(on, keys);
}

/** All keys of the online roles replaced by these. */
export function onlineChanges({ root }: CeremonyGround, keys: ReadonlyMap<string, PublicKey>): KeysChange[] {
  return [...keys].flatMap(([role, key]) => {
    if (!isRootRole(role) || role === 'root' || role === 'provisioning') return [];
    const before = root.roles[role].keys;
    return [{ role, remove: before.map(({ keyId }) => keyId), add: [key], threshold: 1 }];
  });
}

/** New holders and thresholds of functions alone, as `policy set` takes them. Nobody is removed by it. */
export async function readHolderChanges(context: Context, on: CeremonyGround): Promise<HoldersChange[]> {
  const thresholds = readThresholds(context);
  const stray = [...thresholds.keys()].find(isRootRole);
  if (stray !== undefined) {
    stop('CLI_USAGE', `${stray} is no function; its keys change by keys ceremony`, '--threshold');
  }
  return await readHolders(context, on, [], thresholds);
}

function readThresholds(context: Context): Map<string, number> {
  return new Map(
    pairs(context, 'threshold', 'root=2').map(([name, count]) => [
      name,
      wholeNumber(count, 1, '--threshold', trustLimits.keysPerRoleMax),
    ]),
  );
}

async function readHolders(
  context: Context,
  { ground }: CeremonyGround,
  removed: readonly (readonly [string, string])[],
  thresholds: ReadonlyMap<string, number>,
): Promise<HoldersChange[]> {
  const files = new Map(pairs(context, 'key', 'eve=eve.public.json'));
  const added = new Map<string, HolderKey[]>();
  for (const text of context.options.list('function')) {
    const { function: name, holder, name: person } = need(parseHolder(text));
    const file =
      files.get(holder) ?? stop('CLI_USAGE', `the key of ${holder} is needed: --key ${holder}=FILE`, '--key');
    files.delete(holder);
    const key = await publicKeyIn(context, file);
    added.set(name, [...(added.get(name) ?? []), { holder, name: person, key }]);
  }
  const stray = [...files.keys()][0];
  if (stray !== undefined) stop('CLI_USAGE', `--key ${stray} needs its --function`, '--key');
  const names = [...added.keys(), ...removed.map(([name]) => name), ...thresholds.keys()].filter(
    (name) => !isRootRole(name),
  );
  const targets = ground.image === undefined ? undefined : readRole(ground.image.targets);
  const offered = targets?.ok === true && targets.value.kind === 'targets' ? targets.value.functions : [];
  const policy = ground.image === undefined ? undefined : parsePolicy(Buffer.from(ground.image.policy));
  const known = policy?.ok === true ? policy.value.holders : [];
  return [...new Set(names)].map((name) => {
    const add = added.get(name) ?? [];
    const before = offered.find((entry) => entry.name === name);
    if (before === undefined && add.length === 0) {
      return stop('CLI_FUNCTION', `there is no role or function "${name}"`, '--remove');
    }
    const remove = removed.filter(([from]) => from === name).map(([, holder]) => holder);
    const stranger = remove.find(
      (holder) => !known.some((it) => it.holder === holder && it.function === name),
    );
    if (stranger !== undefined) {
      return stop('CLI_CEREMONY_ACT', `${stranger} holds no key of ${name}`, '--remove');
    }
    return { function: name, remove, add, threshold: thresholds.get(name) ?? before?.threshold ?? 1 };
  });
}
