/**
 * What this machine saw of the audit log: the newest checkpoint that it verified, kept to find a server out that shows
 * another history later.
 *
 * Keeps true: a newer checkpoint replaces the held one only with the proof that it continues it; a log that forked is
 * refused (OTA_AUDIT_FORK) and the held checkpoint stays, as evidence. One file for each log, whatever the product:
 *
 *     audit/<name of the log, hashed>.json        the newest checkpoint
 *     audit/<the same>.<size>.forked.json         one that a person gave up (`airlock audit restart`)
 */
import { rename } from 'node:fs/promises';
import { type Checkpoint, followLog, logOf, type LogIdentity, openCheckpoint } from '@airlock/audit';
import { fail, ok, type Policy, type Result, sha256Hex } from '@airlock/trust';
import type { AuditApi } from './audit-api.ts';
import { Reader } from './fields.ts';
import { exists, readJsonFile, secretMode, writeFailure, writeFileAtomic } from './files.ts';
import type { Home } from './home.ts';
import { withLock } from './lock.ts';
import { need, Stop, stop } from './stop.ts';

/** As for verifying a repository: another command that is at it is waited for, a person is not. */
const waitMs = 30_000;

/** The log that a product's verified policy names. Stops with CLI_AUDIT_LOG when it names none. */
export function logOfPolicy(product: string, policy: Policy): LogIdentity {
  const log = logOf(policy);
  if (log !== undefined) return log;
  const message = `the policy of ${product} names no audit log; without one no signature can be bound to a time`;
  return stop('CLI_AUDIT_LOG', message, 'policy.auditKey');
}

function fileOf(home: Home, { origin }: LogIdentity): string {
  return home.path('audit', `${sha256Hex(Buffer.from(origin)).slice(0, 32)}.json`);
}

/** The held checkpoint; undefined on a machine that sees the log for the first time. */
export async function heldCheckpoint(home: Home, log: LogIdentity): Promise<Checkpoint | undefined> {
  const file = fileOf(home, log);
  if (!(await exists(file))) return undefined;
  const reader = new Reader(need(await readJsonFile(file)), { code: 'CLI_HOME_DAMAGED', name: file });
  reader.object(['schema', 'origin', 'size', 'rootSha256']);
  reader.at('schema').choice(['airlock-audit-seen/1']);
  const root = Buffer.from(reader.at('rootSha256').text(), 'hex');
  return { origin: reader.at('origin').choice([log.origin]), size: reader.at('size').integer(0), root };
}

async function keep(home: Home, log: LogIdentity, { origin, size, root }: Checkpoint): Promise<void> {
  const rootSha256 = Buffer.from(root).toString('hex');
  const text = JSON.stringify({ schema: 'airlock-audit-seen/1', origin, size, rootSha256 });
  await writeFileAtomic(fileOf(home, log), text, secretMode);
}

/** A checkpoint that was followed, with the signed note that says it. */
export interface Followed extends Checkpoint {
  readonly note: Uint8Array;
}

/**
 * Fetches the newest checkpoint, verifies that it continues the held one, and keeps it. Codes: AUDIT_CHECKPOINT,
 * AUDIT_SIGNATURE, OTA_AUDIT_FORK. One command at a time: the slower of two would put an older one back.
 */
export async function followAuditLog(home: Home, log: LogIdentity, api: AuditApi): Promise<Result<Followed>> {
  return await alone(home, async () => {
    const seen = await heldCheckpoint(home, log);
    const note = await api.checkpoint();
    const steps = followLog(log, note, seen);
    let next = steps.next();
    while (next.done !== true) next = steps.next(await api.consistency(next.value.first, next.value.size));
    const followed = next.value;
    if (followed.ok && followed.value.size !== seen?.size) await keep(home, log, followed.value);
    return followed.ok ? ok({ ...followed.value, note }) : followed;
  });
}

/**
 * Gives the held checkpoint up for the one that is shown now, and keeps the old one beside it. For a server that was
 * restored from a backup: entries that this machine saw are gone. Code: CLI_AUDIT_LOG when nothing is to be given up.
 */
export async function restartAuditLog(
  home: Home,
  log: LogIdentity,
  api: AuditApi,
  given: Checkpoint,
): Promise<Result<Checkpoint>> {
  return await alone(home, async () => {
    const held = await heldCheckpoint(home, log);
    // While a person read, another command may have gone on.
    if (held?.size !== given.size)
      return fail('CLI_HOME_CHANGED', 'the audit log was followed by another command');
    const opened = openCheckpoint(await api.checkpoint(), log);
    if (!opened.ok) return opened;
    const file = fileOf(home, log);
    const aside = `${file.slice(0, -'.json'.length)}.${held.size}.forked.json`;
    try {
      await rename(file, aside);
    } catch (error) {
      throw new Stop(writeFailure(error, aside));
    }
    await keep(home, log, opened.value);
    return opened;
  });
}

async function alone<T>(home: Home, work: () => Promise<T>): Promise<T> {
  return await withLock(home, { name: 'verify.lock', act: 'following the audit log', waitMs }, work);
}
