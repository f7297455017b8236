/** `audit show | restart`: the server's audit log as this machine follows it. */
import { requiredReason } from '../acts.ts';
import type { CommandSpec, Context } from '../command.ts';
import { followAuditLog, heldCheckpoint, logOfPolicy, restartAuditLog } from '../audit-memory.ts';
import { plain } from '../output.ts';
import { verifyRepository } from '../signer.ts';
import { need, stop } from '../stop.ts';

async function followed(context: Context) {
  const product = context.argument(0);
  const api = await context.api();
  const { view } = await verifyRepository(context.home, product, api, context.io.now());
  return { product, api, log: logOfPolicy(product, view.policy) };
}

async function runShow(context: Context): Promise<void> {
  const { api, log } = await followed(context);
  const before = await heldCheckpoint(context.home, log);
  const { origin, size, root } = need(await followAuditLog(context.home, log, api.audit));
  const rootSha256 = Buffer.from(root).toString('hex');
  const since = before === undefined ? 'first seen now' : `continues the ${before.size} entries seen before`;
  context.out.result(
    { origin, size, rootSha256, keyId: log.key.keyId, seenBefore: before?.size ?? null },
    `${plain(origin)}: ${size} entries, root ${rootSha256}; ${since}\n`,
  );
}

async function runRestart(context: Context): Promise<void> {
  const reason = requiredReason(context);
  const { product, api, log } = await followed(context);
  const followedNow = await followAuditLog(context.home, log, api.audit);
  const held = await heldCheckpoint(context.home, log);
  if (followedNow.ok || followedNow.error.code !== 'OTA_AUDIT_FORK' || held === undefined) {
    need(followedNow);
    return stop(
      'CLI_AUDIT_LOG',
      `the audit log of ${product} continues what was seen; nothing is to be given up`,
      'PRODUCT',
    );
  }
  context.out.show(
    `${plain(followedNow.error.message)}\nWARNING: only a server that was restored from a backup has a reason for this. ` +
      'Acts that you saw are no longer in its log; a server that rewrites its history looks the same.\n',
  );
  const { terminal } = context.io;
  if (terminal === undefined) return stop('CLI_CONFIRMATION', 'nobody is here to confirm this', '--reason');
  const typed = await terminal.ask('To give up what was seen, type restart: ');
  if (typed.trim() !== 'restart') stop('CLI_DECLINED', `"${typed}" is not restart; nothing was changed`);
  const now = need(await restartAuditLog(context.home, log, api.audit, held));
  await context.home.recordKeyUse([
    {
      time: new Date(context.io.now() * 1000).toISOString(),
      keyId: log.key.keyId,
      key: log.origin,
      act: `audit restart: ${held.size} entries seen before, ${now.size} now`,
      unattended: false,
      reason,
    },
  ]);
  context.out.result(
    { origin: log.origin, before: held.size, size: now.size, reason },
    `Following ${plain(log.origin)} anew from ${now.size} entries; the old checkpoint is kept beside it\n`,
  );
}

export const auditCommands: readonly CommandSpec[] = [
  {
    usage: 'audit show <product>',
    summary: 'the newest checkpoint of the audit log, proven to continue what this machine saw',
    example: 'audit show infusion-pump',
    run: runShow,
  },
  {
    usage: 'audit restart <product>',
    summary: 'follow the log anew, after the server was restored from a backup',
    help: 'A log that does not continue what this machine saw is refused (OTA_AUDIT_FORK) and nothing is signed. When the\noperator says why, the checkpoint that was seen can be given up by hand; it is kept as evidence.',
    example: 'audit restart infusion-pump --reason "INC-12: restored from the backup of Monday"',
    options: [{ flags: '--reason <text>', describe: 'why (needed); kept in key-use.jsonl' }],
    run: runRestart,
  },
];
