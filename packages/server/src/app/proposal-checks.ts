/**
 * Whether a presented role may be proposed at all: its number, what it refers to, and what every device would refuse of
 * it, said before anything is stored.
 *
 * Keeps true: a number that was ever signed or reserved never stands for another content, and one whose proposal ended
 * stands for nothing.
 */
import { fail, formatInstant, newRepositoryState, ok, type Result } from '@airlock/trust';
import type { ImageRepository } from '../core/files.ts';
import { proposalEtag } from '../core/proposal-life.ts';
import { countsNoMore, type Presented, readPresented } from '../core/proposals.ts';
import { checkWhole } from '../core/whole.ts';
import { directorOwner } from '../core/versions.ts';
import type { ProposalRow, RoleFile } from '../ports/store.ts';
import type { Context } from './context.ts';
import { policyOf } from './repositories.ts';
import { checkAuditLog } from './statements.ts';

/** Answers the role in force when there is nothing left to do: the very file is published. */
export async function checkNumber(
  context: Context,
  published: ImageRepository,
  presented: Presented,
  open: ProposalRow | undefined,
  request: { readonly product: string; readonly ifMatch?: string },
): Promise<Result<RoleFile | undefined>> {
  const { product } = request;
  const { role, version } = presented;
  const inForce = role === 'root' ? published.root : published.roles.get(role);
  if (inForce !== undefined && version <= inForce.version && !countsNoMore(published, inForce)) {
    const now = readPresented(product, role, inForce.file);
    if (version === inForce.version && now.ok && now.value.signedSha256 === presented.signedSha256) {
      return ok(inForce);
    }
    const message = `${role} ${version} is not above the published version ${inForce.version}`;
    return fail('API_VERSION_USED', message, 'signed.version');
  }
  if (role === 'root' && version !== published.root.version + 1) {
    return fail(
      'API_VERSION_USED',
      `the next root must be version ${published.root.version + 1}`,
      'signed.version',
    );
  }
  const used = await context.store.usedNumber(product, role, version);
  const sameContent = used?.signedSha256 === presented.signedSha256;
  // Roots are numbered without gaps (TUF 5.3.5), so that a withdrawn root's number must be taken again.
  const mayReuse = role === 'root' && (open === undefined || request.ifMatch === proposalEtag(open));
  if (used !== undefined && !sameContent && !mayReuse) {
    const message = `${role} ${version} was signed before with another content: take the next number`;
    return fail('API_VERSION_USED', message, 'signed.version');
  }
  if (used?.voided === true && role !== 'root') {
    const message = `the proposal of ${role} ${version} ended, and its signatures with it: take the next number`;
    return fail('API_VERSION_USED', message, 'signed.version');
  }
  if (open !== undefined && !sameContent && request.ifMatch !== proposalEtag(open)) {
    const code = request.ifMatch === undefined ? 'API_PRECONDITION_REQUIRED' : 'API_PRECONDITION';
    const message = `${role} has an open proposal ${open.version}; replacing it needs If-Match: ${proposalEtag(open)}`;
    return fail(code, message, 'if-match');
  }
  return ok(undefined);
}

/** What a role refers to must be here, or devices would be sent after files that nobody serves. */
export async function checkNeeds(
  context: Context,
  product: string,
  presented: Presented,
): Promise<Result<true>> {
  const { store } = context;
  const { view } = presented;
  if (view.kind === 'targets') {
    const policy = await store.document(product, view.policy.sha256);
    if (policy !== undefined) return await checkAuditLog(context, policy);
    const message = `upload the policy ${view.policy.sha256} first`;
    return fail('API_MISSING_FILE', message, 'signed.targets.policy.json');
  }
  if (view.kind === 'function') {
    for (const { version, sha256 } of view.releases) {
      const release = await store.release(product, version);
      if (release?.manifestSha256 === sha256) continue;
      const what = release === undefined ? 'is not known here' : 'has another manifest here';
      return fail(
        'API_MISSING_FILE',
        `release ${version} ${what}`,
        `signed.targets.${view.role}/${version}.json`,
      );
    }
  }
  return ok(true);
}

/**
 * What no later signature could heal: a role that ended, a root that is none, `targets` whose policy every device would
 * refuse under the root in force and under the proposed one. Errors: the device's own, and those of core/whole.ts.
 */
export async function checkAcceptable(
  context: Context,
  published: ImageRepository,
  presented: Presented,
  proposals: readonly RoleFile[],
): Promise<Result<true>> {
  const { view, role, version } = presented;
  const now = context.clock.now();
  if (view.expires <= now) {
    const message = `${role} ${version} ended at ${formatInstant(view.expires)}, here it is ${formatInstant(now)}`;
    return fail('OTA_EXPIRED', message, 'signed.expires');
  }
  const { product } = published;
  if (view.kind === 'root') {
    const state = newRepositoryState({ repository: 'image', product }, presented.file);
    if (!state.ok) return state;
    // Its minimum is judged with the targets that come into force with it; its keys stand alone.
    return checkWhole({ root: presented, roles: new Map() }, await directorRoot(context));
  }
  return view.kind === 'targets' ? await checkTargets(context, published, presented, proposals) : ok(true);
}

async function checkTargets(
  context: Context,
  published: ImageRepository,
  presented: Presented,
  proposals: readonly RoleFile[],
): Promise<Result<true>> {
  const policy = await policyOf(context.store, published.product, presented.file);
  if (policy === undefined) return ok(true);
  const director = await directorRoot(context);
  const nextRoot = proposals.find((row) => row.role === 'root');
  const roles = new Map([['targets', presented]]);
  const inForce = checkWhole({ root: published.root, roles, policy }, director);
  if (inForce.ok || nextRoot === undefined) return inForce;
  return checkWhole({ root: nextRoot, roles, policy }, director);
}

/** Both repositories as they would be: the last judgement before anything comes into force. */
export async function checkTogether(context: Context, after: ImageRepository): Promise<Result<true>> {
  return checkWhole(after, await directorRoot(context));
}

async function directorRoot({ store }: Context): Promise<string | undefined> {
  return (await store.currentRoles(directorOwner)).find(({ role }) => role === 'root')?.file;
}
