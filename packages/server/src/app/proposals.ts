/** Open proposals: shown with why they wait, and taken away. Their signatures come in by way of publishing.ts. */
import { fail, formatInstant, ok, type Result, sha256Hex } from '@airlock/trust';
import { isOver, proposalEtag } from '../core/proposal-life.ts';
import { imageOwner } from '../core/versions.ts';
import { type Actor, record } from './audit.ts';
import type { Context } from './context.ts';
import { attempt, countIn, raise, type RoleStatus, statusOf } from './publishing.ts';
import { loadImage } from './repositories.ts';
import { endProposal } from './reservations.ts';

/** Every open proposal of a product, with why it waits. */
export async function listProposals(
  context: Context,
  product: string,
): Promise<Result<readonly RoleStatus[]>> {
  const published = await loadImage(context.store, product);
  if (published === undefined) return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
  const now = context.clock.now();
  const rows = (await context.store.proposals(product)).filter((row) => !isOver(row, now));
  const statuses: RoleStatus[] = [];
  for (const row of rows) {
    const { enough } = countIn(row, published, rows);
    const others = rows.filter((other) => other !== row);
    const { problem } = enough ? await attempt(context, published, row, others) : {};
    const at = { repository: published, changes: rows };
    statuses.push(statusOf(row, at, problem === undefined ? {} : { problem }));
  }
  return ok(statuses);
}

/** Takes an open proposal away; its number stays used. */
export async function removeProposal(
  context: Context,
  request: {
    readonly product: string;
    readonly role: string;
    readonly ifMatch?: string;
    readonly by: Actor;
  },
): Promise<Result<true>> {
  const { product, role, ifMatch } = request;
  return await context.locks.run(imageOwner(product), async () => {
    const before = await context.store.product(product);
    const open = await context.store.proposal(product, role);
    if (before === undefined || open === undefined)
      return fail('API_NOT_FOUND', `${role} has no open proposal`, 'role');
    if (ifMatch !== proposalEtag(open)) {
      const code = ifMatch === undefined ? 'API_PRECONDITION_REQUIRED' : 'API_PRECONDITION';
      return fail(code, `removing the proposal needs If-Match: ${proposalEtag(open)}`, 'if-match');
    }
    await context.store.transaction(async (store) => {
      await raise(store, before);
      await endProposal(store, open);
      const { version, file, proposed } = open;
      await record(store, request.by, context.clock.now(), {
        act: 'proposal.remove',
        subject: { product, role, version },
        before: { sha256: sha256Hex(Buffer.from(file)), proposed: formatInstant(proposed) },
      });
    });
    return ok(true);
  });
}
