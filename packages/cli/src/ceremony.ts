/**
 * The three steps of a ceremony: starting a file, adding this home's signatures to it, publishing it when enough are
 * there. What may be signed is decided in core/ceremony-check.ts, on the ground of ceremony-ground.ts.
 *
 * Keeps true: nothing is signed that was not shown; a function's signature comes with its statement (ceremony-stating.ts); numbers and contents are recorded before a signature leaves;
 * publishing can be repeated after any interruption, since the same files change nothing.
 */
import { addSignature, sha256Hex } from '@airlock/trust';
import {
  attendance,
  type CeremonyGround,
  heldKeys,
  namesOf,
  ownerName,
  readGround,
  recordSignedAs,
  rootChain,
} from './ceremony-ground.ts';
import { findStatements, prepareStatements, stateTask, type Task } from './ceremony-stating.ts';
import type { Context } from './command.ts';
import {
  type CheckedCeremony,
  checkCeremony,
  heldFile,
  heldVersion,
  recordedGround,
  rolesInForce,
  nextTerms,
  numberOf,
  type CeremonyRole,
} from './core/ceremony-check.ts';
import type { CeremonyAct, CeremonyFile, CeremonySigner } from './core/ceremony-file.ts';
import { ceremonyLines, type NameOf } from './core/ceremony-words.ts';
import { planCeremony } from './core/ceremony.ts';
import { publicMode, writeFileAtomic } from './files.ts';
import { withLock } from './lock.ts';
import { requireAttended } from './passphrases.ts';
import type { ServerApi } from './server-api.ts';
import { burnNumber } from './signer.ts';
import { need, stop } from './stop.ts';

/** Makes the file of an act on what stands now. Stops with the codes of `planCeremony`. */
export async function startCeremony(
  context: Context,
  on: CeremonyGround,
  act: CeremonyAct,
  words: { readonly reason: string; readonly numbers: Readonly<Record<string, number>> },
): Promise<CeremonyFile> {
  const now = context.io.now();
  const signed = on.signer?.signed ?? {};
  const terms = need(nextTerms(on.ground, act, { now, signed, numbers: words.numbers }));
  const { drafts, policy } = need(planCeremony(on.ground, act, terms));
  const files = [...drafts].map(([role, { unsigned }]): [string, string] => [
    role,
    Buffer.from(unsigned).toString(),
  ]);
  return {
    owner: on.ground.owner,
    reason: words.reason,
    started: now,
    act,
    files: Object.fromEntries(files),
    ...(policy === undefined ? {} : { policy }),
    before: beforeOf(on, [...drafts.keys()]),
    chain: await rootChain(context, on),
    signed: [],
    statements: {},
  };
}

/** What the roles hold now that the ceremony makes anew. */
function beforeOf({ ground }: CeremonyGround, roles: readonly string[]): Record<string, string> {
  const { image } = ground;
  if (image === undefined || !roles.includes('targets')) return {};
  const texts = roles
    .filter((role) => role !== 'root')
    .map((role): [string, string] => [role, Buffer.from(heldFile(ground, role) ?? []).toString()]);
  return { ...Object.fromEntries(texts), 'policy.json': image.policy };
}

/** A ceremony file, judged on this machine. */
export interface Opened {
  readonly file: CeremonyFile;
  readonly on: CeremonyGround;
  readonly checked: CheckedCeremony;
  readonly nameOf: NameOf;
  /** Roles of it that are in force by now. */
  readonly inForce: readonly string[];
}

/** Judges a file on what stands here. Stops with the codes of `readGround` and `checkCeremony`. */
export async function openCeremony(
  context: Context,
  file: CeremonyFile,
  options: { readonly offline: boolean; readonly rootFile?: string },
): Promise<Opened> {
  const on = await readGround(context, file.owner, { ...options, chain: file.chain });
  const { signedAs, signer } = on;
  const nameOf = await namesOf(context, [signer?.policy, file.policy]);
  const inForce = rolesInForce(on.ground, file);
  if (inForce.length > 0) {
    // It is over, or was interrupted while it was published: shown as it records itself, and signed by nobody.
    const ground = need(recordedGround(file));
    const at = { now: file.started, signed: {}, signedAs: {} };
    return { file, on, checked: need(checkCeremony(ground, file, at)), nameOf, inForce };
  }
  const at = { now: context.io.now(), signed: signer?.signed ?? {}, signedAs };
  return { file, on, checked: need(checkCeremony(on.ground, file, at)), nameOf, inForce };
}

export function showCeremony(context: Context, { file, checked, nameOf }: Opened): void {
  context.out.show(ceremonyLines(file, checked, nameOf));
}

export interface SignOptions {
  /** Names of keys in this home; empty: all that count. */
  readonly keys: readonly string[];
  /** As it stands in the record; the policy's name of the holder wins. */
  readonly printedName?: string;
  /** Sign another root under a number that was signed here before. */
  readonly instead: boolean;
  readonly confirm: (fingerprint: string) => Promise<void>;
}

/** Adds the signatures of this home. Stops with CLI_KEY_MISSING, CLI_SIGNED_ALREADY, CLI_ROOT_SIGNED, CLI_UNATTENDED. */
export async function signCeremony(
  context: Context,
  opened: Opened,
  options: SignOptions,
): Promise<CeremonyFile> {
  const { file, on, checked, nameOf, inForce } = opened;
  if (inForce.length > 0)
    stop('CLI_CEREMONY_OVER', `${inForce.join(', ')} of this ceremony is in force already`);
  requireAttended(context.ring.passphrases, await attendance(context, on));
  const tasks = await tasksOf(context, checked, options.keys);
  refuseTwice(opened, tasks, options.instead);
  const prepared = await prepareStatements(context, file, tasks);
  await options.confirm(checked.fingerprint);
  const files = { ...file.files };
  const signed: CeremonySigner[] = [...file.signed];
  const statements: Record<string, readonly string[]> = { ...file.statements };
  const keys = new Map(tasks.map(({ key }) => [key.publicKey.keyId, key]));
  const added: [CeremonyRole, string, Uint8Array][] = [];
  for (const [keyId, key] of keys) {
    const signer = await context.ring.signer(key);
    for (const task of tasks.filter((it) => it.key === key)) {
      added.push([task.role, keyId, signer.sign(task.role.draft.bytesToSign)]);
      const { role } = task.role;
      const said = await stateTask(context, { ground: on.ground, file }, { ...task, signer }, prepared);
      if (said !== undefined) statements[role] = [...(statements[role] ?? []), said];
    }
    const name = policyName(nameOf(keyId)) ?? options.printedName ?? key.name;
    signed.push({ keyId, name, time: context.io.now() });
  }
  for (const [{ role }, keyId, signature] of added) {
    const next = need(addSignature(Buffer.from(files[role] ?? ''), { keyId, signature }), role);
    files[role] = Buffer.from(next).toString();
  }
  const roles = [...new Set(tasks.map(({ role }) => role))];
  await burn(context, on, roles);
  await context.ring.record(
    `ceremony of ${ownerName(file.owner)}: ${roles.map(numberOf).join(', ')}`,
    file.reason,
  );
  return { ...file, files, signed, statements };
}

/** Names of the policy are persons; names of this home's key files are not. */
function policyName(name: string | undefined): string | undefined {
  return name?.endsWith('>') === true ? name : undefined;
}

async function tasksOf(
  context: Context,
  checked: CheckedCeremony,
  names: readonly string[],
): Promise<Task[]> {
  const tasks: Task[] = [];
  let counted = 0;
  for (const role of checked.roles) {
    const held = await heldKeys(
      context,
      role.needs.flatMap(({ keys }) => keys),
    );
    const mine = held.filter(({ name }) => names.length === 0 || names.includes(name));
    counted += mine.length;
    for (const key of mine) {
      if (!role.signedBy.includes(key.publicKey.keyId)) tasks.push({ role, key });
    }
  }
  if (tasks.length > 0) return tasks;
  if (counted > 0) {
    return stop('CLI_SIGNED_ALREADY', 'every key of this home that counts has signed this ceremony already');
  }
  const which = names.length === 0 ? 'no key' : `no key of ${names.join(', ')}`;
  return stop(
    'CLI_KEY_MISSING',
    `this home holds ${which} that counts in this ceremony`,
    context.home.path('keys'),
  );
}

/**
 * Roots are numbered without gaps, so that a ceremony which was given up leaves its number to the next one. Two roots of
 * one number, both with enough signatures, would split the fleet for ever: whoever signs the second must mean it.
 */
function refuseTwice({ on, file }: Opened, tasks: readonly Task[], instead: boolean): void {
  for (const { role } of tasks) {
    const before = on.signedAs[numberOf(role)];
    if (
      before === undefined ||
      before === sha256Hex(role.draft.bytesToSign) ||
      role.role !== 'root' ||
      instead
    ) {
      continue;
    }
    const message =
      `another root ${role.version} of ${ownerName(file.owner)} was signed here before; if both got enough signatures, ` +
      'the fleet would split: destroy every copy of the other file, then say --instead';
    stop('CLI_ROOT_SIGNED', message, '--instead');
  }
}

/** Before a signature leaves: the numbers, and the content that each stands for from now on. */
async function burn(context: Context, on: CeremonyGround, roles: readonly CeremonyRole[]): Promise<void> {
  const { home } = context;
  const { owner } = on.ground;
  const entries = roles.map((role) => [numberOf(role), sha256Hex(role.draft.bytesToSign)] as const);
  for (const role of roles) {
    const same = on.signedAs[numberOf(role)] === sha256Hex(role.draft.bytesToSign);
    if (role.role === 'root' || same || on.signer === undefined) continue;
    await burnNumber(home, { signer: on.signer }, role.role, role.version);
  }
  await recordSignedAs(home, owner, Object.fromEntries(entries));
}

/** One act of signing at a time in a home, as in commands/sign.ts. */
export async function alone<T>(context: Context, act: string, work: () => Promise<T>): Promise<T> {
  await context.home.settings();
  return await withLock(context.home, { name: 'signing.lock', act, waitMs: 0 }, work);
}

/** Stops with CLI_CEREMONY_OPEN, naming what is missing. */
function requireEnough({ checked, nameOf }: Opened): void {
  const open = checked.roles.flatMap(({ role, needs }) =>
    needs
      .filter(({ signedBy, threshold }) => signedBy.length < threshold)
      .map(({ by, signedBy, threshold, keys }) => {
        const left = keys.filter(({ keyId }) => !signedBy.includes(keyId));
        const who = left.map(({ keyId }) => nameOf(keyId) ?? keyId.slice(0, 12)).join(', ');
        return `${role} has ${signedBy.length} of ${threshold} signatures that ${by} asks, still to sign: ${who}`;
      }),
  );
  if (open.length > 0) stop('CLI_CEREMONY_OPEN', open.join('; '));
}

/**
 * Publishes a ceremony with enough signatures, and verifies afterwards, as a device would, that it is in force.
 * Stops with CLI_CEREMONY_OPEN when the server holds it back.
 */
export async function publishCeremony(context: Context, api: ServerApi, opened: Opened): Promise<void> {
  const { file } = opened;
  requireEnough(opened);
  if (file.owner.repository === 'director') {
    if (opened.inForce.length === 0) await api.postDirectorRoot(file.files['root'] ?? '', file.reason);
  } else {
    await publishImage(api, file.owner.product, opened);
  }
  const after = await readGround(context, file.owner, { offline: false });
  const inForce = rolesInForce(after.ground, file);
  const open = Object.keys(file.files).filter((role) => !inForce.includes(role));
  if (open.length === 0) return await findStatements(context, api, opened);
  const found = open.map((role) => `${role} ${heldVersion(after.ground, role)}`).join(', ');
  stop(
    'CLI_CEREMONY_OPEN',
    `${open.join(', ')} was sent, and ${found} is what the server shows; finish again`,
  );
}

/**
 * In an order in which each file can be counted, and none comes into force before those that it must come with:
 * `targets` and functions wait for a root whose online keys are new, unless the root itself names the keys of targets.
 * A root with a new minimum goes first as well: a policy is judged against it, and it waits for one that meets it.
 */
async function publishImage(api: ServerApi, product: string, { file, on, inForce }: Opened): Promise<void> {
  if (file.policy !== undefined) {
    const bytes = Buffer.from(file.policy);
    await api.putPolicy(product, sha256Hex(bytes), bytes, file.reason);
  }
  const names = Object.keys(file.files).filter((role) => role !== 'root' && role !== 'targets');
  const newKeys = file.act.keys.some(({ role }) => role === 'targets');
  const rootFirst = newKeys || file.act.minimum !== undefined;
  const order = rootFirst ? ['root', 'targets', ...names] : ['targets', ...names, 'root'];
  const proposals = await api.proposals(product);
  for (const role of order) {
    const text = file.files[role];
    if (text === undefined || inForce.includes(role)) continue;
    const open = proposals.find((entry) => entry.role === role && entry.state !== 'published');
    await api.putProposal({
      product,
      role,
      file: text,
      previous: heldVersion(on.ground, role),
      reason: file.reason,
      ...(file.statements[role] === undefined ? {} : { statements: [...file.statements[role]] }),
      ...(open === undefined ? {} : { etag: open.etag }),
    });
  }
}

export async function writeCeremony(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, text, publicMode);
}
