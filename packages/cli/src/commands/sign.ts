/**
 * `release approve | withdraw` and `renew`: one act of one person for one function.
 *
 * The machine verifies the repository from its own held state, takes nothing but the proposal from the server, has
 * `planSignature` decide whether the proposal is that act and nothing else, shows what the signature changes, and
 * only then asks for the passphrase.
 */
import { approvalMeanings } from '@airlock/audit';
import { roleLifeSeconds } from '@airlock/protocol';
import { addSignature, type Manifest, sha256Hex } from '@airlock/trust';
import { confirmSigning, requiredReason } from '../acts.ts';
import { type CommandSpec, type Context, wholeNumber } from '../command.ts';
import {
  type Act,
  actWords,
  meaningOf,
  planSignature,
  signedListLines,
  type SigningPlan,
} from '../core/signing.ts';
import { emergencyNotice, emergencyStillOpen } from '../core/emergency.ts';
import { manifestLines } from '../core/manifest-lines.ts';
import { stillToApprove } from '../core/still-needed.ts';
import { parseJson } from '../files.ts';
import { instant, plain } from '../output.ts';
import type { Proposal } from '../proposal-answers.ts';
import type { Release } from '../server-api.ts';
import { burnNumber, sinceLastLook } from '../signer.ts';
import { alone, begin, holderOf, type Session } from '../signing-session.ts';
import {
  findEntry,
  keepStatement,
  makeStatement,
  prepareStatement,
  type Prepared,
  receiptLine,
  statementLine,
} from '../stating.ts';
import { need, stop } from '../stop.ts';
import { fetchRelease } from './release.ts';

async function openProposal(session: Session): Promise<Proposal | undefined> {
  const { api, product, verified } = session;
  const held = verified.view.functions[session.function]?.version ?? 0;
  const proposals = await api.proposals(product);
  return proposals.find(
    (entry) => entry.role === session.function && entry.state !== 'published' && entry.version > held,
  );
}

function plan(session: Session, act: Act, proposal: Proposal | undefined): SigningPlan {
  const { view, signer } = session.verified;
  const previous = view.state.roles[session.function];
  const strict = view.root.image?.minimum.classes.C !== undefined;
  return need(
    planSignature({
      product: session.product,
      function: session.function,
      act,
      previous: previous === undefined ? undefined : Buffer.from(previous),
      proposal: proposal === undefined ? undefined : Buffer.from(proposal.file),
      signedVersion: signer.signed[session.function] ?? 0,
      ...(session.number === undefined ? {} : { number: session.number }),
      keyId: session.key.publicKey.keyId,
      now: session.context.io.now(),
      lifeSeconds: roleLifeSeconds(session.function, strict),
    }),
  );
}

function show(session: Session, act: Act, what: SigningPlan, shown: { details: string; said: string }): void {
  const { out } = session.context;
  const { view } = session.verified;
  const person = holderOf(view, session.key.publicKey.keyId);
  const since = sinceLastLook(session.verified);
  const lines = [
    ...(since.length === 0
      ? []
      : ['Published by others since this machine looked last:', ...since.map(indent)]),
    `${person?.name ?? 'unknown'} <${person?.holder ?? '?'}> for ${session.function} of ${session.product}` +
      `${view.demo ? ' (DEMO root)' : ''}: ${actWords(act)}`,
  ];
  const { timestamp } = view.state;
  const list = {
    function: session.function,
    timestamp: timestamp === undefined ? undefined : Buffer.from(timestamp),
    now: session.context.io.now(),
  };
  const changes = [
    'This signature changes:',
    ...what.changes.map(({ words }) => indent(words)),
    ...signedListLines(list, what.releases),
    shown.said,
  ];
  out.show(`${lines.map(plain).join('\n')}\n${shown.details}${changes.map(plain).join('\n')}\n`);
}

function indent(text: string): string {
  return `  ${text}`;
}

async function sign(session: Session, act: Act, details: string, manifest?: Manifest): Promise<void> {
  const { context, api, product, verified } = session;
  const proposal = await openProposal(session);
  const what = plan(session, act, proposal);
  const { policy } = verified.view;
  const { keyId } = session.key.publicKey;
  const prepared = await prepareStatement(context.home, api.audit, { product, policy, keyId });
  show(session, act, what, { details, said: statementLine(prepared, meaningOf(act)) });
  await confirmSigning(context, act.kind === 'renew' ? 'renew' : String(act.version));
  const signer = await context.ring.signer(session.key);
  if (proposal === undefined) await reserveNumber(session, what);
  const signature = signer.sign(what.draft.bytesToSign);
  const file = need(addSignature(what.file, { keyId: signer.publicKey.keyId, signature }));
  const { bytesToSign } = what.draft;
  const before = verified.view.functions[session.function]?.releases ?? [];
  const stating = { product, act, file, bytesToSign, before, now: context.io.now() };
  const statement = makeStatement(prepared, signer, stating);
  const about = { product, role: session.function, version: what.draft.version, statement };
  await burnNumber(context.home, verified, session.function, what.draft.version);
  // Before the signature leaves: a use that nobody recorded must not be possible.
  const where = `${session.function} of ${product}, number ${what.draft.version}`;
  await context.ring.record(`${actWords(act)} as ${where}`, act.kind === 'withdraw' ? act.reason : undefined);
  await keepStatement(context.home, about);
  const answer = await api.putProposal({
    product,
    role: session.function,
    file: Buffer.from(file).toString('utf8'),
    previous: verified.view.functions[session.function]?.version ?? 0,
    ...(proposal === undefined ? {} : { etag: proposal.etag }),
    statements: [statement],
  });
  const entry = await findEntry(context.home, api.audit, prepared, about);
  report(session, act, what, answer, { prepared, entry, time: stating.now, manifest });
}

/**
 * The number and the content, before a signature exists: a colleague at the same moment is told to look again, and no
 * number stands for two contents. The server can lie about it; then this machine's own numbers still hold.
 */
async function reserveNumber({ api, product, function: role, verified, key }: Session, what: SigningPlan) {
  await api.queue.reserve(product, role, {
    version: what.draft.version,
    signedSha256: sha256Hex(what.draft.bytesToSign),
    keyId: key.publicKey.keyId,
    previous: verified.view.functions[role]?.version ?? 0,
  });
}

interface Receipt {
  readonly prepared: Prepared;
  /** Of the audit log. */
  readonly entry: number;
  readonly time: number;
  /** Of an approval. */
  readonly manifest: Manifest | undefined;
}

function report(session: Session, act: Act, what: SigningPlan, answer: Proposal, receipt: Receipt): void {
  const { context, verified, product, delegation } = session;
  const { view } = verified;
  const signedBy = [...new Set([...what.signedBy, session.key.publicKey.keyId])];
  const published = answer.state === 'published';
  const missing = delegation.keys
    .filter(({ keyId }) => !signedBy.includes(keyId))
    .map(({ keyId }) => holderOf(view, keyId)?.name ?? keyId.slice(0, 12));
  const open = act.kind === 'approve' && published ? stillToApprove(view, session.function, act) : [];
  const { manifest } = receipt;
  const emergency =
    manifest !== undefined && act.kind === 'approve' && published
      ? emergencyStillOpen(manifest, view, session.function, act)
      : [];
  const { unattended } = context.ring.passphrases;
  const state = published
    ? `Published: ${session.function} number ${what.draft.version}, valid until ${instant(what.expires)}`
    : `Signed by ${signedBy.length} of ${delegation.threshold} needed; ${
        answer.problem === undefined
          ? `still missing: one of ${missing.join(', ')}`
          : `held back: ${answer.problem}`
      }`;
  const lines = [
    state,
    receiptLine(receipt.prepared, receipt.entry, receipt.time),
    ...(open.length === 0 ? [] : [`Release ${actVersion(act)} still needs: ${open.join('; ')}`]),
    ...emergency,
    ...(act.kind === 'withdraw' ? [`Reason, in the statement and in key-use.jsonl: ${act.reason}`] : []),
    ...(unattended ? ['The passphrase was unattended; this is recorded.'] : []),
  ];
  const json = {
    product,
    function: session.function,
    act: actWords(act),
    number: what.draft.version,
    state: answer.state,
    signedBy,
    threshold: delegation.threshold,
    ...(published ? {} : { missing }),
    ...(act.kind === 'approve' ? { stillToApprove: open, emergency: manifest?.emergency === true } : {}),
    ...(act.kind === 'withdraw' ? { reason: act.reason } : {}),
    meaning: meaningOf(act),
    signer: receipt.prepared.signer,
    time: instant(receipt.time),
    auditEntry: receipt.entry,
    unattended,
    demo: view.demo,
  };
  context.out.result(json, `${lines.map(plain).join('\n')}\n`);
}

function actVersion(act: Act): string {
  return act.kind === 'renew' ? '' : String(act.version);
}

async function runApprove(context: Context): Promise<void> {
  const version = wholeNumber(context.argument(1), 1, 'VERSION');
  const meaning = context.options.choice('meaning', approvalMeanings) ?? 'approved for release';
  await alone(context, `approve ${context.argument(0)} ${version}`, async () => {
    const session = await begin(context);
    const { release, manifest, whole, bytes, sha256 } = await fetchRelease(
      session.api,
      session.product,
      version,
    );
    refuseOther(session, version, sha256);
    const act: Act = { kind: 'approve', version, length: bytes.length, sha256, meaning };
    const lines = manifestLines(whole, sha256, await earlierApproved(session, version));
    const notice = emergencyNotice(manifest, session.verified.view);
    await sign(session, act, `${notice}${lines}${withdrawnLine(release, version)}`, manifest);
  });
}

/** The newest release before this one that the function approves, for comparison; undefined when it is not served. */
async function earlierApproved({ api, product, function: name, verified }: Session, version: number) {
  const listed = verified.view.functions[name]?.releases.filter((entry) => entry.version < version) ?? [];
  const newest = listed.toSorted((a, b) => b.version - a.version)[0];
  if (newest === undefined) return undefined;
  const text = (await api.release(product, newest.version))?.manifest;
  // Only what was approved is compared with: another text of the server would mark the wrong fields.
  if (text === undefined || sha256Hex(Buffer.from(text)) !== newest.sha256) return undefined;
  return { version: newest.version, manifest: need(parseJson(text, 'the manifest')) };
}

/** Approving again is allowed, and for devices that saw the withdrawal it is in vain: trust remembers the manifest. */
function withdrawnLine({ withdrawnBy }: Release, version: number): string {
  if (withdrawnBy.length === 0) return '';
  return (
    `WARNING: ${withdrawnBy.map(plain).join(', ')} withdrew release ${version} before: devices that saw that refuse it ` +
    'for good, whatever is signed now. The way on is a new release with a higher version.\n'
  );
}

/** Two functions must never approve two contents under one number: the server may show each of us another one. */
function refuseOther({ verified }: Session, version: number, sha256: string): void {
  for (const [name, role] of Object.entries(verified.view.functions)) {
    const listed = role.releases.find((entry) => entry.version === version);
    if (listed !== undefined && listed.sha256 !== sha256) {
      const message = `${name} approved release ${version} as manifest ${listed.sha256.slice(0, 12)}, the server shows ${sha256.slice(0, 12)}`;
      stop('CLI_RELEASE_CHANGED', message, 'VERSION');
    }
  }
}

async function runWithdraw(context: Context): Promise<void> {
  const version = wholeNumber(context.argument(1), 1, 'VERSION');
  const reason = requiredReason(context);
  await alone(context, `withdraw ${context.argument(0)} ${version}`, async () => {
    await sign(await begin(context), { kind: 'withdraw', version, reason }, `  reason: ${plain(reason)}\n`);
  });
}

async function runRenew(context: Context): Promise<void> {
  await alone(context, `renew ${context.argument(0)}`, async () => {
    await sign(await begin(context), { kind: 'renew' }, '');
  });
}

const options = [
  { flags: '--as <function>', describe: 'the function that signs' },
  { flags: '--holder <id>', describe: 'whose key, when this home holds several of the function' },
  { flags: '--root <file>', describe: 'root to pin, on a machine that sees the product for the first time' },
  { flags: '--number <n>', describe: 'the number to sign, when colleagues gave up those before it' },
  { flags: '--yes', describe: 'do not ask; what would be shown is shown all the same' },
];

export const signCommands: readonly CommandSpec[] = [
  {
    usage: 'release approve <product> <version>',
    summary: 'sign a release for one function',
    help: 'This machine verifies the repository itself, shows what the signature changes, and refuses to sign anything but\nthis one approval, whatever the server offers.',
    example: 'release approve infusion-pump 12 --as quality',
    options: [
      ...options,
      {
        flags: '--meaning <text>',
        describe: 'what your signature means: authored, reviewed or "approved for release" (default)',
      },
    ],
    run: runApprove,
  },
  {
    usage: 'release withdraw <product> <version>',
    summary: "take a function's approval back",
    help: 'Devices that see the withdrawal refuse the release from then on, also when it is staged.',
    example: 'release withdraw infusion-pump 12 --as quality --reason "CAPA-77"',
    options: [
      ...options,
      { flags: '--reason <text>', describe: 'why (needed); stands in your statement and in the audit log' },
    ],
    run: runWithdraw,
  },
  {
    usage: 'renew <product>',
    summary: "extend the life of a function's role, with nothing else changed",
    example: 'renew infusion-pump --as quality',
    options,
    run: runRenew,
  },
];
