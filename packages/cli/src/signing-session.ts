/**
 * Who signs what: the product verified by this machine itself, the function, and the one key of the person at it.
 *
 * Keeps true: one act of signing at a time in a home; a function's role that is hidden stops the act; a passphrase that
 * nobody types is refused where class B or C is at stake. What is signed is decided by `sign.ts`.
 */
import { type ImageView, type KeysAndThreshold, trustLimits } from '@airlock/trust';
import { type Context, wholeNumber } from './command.ts';
import type { StoredKey } from './keys.ts';
import { withLock } from './lock.ts';
import { requireAttended } from './passphrases.ts';
import type { ServerApi } from './server-api.ts';
import { type Verified, verifyRepository } from './signer.ts';
import { Stop, stop } from './stop.ts';

/** One act on its way: who signs what, for which product. */
export interface Session {
  readonly context: Context;
  readonly api: ServerApi;
  readonly product: string;
  readonly function: string;
  readonly delegation: KeysAndThreshold;
  readonly verified: Verified;
  readonly key: StoredKey;
  /** The number that the person named. */
  readonly number: number | undefined;
}

/**
 * One act at a time from verifying to sending: two windows of one home would sign one number for two contents. Nobody
 * is waited for, since the other window may wait at its prompt for hours.
 */
export async function alone(context: Context, act: string, work: () => Promise<void>): Promise<void> {
  // First of all, so that a folder that is no home is called that.
  await context.home.settings();
  await withLock(context.home, { name: 'signing.lock', act, waitMs: 0 }, work);
}

export async function begin(context: Context): Promise<Session> {
  const { home, options, io, ring } = context;
  const product = context.argument(0);
  const name = options.required('as');
  const rootFile = options.text('root');
  const api = await context.api();
  const pin = rootFile === undefined ? undefined : context.path(rootFile);
  const verified = await verifyRepository(home, product, api, io.now(), pin);
  const { view } = verified;
  const delegation = view.targets.functions.find((entry) => entry.name === name);
  if (delegation === undefined) {
    const known = view.targets.functions.map((entry) => entry.name).join(', ');
    return stop('CLI_FUNCTION', `${product} has no function "${name}"; it has ${known}`, '--as');
  }
  // Never published is a state that a new function has; anything else that hides the role is an attack or a fault.
  const failure = view.functions[name] === undefined ? view.failures[name] : undefined;
  if (failure !== undefined && failure.code !== 'OTA_MISSING_FILE') throw new Stop(failure);
  // What the policy adds is approved by this signature as well as what the minimum asks.
  const sets = [view.root.image?.minimum.classes, view.policy.classes];
  const classes = (['A', 'B', 'C'] as const).filter((letter) =>
    sets.some((set) => set?.[letter] !== undefined),
  );
  requireAttended(ring.passphrases, { product, classes, demo: view.demo });
  const key = await chooseKey(context, name, delegation, view);
  const named = options.text('number');
  const number =
    named === undefined ? undefined : wholeNumber(named, 1, '--number', trustLimits.metadataVersionMax);
  return { context, api, product, function: name, delegation, verified, key, number };
}

/** The key of the person who signs; named by --holder when this home holds more than one. */
async function chooseKey(
  { ring, options, home }: Context,
  name: string,
  delegation: KeysAndThreshold,
  view: ImageView,
): Promise<StoredKey> {
  const held = await ring.find(delegation.keys);
  const holder = options.text('holder');
  const found = held.filter(({ publicKey }) => {
    const person = holderOf(view, publicKey.keyId);
    return holder === undefined || person?.holder === holder;
  });
  const [first, second] = found;
  if (first === undefined) {
    const who = holder === undefined ? '' : ` of ${holder}`;
    return stop('CLI_KEY_MISSING', `this home holds no key${who} for function ${name}`, home.path('keys'));
  }
  if (second !== undefined) {
    const names = found.map(({ publicKey }) => holderOf(view, publicKey.keyId)?.holder ?? '?').join(', ');
    return stop('CLI_USAGE', `this home holds keys of ${names} for ${name}; say whose is meant`, '--holder');
  }
  return first;
}

export function holderOf(view: ImageView, keyId: string) {
  return view.policy.holders.find((held) => held.keyId === keyId);
}
