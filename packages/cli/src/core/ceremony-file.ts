/**
 * The ceremony file (`airlock-ceremony/1`): what is handed from one holder to the next until enough have signed.
 *
 * It names one act, says why, and carries the role files that the act makes, with the signatures that were added so
 * far. Nothing in it is believed: each holder's machine makes the role files again from what it verified itself and
 * from the act (ceremony.ts), and compares. Parsed strictly, within limits. Pure.
 * `signed` is a list for people and paper: names and times as each signer's machine wrote them. What counts are the
 * signatures in the role files.
 */
import {
  canonicalBytes,
  formatInstant,
  type FunctionThresholds,
  isFunctionName,
  type Minimum,
  parseInstant,
  parsePolicy,
  parsePublicKey,
  type PublicKey,
  publicKeyJson,
  type SafetyClass,
  trustLimits,
  type UtcSeconds,
} from '@airlock/trust';
import { Reader } from '../fields.ts';
import { need } from '../stop.ts';

/** A product's image repository, or the director of the whole fleet. */
export type CeremonyOwner =
  | { readonly repository: 'image'; readonly product: string }
  | { readonly repository: 'director' };

export const rootRoles = ['root', 'targets', 'snapshot', 'timestamp', 'provisioning'] as const;
export type RootRole = (typeof rootRoles)[number];

/** Keys of one role that the root names. */
export interface KeysChange {
  readonly role: RootRole;
  /** Whole key ids. */
  readonly remove: readonly string[];
  readonly add: readonly PublicKey[];
  /** The threshold afterwards. */
  readonly threshold: number;
}

export interface HolderKey {
  readonly holder: string;
  readonly name: string;
  readonly key: PublicKey;
}

/** Holders of one function, which `targets` and the policy name together. */
export interface HoldersChange {
  readonly function: string;
  /** Ids of persons. */
  readonly remove: readonly string[];
  readonly add: readonly HolderKey[];
  readonly threshold: number;
}

/** The rules of the policy; what is not said stays. */
export interface RulesChange {
  readonly classes?: Readonly<Partial<Record<SafetyClass, FunctionThresholds>>>;
  readonly markets?: Readonly<Record<string, FunctionThresholds>>;
  /** `none`: there is no emergency set any more. */
  readonly emergency?: FunctionThresholds | 'none';
  /** Secure-boot keys that releases may no longer be signed with, besides those revoked before. */
  readonly secureBootRevoke?: readonly string[];
}

/** The one thing that a ceremony does. Everything absent stays as it is. */
export interface CeremonyAct {
  readonly keys: readonly KeysChange[];
  readonly holders: readonly HoldersChange[];
  /** Releases that a function, whose keys change, does not list any more. */
  readonly drop: readonly { readonly function: string; readonly version: number }[];
  readonly minimum?: Minimum;
  readonly rules?: RulesChange;
  /** Roles that are signed anew with nothing but their number and expiry changed. */
  readonly renew: readonly ('root' | 'targets')[];
}

export interface CeremonySigner {
  readonly keyId: string;
  readonly name: string;
  readonly time: UtcSeconds;
}

export interface CeremonyFile {
  readonly owner: CeremonyOwner;
  readonly reason: string;
  readonly started: UtcSeconds;
  readonly act: CeremonyAct;
  /** Role files by role: `root`, `targets`, functions. */
  readonly files: Readonly<Record<string, string>>;
  /** Text of policy.json, when it changes or is signed anew. */
  readonly policy?: string;
  /**
   * What the act changes, as it stood when the ceremony began: `targets`, functions, `policy.json`. For showing a
   * ceremony that is over; whoever signs compares with what their own machine verified.
   */
  readonly before: Readonly<Record<string, string>>;
  /** Roots from the first on, for holders whose machine is further behind or not connected. */
  readonly chain: readonly string[];
  readonly signed: readonly CeremonySigner[];
  /** Of each function's role: a statement for each signature (`airlock-ceremony/1` in docs/formats.md). */
  readonly statements: Readonly<Record<string, readonly string[]>>;
}

const schema = 'airlock-ceremony/1';
/** 64 roots of 64 kB are the most that a device follows in one check; real ones have 3 kB. */
export const ceremonyBytesMax = 6_000_000;
/** A sentence and the number of a record; more belongs into that record. */
export const reasonCharactersMax = 500;
const nameCharactersMax = 128;
const holderPattern = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const sha256Pattern = /^[0-9a-f]{64}$/;

export function encodeCeremony(file: CeremonyFile): string {
  const { owner, reason, started, act, files, policy, before, chain, signed, statements } = file;
  const value = {
    schema,
    owner,
    reason,
    started: formatInstant(started),
    act: {
      keys: act.keys.map((change) => ({ ...change, add: change.add.map(publicKeyJson) })),
      holders: act.holders.map((change) => ({
        ...change,
        add: change.add.map((entry) => ({ ...entry, key: publicKeyJson(entry.key) })),
      })),
      drop: act.drop,
      ...(act.minimum === undefined ? {} : { minimum: act.minimum }),
      ...(act.rules === undefined ? {} : { rules: act.rules }),
      renew: act.renew,
    },
    files,
    ...(policy === undefined ? {} : { policy }),
    before,
    chain,
    signed: signed.map((entry) => ({ ...entry, time: formatInstant(entry.time) })),
    statements,
  };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** Reads a ceremony file's JSON. Stops with CLI_CEREMONY_FILE, naming file and field. */
export function readCeremony(value: unknown, origin: string): CeremonyFile {
  const reader = new Reader(value, { code: 'CLI_CEREMONY_FILE', name: origin });
  reader.object([
    'schema',
    'owner',
    'reason',
    'started',
    'act',
    'files',
    'policy',
    'before',
    'chain',
    'signed',
    'statements',
  ]);
  reader.at('schema').choice([schema]);
  const policy = reader.optional('policy');
  const signedMax = trustLimits.signaturesMax * 2;
  return {
    owner: readOwner(reader.at('owner')),
    reason: line(reader.at('reason'), reasonCharactersMax),
    started: moment(reader.at('started')),
    act: readAct(reader.at('act')),
    files: texts(reader.at('files'), ['root', 'targets']),
    ...(policy === undefined ? {} : { policy: policy.text() }),
    before: texts(reader.at('before'), ['targets', 'policy.json']),
    chain: list(reader.at('chain'), trustLimits.rootRotationsMax, (entry) => entry.text()),
    signed: list(reader.at('signed'), signedMax, (entry) => {
      entry.object(['keyId', 'name', 'time']);
      return {
        keyId: keyId(entry.at('keyId')),
        name: line(entry.at('name'), nameCharactersMax),
        time: moment(entry.at('time')),
      };
    }),
    statements: Object.fromEntries(
      reader
        .at('statements')
        .entries()
        .map(([role, entry]) => [
          roleName(entry, role),
          list(entry, trustLimits.signaturesMax, (envelope) => envelope.text()),
        ]),
    ),
  };
}

function readOwner(reader: Reader): CeremonyOwner {
  reader.object(['repository', 'product']);
  const repository = reader.at('repository').choice(['image', 'director']);
  if (repository === 'image') return { repository, product: name(reader.at('product')) };
  if (reader.optional('product') !== undefined) reader.refuse('names a product, and the director has none');
  return { repository };
}

function readAct(reader: Reader): CeremonyAct {
  reader.object(['keys', 'holders', 'drop', 'minimum', 'rules', 'renew']);
  const minimum = reader.optional('minimum');
  const rules = reader.optional('rules');
  return {
    keys: list(reader.at('keys'), rootRoles.length, readKeysChange),
    holders: list(reader.at('holders'), trustLimits.functionsMax, readHoldersChange),
    drop: list(reader.at('drop'), trustLimits.releasesPerRoleMax, (entry) => {
      entry.object(['function', 'version']);
      const version = entry.at('version').integer(1, trustLimits.releaseVersionMax);
      return { function: name(entry.at('function')), version };
    }),
    ...(minimum === undefined ? {} : { minimum: readMinimum(minimum) }),
    ...(rules === undefined ? {} : { rules: readRules(rules) }),
    renew: list(reader.at('renew'), 2, (entry) => entry.choice(['root', 'targets'])),
  };
}

function readKeysChange(reader: Reader): KeysChange {
  reader.object(['role', 'remove', 'add', 'threshold']);
  return {
    role: reader.at('role').choice(rootRoles),
    remove: list(reader.at('remove'), trustLimits.keysPerRoleMax, keyId),
    add: list(reader.at('add'), trustLimits.keysPerRoleMax, key),
    threshold: reader.at('threshold').integer(1, trustLimits.keysPerRoleMax),
  };
}

function readHoldersChange(reader: Reader): HoldersChange {
  reader.object(['function', 'remove', 'add', 'threshold']);
  const holder = (entry: Reader): string =>
    holderPattern.test(entry.text()) ? entry.text() : entry.refuse('must be the id of a person');
  return {
    function: name(reader.at('function')),
    remove: list(reader.at('remove'), trustLimits.keysPerRoleMax, holder),
    add: list(reader.at('add'), trustLimits.keysPerRoleMax, (entry) => {
      entry.object(['holder', 'name', 'key']);
      return {
        holder: holder(entry.at('holder')),
        name: line(entry.at('name'), nameCharactersMax),
        key: key(entry.at('key')),
      };
    }),
    threshold: reader.at('threshold').integer(1, trustLimits.keysPerRoleMax),
  };
}

/** Judged by trust's own parser, inside a policy that asks nothing else. */
function readRules(reader: Reader): RulesChange {
  const object = reader.object(['classes', 'markets', 'emergency', 'secureBootRevoke']);
  const { secureBootRevoke, emergency, ...sets } = object;
  const dropped = emergency === 'none';
  const policy = {
    schema: 'airlock-policy/1',
    product: 'any',
    classes: {},
    markets: {},
    holders: [],
    ...sets,
    ...(emergency === undefined || dropped ? {} : { emergency }),
    secureBootRevoked: secureBootRevoke ?? [],
  };
  const parsed = need(parsePolicy(canonicalBytes(policy)), reader.origin.name);
  return {
    ...(object['classes'] === undefined ? {} : { classes: parsed.classes }),
    ...(object['markets'] === undefined ? {} : { markets: parsed.markets }),
    ...(dropped ? { emergency: 'none' } : {}),
    ...(parsed.emergency === undefined ? {} : { emergency: parsed.emergency }),
    ...(secureBootRevoke === undefined ? {} : { secureBootRevoke: parsed.secureBootRevoked }),
  };
}

/** A minimum has the form of a policy's sets, but may ask less than two functions of a class. */
function readMinimum(reader: Reader): Minimum {
  reader.object(['classes', 'markets']);
  const thresholds = (entry: Reader): FunctionThresholds =>
    Object.fromEntries(
      entry
        .entries()
        .map(([role, count]) => [roleName(count, role), count.integer(1, trustLimits.keysPerRoleMax)]),
    );
  const classes: Partial<Record<SafetyClass, FunctionThresholds>> = {};
  for (const letter of ['A', 'B', 'C'] as const) {
    const found = reader.at('classes').optional(letter);
    if (found !== undefined) classes[letter] = thresholds(found);
  }
  reader.at('classes').object(['A', 'B', 'C']);
  const markets = reader.at('markets').entries();
  return {
    classes,
    markets: Object.fromEntries(markets.map(([market, set]) => [roleName(set, market), thresholds(set)])),
  };
}

function texts(reader: Reader, others: readonly string[]): Record<string, string> {
  const entries = reader.entries().map(([role, text]): [string, string] => {
    const known = others.includes(role) || isFunctionName(role);
    return [known ? role : text.refuse('is no role that people sign'), text.text()];
  });
  return Object.fromEntries(entries);
}

function list<T>(reader: Reader, entriesMax: number, read: (entry: Reader) => T): T[] {
  const entries = reader.list();
  return entries.length <= entriesMax
    ? entries.map(read)
    : reader.refuse(`must have at most ${entriesMax} entries`);
}

function line(reader: Reader, charactersMax: number): string {
  const text = reader.text();
  const good = text.length > 0 && text.length <= charactersMax && !/\p{C}/u.test(text);
  return good ? text : reader.refuse(`must be one line of 1 to ${charactersMax} characters`);
}

function name(reader: Reader): string {
  return roleName(reader, reader.text());
}

function roleName(reader: Reader, text: string): string {
  return isFunctionName(text) ? text : reader.refuse(`"${text}" is no name of a role, function or market`);
}

function key(reader: Reader): PublicKey {
  return need(parsePublicKey(reader.value, reader.path), reader.origin.name);
}

function keyId(reader: Reader): string {
  const text = reader.text();
  return sha256Pattern.test(text) ? text : reader.refuse('must be a whole key id of 64 hex digits');
}

function moment(reader: Reader): UtcSeconds {
  return parseInstant(reader.text()) ?? reader.refuse('must be a moment as 2026-11-25T12:00:00Z');
}
