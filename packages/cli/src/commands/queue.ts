/**
 * `queue` and `proposal remove`: what waits for whose signature, for each function.
 *
 * What a proposal would change, whose signatures it carries and whose are missing is worked out on this machine, from
 * what it verified; the server is believed only in what there is to look at. Where this machine cannot verify, it says so.
 */
import {
  describeChange,
  type ImageView,
  type KeysAndThreshold,
  readRole,
  verifyRoleFile,
} from '@airlock/trust';
import { requiredReason } from '../acts.ts';
import type { CommandSpec, Context } from '../command.ts';
import { plain } from '../output.ts';
import type { Proposal, KeyHolder } from '../proposal-answers.ts';
import type { FunctionQueue, Queue, RoleTerm } from '../queue-api.ts';
import type { ServerApi } from '../server-api.ts';
import { tryVerify } from '../signer.ts';
import { stop } from '../stop.ts';
import { keyHolderText } from './fleet.ts';

/** A proposal as this machine sees it. */
interface Shown {
  readonly role: string;
  readonly number: number;
  readonly state: string;
  readonly verified: boolean;
  /** What it changes, in words. */
  readonly changes: readonly string[];
  readonly signedBy: readonly KeyHolder[];
  readonly missing: readonly KeyHolder[];
  /** Signatures that are still needed. */
  readonly needed: number;
  readonly until: string;
  readonly proposedBy: string;
  readonly problem?: string;
}

function delegationOf(view: ImageView, role: string): KeysAndThreshold | undefined {
  if (role === 'root' || role === 'targets') return view.root.roles[role];
  return view.targets.functions.find(({ name }) => name === role);
}

function showProposal(proposal: Proposal, view: ImageView | undefined): Shown {
  const { role, version: number, state, until, proposedBy, problem } = proposal;
  const common = {
    role,
    number,
    state,
    until,
    proposedBy,
    ...(problem === undefined ? {} : { problem }),
  };
  const delegation = view === undefined ? undefined : delegationOf(view, role);
  if (view === undefined || delegation === undefined) {
    return {
      ...common,
      verified: false,
      changes: [],
      signedBy: proposal.signedBy.map((keyId) => ({ keyId })),
      missing: proposal.missing,
      needed: Math.max(0, proposal.threshold - proposal.signedBy.length),
    };
  }
  const person = (keyId: string): KeyHolder => {
    const held = view.policy.holders.find((entry) => entry.keyId === keyId);
    return held === undefined ? { keyId } : { keyId, holder: held.holder, name: held.name };
  };
  const file = Buffer.from(proposal.file);
  const held = role === 'root' ? view.state.root : view.state.roles[role];
  const changes = describeChange(held === undefined ? undefined : Buffer.from(held), file);
  const delegator =
    role === 'root' || role === 'targets' ? view.state.root : (view.state.roles['targets'] ?? '');
  const counted = verifyRoleFile(file, Buffer.from(delegator));
  const signedBy = counted.ok ? counted.value.validKeyIds : [];
  const missing = delegation.keys.map(({ keyId }) => keyId).filter((keyId) => !signedBy.includes(keyId));
  return {
    ...common,
    verified: true,
    changes: changes.ok ? changes.value.map(({ words }) => words) : [changes.error.message],
    signedBy: signedBy.map(person),
    missing: missing.map(person),
    needed: Math.max(0, delegation.threshold - signedBy.length),
  };
}

interface ProductQueue {
  readonly product: string;
  /** Why this machine could not verify; null: it did. */
  readonly unverified: string | null;
  readonly functions: readonly (Omit<FunctionQueue, 'proposal'> & { readonly proposal?: Shown })[];
  readonly proposals: readonly Shown[];
  readonly terms: readonly RoleTerm[];
}

async function readQueue(context: Context, api: ServerApi, product: string): Promise<ProductQueue> {
  const queue: Queue = await api.queue.read(product);
  const verified = await tryVerify(context.home, product, api, context.io.now());
  const view = verified.ok ? verified.value.view : undefined;
  const only = context.options.text('as');
  const functions = queue.functions.filter((entry) => only === undefined || entry.function === only);
  if (only !== undefined && functions.length === 0) {
    const known = queue.functions.map((entry) => entry.function).join(', ');
    return stop('CLI_FUNCTION', `${product} has no function "${only}"; it has ${known}`, '--as');
  }
  return {
    product,
    unverified: verified.ok ? null : `${verified.error.code}: ${verified.error.message}`,
    functions: functions.map(({ proposal, ...rest }) => ({
      ...rest,
      ...(proposal === undefined ? {} : { proposal: showProposal(proposal, view) }),
    })),
    proposals: only === undefined ? queue.proposals.map((entry) => showProposal(entry, view)) : [],
    terms: only === undefined ? queue.terms : [],
  };
}

function proposalLines(shown: Shown): string[] {
  const { role, number, state, changes, signedBy, missing, needed, until, problem } = shown;
  const people = (list: readonly KeyHolder[]) => list.map(keyHolderText).join(', ') || 'nobody';
  const waits =
    needed > 0
      ? `    missing ${needed} of: ${people(missing)}`
      : `    ${problem === undefined ? 'signed by enough' : `held back: ${problem}`}`;
  return [
    `  ${role} number ${number} is ${state}, until ${until}`,
    ...changes.map((words) => `    ${words}`),
    `    signed by ${people(signedBy)}`,
    waits,
    ...(shown.verified ? [] : ['    NOT VERIFIED on this machine: what it changes is not known']),
  ];
}

function termLine({ role, version, renewFrom, due, expires, alarm }: RoleTerm): string[] {
  if (!due && alarm === undefined) return [];
  const left = alarm === undefined || alarm === 'expired' ? (alarm ?? '') : `${alarm} left`;
  return [
    `  ${role} number ${version} ends ${expires} (${left}); renewal ${due ? 'is due' : `from ${renewFrom}`}`,
  ];
}

function functionLines(entry: ProductQueue['functions'][number]): string[] {
  const { reservation, releases, proposal, term } = entry;
  const lines = [
    ...(proposal === undefined ? [] : proposalLines(proposal)),
    ...(reservation === undefined
      ? []
      : [`  ${keyHolderText(reservation.by)} is signing number ${reservation.version} at this moment`]),
    ...releases.map(
      ({ version, name, emergency, askedFor }) =>
        `  release ${version} "${name}"${emergency ? ' (EMERGENCY)' : ''} waits for approval: ${askedFor.join(', ')}`,
    ),
    ...(term === undefined ? [] : termLine(term)),
  ];
  return [`${entry.function}:`, ...(lines.length === 0 ? ['  nothing waits'] : lines)];
}

function productLines(queue: ProductQueue): string {
  const lines = [
    `Queue of ${queue.product}`,
    ...(queue.unverified === null ? [] : [`WARNING: not verified on this machine: ${queue.unverified}`]),
    ...queue.functions.flatMap(functionLines),
    ...queue.proposals.flatMap(proposalLines),
    ...queue.terms.flatMap(termLine),
  ];
  return `${lines.map(plain).join('\n')}\n`;
}

async function runQueue(context: Context): Promise<void> {
  const [named] = context.args;
  await context.home.settings();
  const api = await context.api();
  const known = named === undefined ? (await api.products()).map(({ product }) => product) : [named];
  const products: ProductQueue[] = [];
  for (const product of known) products.push(await readQueue(context, api, product));
  context.out.result({ products }, products.map(productLines).join('\n'));
}

async function runRemove(context: Context): Promise<void> {
  const product = context.argument(0);
  const role = context.argument(1);
  const reason = requiredReason(context);
  const api = await context.api();
  const open = (await api.proposals(product)).find(
    (entry) => entry.role === role && entry.state !== 'published',
  );
  if (open === undefined)
    return stop('CLI_NO_PROPOSAL', `${role} of ${product} has no open proposal`, 'ROLE');
  await api.queue.remove(product, role, open.etag, reason);
  const view = readRole(Buffer.from(open.file));
  const number = view.ok ? view.value.version : open.version;
  context.out.result(
    { product, role, number, removed: true },
    `Took the proposal of ${plain(role)} ${number} away; its signatures count for nothing, and its number is used\n`,
  );
}

export const queueCommands: readonly CommandSpec[] = [
  {
    usage: 'queue [product]',
    summary: 'what waits for whose signature, for each function',
    help: 'Open proposals with whose signatures are missing and until when, releases that wait for a function, and roles\nwhose renewal is due. What a proposal changes is worked out on this machine.',
    example: 'queue infusion-pump --as quality',
    options: [{ flags: '--as <function>', describe: 'only this function' }],
    run: runQueue,
  },
  {
    usage: 'proposal remove <product> <role>',
    summary: 'take an open proposal away, with its signatures and its number',
    example: 'proposal remove infusion-pump quality --reason "wrong release"',
    options: [{ flags: '--reason <text>', describe: "why (needed); stands in the server's audit log" }],
    run: runRemove,
  },
];
