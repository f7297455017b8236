/** The options that `init` and `product add` share: what a product is, and who approves for it. */
import { isFunctionName, ok, parsePublicKey, type Result, trustLimits } from '@airlock/trust';
import type { Context, OptionSpec } from '../command.ts';
import { type CompanyInput, type Company, isSafetyClass, parseHolder, planCompany } from '../core/company.ts';
import { readKeyFile } from '../core/token-key.ts';
import { parseJson, readSmallFile } from '../files.ts';
import { keyTypes, type KeyType, type StoredKey } from '../keys.ts';
import { requireAttended } from '../passphrases.ts';
import { checkQuorum, type Quorum } from '../product.ts';
import { need, stop } from '../stop.ts';

export const keyOptions: readonly OptionSpec[] = [
  { flags: '--demo', describe: 'mark the root as a demo: one signature is enough, nobody needs to type' },
  { flags: '--key-type <type>', describe: 'ed25519 (default) or p256' },
  { flags: '--root-keys <n>', describe: 'keys of the root (default 3, demo 1)' },
  { flags: '--root-threshold <n>', describe: 'signatures that the root needs (default 2, demo 1)' },
];

export const productOptions: readonly OptionSpec[] = [
  { flags: '--class <A|B|C>', describe: 'safety class (IEC 62304)' },
  { flags: '--market <name>', describe: 'a market where it is sold, such as us', many: true },
  { flags: '--udi <text>', describe: 'UDI-DI that releases and devices carry by default' },
  {
    flags: '--function <spec>',
    describe: 'a function and its holder: quality="Dr. Ada Quill <ada>"',
    many: true,
  },
  {
    flags: '--threshold <spec>',
    describe: 'signatures that a function needs: quality=2 (default 1)',
    many: true,
  },
  { flags: '--minimum <spec>', describe: 'in the root, who must approve: C=engineering,quality', many: true },
  { flags: '--policy <spec>', describe: 'in the policy, who else: us=regulatory-us,quality:2', many: true },
  { flags: '--emergency-set <functions>', describe: 'who approves in an emergency: engineering,quality' },
  {
    flags: '--key <spec>',
    describe: 'a key that a holder made by key new: ada=FILE (its public half is enough)',
    many: true,
  },
  {
    flags: '--root-key <file>',
    describe: 'a root key that was made by key new, instead of new ones (it may be in a token)',
    many: true,
  },
  { flags: '--targets-key <file>', describe: 'the same for targets', many: true },
  { flags: '--provisioning-key <file>', describe: 'the same for the provisioning key', many: true },
  { flags: '--targets-keys <n>', describe: 'keys of targets (default 2, demo 1)' },
  { flags: '--targets-threshold <n>', describe: 'signatures that targets needs (default 2, demo 1)' },
];

export function keyType(context: Context): KeyType {
  return context.options.choice('key-type', keyTypes) ?? 'ed25519';
}

/** `option`: names the files of keys that were made before; then these are the keys, whatever --root-keys says. */
export function rootQuorum(context: Context, demo: boolean, option = 'root-key'): Quorum {
  const brought = context.options.list(option).map((file) => context.path(file));
  const count = context.options.integer('root-keys', 1) ?? (demo ? 1 : 3);
  const keys = brought.length > 0 ? brought.length : count;
  const threshold = context.options.integer('root-threshold', 1) ?? (demo ? 1 : Math.min(2, keys));
  return checkQuorum('root', { keys, threshold, brought }, 1);
}

function targetsQuorum(context: Context, demo: boolean): Quorum {
  const brought = context.options.list('targets-key').map((file) => context.path(file));
  const count = context.options.integer('targets-keys', 1) ?? (demo ? 1 : 2);
  const keys = brought.length > 0 ? brought.length : count;
  const threshold = context.options.integer('targets-threshold', 1) ?? Math.min(keys, demo ? 1 : 2);
  return checkQuorum('targets', { keys, threshold, brought }, demo ? 1 : 2);
}

/** One key signs what a device is, unless more are brought; then still one of them is enough at the factory. */
function provisioningQuorum(context: Context): Quorum {
  const brought = context.options.list('provisioning-key').map((file) => context.path(file));
  return { keys: Math.max(1, brought.length), threshold: 1, brought };
}

/** What a person said about the product, judged; nothing is made yet. */
export async function readProduct(context: Context, product: string) {
  const { options } = context;
  if (!isFunctionName(product)) {
    stop(
      'CLI_USAGE',
      `"${product}" must be a name: lower-case letters, digits and "-", at most 32`,
      'PRODUCT',
    );
  }
  const safetyClass = options.required('class');
  if (!isSafetyClass(safetyClass))
    return stop('CLI_USAGE', `--class must be A, B or C, not "${safetyClass}"`, '--class');
  const demo = options.flag('demo');
  requireAttended(context.ring.passphrases, { product, classes: [safetyClass], demo });
  const markets = options.list('market');
  const udi = options.text('udi');
  const input: CompanyInput = {
    product,
    safetyClass,
    markets,
    functions: await askFunctions(context),
    thresholds: options.list('threshold'),
    minimum: options.list('minimum'),
    policy: options.list('policy'),
    ...optionalText('emergency', options.text('emergency-set')),
  };
  const company: Company = need(planCompany(await askMinimum(context, input)));
  return {
    product,
    safetyClass,
    ...optionalText('udi', udi),
    demo,
    company,
    root: rootQuorum(context, demo),
    targets: targetsQuorum(context, demo),
    provisioning: provisioningQuorum(context),
    keyType: keyType(context),
    existing: await existingKeys(context, company),
  };
}

function optionalText<K extends string>(name: K, value: string | undefined): { [N in K]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [N in K]: string });
}

async function askFunctions(context: Context): Promise<string[]> {
  const given = context.options.list('function');
  const { terminal } = context.io;
  if (given.length > 0) return given;
  if (terminal === undefined) return stop('CLI_USAGE', 'at least two functions are needed', '--function');
  const asked: string[] = [];
  for (;;) {
    const line = await terminal.ask(
      'A function and its holder, as quality=Dr. Ada Quill <ada> (empty: no more): ',
    );
    if (line.trim() === '') return asked;
    need(parseHolder(line.trim()));
    asked.push(line.trim());
  }
}

/** Asks for what the options leave open; without a terminal `planCompany` names what is missing. */
async function askMinimum(context: Context, input: CompanyInput): Promise<CompanyInput> {
  const { terminal } = context.io;
  if (terminal === undefined) return input;
  const minimum = [...input.minimum];
  const open = [input.safetyClass, ...input.markets].filter(
    (subject) => !minimum.some((text) => text.startsWith(`${subject}=`)),
  );
  for (const subject of open) {
    const what =
      subject === input.safetyClass ? `class ${subject} (two at least)` : `market ${subject} (may be empty)`;
    minimum.push(`${subject}=${await terminal.ask(`Functions that must approve for ${what}, by commas: `)}`);
  }
  return { ...input, minimum };
}

/** A sealed key file, of which only the public half is read, or that half alone, as `key new` writes it. */
function readHolderKey(
  bytes: Uint8Array,
  file: string,
): Result<Pick<StoredKey, 'publicKey' | 'publicOnly' | 'place'>> {
  const sealed = readKeyFile(bytes, file);
  if (sealed.ok) return ok(sealed.value);
  const json = parseJson(Buffer.from(bytes).toString('utf8'), file);
  const alone = json.ok ? parsePublicKey(json.value, file) : json;
  return alone.ok ? ok({ publicKey: alone.value, publicOnly: true as const }) : sealed;
}

/** `ada=FILE`: keys that holders made before. */
async function existingKeys(context: Context, company: Company): Promise<Map<string, StoredKey>> {
  const found = new Map<string, StoredKey>();
  for (const text of context.options.list('key')) {
    const at = text.indexOf('=');
    const holder = text.slice(0, Math.max(at, 0));
    const known = company.functions.some(({ holders }) => holders.some((entry) => entry.holder === holder));
    if (!known || found.has(holder)) {
      stop('CLI_USAGE', `"${text}" must be HOLDER=FILE, once for each holder of a function`, '--key');
    }
    const file = context.path(text.slice(at + 1));
    const bytes = need(await readSmallFile(file, trustLimits.keyFileBytesMax));
    const key = need(readHolderKey(bytes, file), file);
    const twin = [...found].find(([, other]) => other.publicKey.spkiSha256 === key.publicKey.spkiSha256)?.[0];
    if (twin !== undefined) stop('CLI_KEY_SHARED', `one key is given for ${twin} and for ${holder}`, '--key');
    found.set(holder, { name: holder, file, ...key });
  }
  return found;
}
