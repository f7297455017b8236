/** Who may sign a role: the keys that its delegators name, with the persons whom the policy names. For showing. */
import type { KeyHolder } from '@airlock/protocol';
import { parsePolicy, type Policy, type PublicKey } from '@airlock/trust';
import { type Document, viewOf } from '../core/files.ts';

export function keyHoldersOf(
  role: string,
  delegators: readonly string[],
  policy: Document | undefined,
): KeyHolder[] {
  const parsed = policy === undefined ? undefined : parsePolicy(Buffer.from(policy.text));
  const holders = parsed?.ok === true ? parsed.value.holders : [];
  const keys = new Set(delegators.flatMap((file) => keysFor(file, role)).map(({ keyId }) => keyId));
  return [...keys].map((keyId) => keyHolder(keyId, holders));
}

export function keyHolder(keyId: string, holders: Policy['holders']): KeyHolder {
  const held = holders.find((entry) => entry.keyId === keyId);
  return held === undefined ? { keyId } : { keyId, holder: held.holder, name: held.name };
}

function keysFor(delegator: string, role: string): readonly PublicKey[] {
  const view = viewOf(delegator);
  if (view.kind === 'targets') return view.functions.find(({ name }) => name === role)?.keys ?? [];
  if (view.kind !== 'root') return [];
  return role === 'root' ? view.roles.root.keys : view.roles.targets.keys;
}
