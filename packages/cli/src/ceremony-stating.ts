/**
 * Statements of whoever signs a function's role in a ceremony: prepared over this machine's own memory of the audit log,
 * shown before a secret is asked for, made with the signature, handed on in the ceremony file, and looked for in the log
 * when the ceremony is published.
 *
 * Keeps true: the person is the one whom the ceremony's policy names for the key; what is stated is what
 * core/ceremony-statements.ts says the ceremony does. A function's role is in no ceremony that is signed offline, so
 * that there is always a log to look at.
 */
import { readStatementUnverified } from '@airlock/audit';
import { parsePolicy, type Policy, type Signer } from '@airlock/trust';
import { logOfPolicy } from './audit-memory.ts';
import { ownerName } from './ceremony-ground.ts';
import type { Context } from './command.ts';
import { type CeremonyRole, heldFile } from './core/ceremony-check.ts';
import type { CeremonyFile } from './core/ceremony-file.ts';
import { functionAct, releasesIn } from './core/ceremony-statements.ts';
import type { Ground } from './core/ceremony.ts';
import { meaningOf } from './core/signing.ts';
import type { StoredKey } from './keys.ts';
import { plain } from './output.ts';
import type { ServerApi } from './server-api.ts';
import {
  findEntry,
  keepStatement,
  makeStatement,
  prepareStatement,
  type Prepared,
  statementLine,
} from './stating.ts';
import { need } from './stop.ts';

/** A role to be signed with a key. */
export interface Task {
  readonly role: CeremonyRole;
  readonly key: StoredKey;
}

const isFunction = ({ role }: CeremonyRole): boolean => role !== 'root' && role !== 'targets';

function policyIn({ policy }: CeremonyFile): Policy {
  if (policy === undefined) throw new TypeError("a ceremony over a function's role has a policy");
  return need(parsePolicy(Buffer.from(policy)), 'policy.json');
}

/** What is known of each statement before the person is asked, by key id; shown. Codes: those of `prepareStatement`. */
export async function prepareStatements(
  context: Context,
  file: CeremonyFile,
  tasks: readonly Task[],
): Promise<ReadonlyMap<string, Prepared>> {
  const prepared = new Map<string, Prepared>();
  const product = ownerName(file.owner);
  for (const { role, key } of tasks.filter((task) => isFunction(task.role))) {
    const { keyId } = key.publicKey;
    const api = await context.api();
    const one = await prepareStatement(context.home, api.audit, { product, policy: policyIn(file), keyId });
    const meaning = meaningOf(functionAct(file.act, role.role, file.reason));
    context.out.show(`${plain(statementLine(one, meaning))}\n`);
    prepared.set(keyId, one);
  }
  return prepared;
}

/** The statement that goes with one signature, kept here before it leaves; undefined for a role that needs none. */
export async function stateTask(
  context: Context,
  on: { readonly ground: Ground; readonly file: CeremonyFile },
  task: Task & { readonly signer: Signer },
  prepared: ReadonlyMap<string, Prepared>,
): Promise<string | undefined> {
  const { role, signer } = task;
  const about = prepared.get(signer.publicKey.keyId);
  if (about === undefined || !isFunction(role)) return undefined;
  const { ground, file } = on;
  const product = ownerName(file.owner);
  const statement = makeStatement(about, signer, {
    product,
    act: functionAct(file.act, role.role, file.reason),
    file: role.file,
    bytesToSign: role.draft.bytesToSign,
    before: releasesIn(heldFile(ground, role.role)),
    now: context.io.now(),
  });
  await keepStatement(context.home, { product, role: role.role, version: role.version, statement });
  return statement;
}

/** That every statement of a published ceremony is an entry of the log. Codes: those of `findEntry`. */
export async function findStatements(
  context: Context,
  api: ServerApi,
  {
    file,
    checked,
  }: { readonly file: CeremonyFile; readonly checked: { readonly roles: readonly CeremonyRole[] } },
): Promise<void> {
  for (const { role, version } of checked.roles.filter(isFunction)) {
    const product = ownerName(file.owner);
    const log = logOfPolicy(product, policyIn(file));
    for (const statement of file.statements[role] ?? []) {
      const { signer } = need(readStatementUnverified(Buffer.from(statement)));
      await findEntry(context.home, api.audit, { log, signer }, { product, role, version, statement });
    }
  }
}
