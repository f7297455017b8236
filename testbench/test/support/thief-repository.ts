/**
 * What a thief with keys answers to a device: an image repository and a director that both name the thief's release.
 *
 * Every role is signed with the keys given, old or new; numbers are above all that the device has seen, so that
 * nothing but the signatures can be the reason for a refusal.
 */
import {
  draftFunction,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  encodeManifest,
  encodePolicy,
  parsePolicy,
  readRole,
  sha256Hex,
  signDraft,
  type Signer,
  type TrustState,
} from '@airlock/trust';
import type { CheckInAnswer } from '@airlock/protocol';
import { forgeDirector, type StolenKeys } from '../../src/forge.ts';
import { plainManifest } from '../../src/paper-company.ts';
import { functionNames, product } from '../../src/world/company.ts';

export interface ThiefKeys {
  readonly functions: Readonly<Record<'engineering' | 'quality', Signer>>;
  readonly online: Readonly<Record<'snapshot' | 'timestamp', Signer>>;
  readonly director: StolenKeys;
  /** Signs a `targets` that delegates to the keys above. */
  readonly targets?: Signer;
  /** Signs a next root that names all of the above. */
  readonly root?: Signer;
}

const day = 86_400;
const decoder = new TextDecoder();
/** Above every number that an honest scenario reaches. */
const ahead = 1000;

function evilManifest(version: number): Uint8Array {
  return encodeManifest({
    ...plainManifest(product, version),
    name: 'not approved by anybody',
    images: [{ component: 'rootfs', len: 1, hash: 'a'.repeat(64) }],
    change: {
      record: 'CR-0',
      impact: {
        assessment: 'none',
        safety: false,
        effectiveness: false,
        cybersecurity: false,
        labelling: false,
      },
      regulatory: { decision: 'none', reference: 'none' },
      links: ['https://qms.example/CR-1'],
    },
    authors: ['mallory'],
  });
}

function viewOf(text: string) {
  const view = readRole(Buffer.from(text));
  if (!view.ok) throw new Error(view.error.message);
  return view.value;
}

const one = (signer: Signer) => ({ keys: [signer.publicKey], threshold: 1 });

let turn = 0;

/** The answer to a device that holds `state`. */
export function thiefAnswer(
  device: string,
  state: TrustState,
  keys: ThiefKeys,
  version: number,
): CheckInAnswer {
  turn += 1;
  const now = Math.floor(Date.now() / 1000);
  const number = now + ahead + turn;
  const files: Record<string, string> = {};
  const manifest = evilManifest(version);
  const entry = { version, length: manifest.length, sha256: sha256Hex(manifest) };
  const roles: Record<string, Uint8Array> = {};
  const { targets } = state.image.roles;
  if (targets === undefined || state.policy === undefined) throw new Error('the device has heard of nothing');
  roles['targets'] = Buffer.from(targets);
  if (keys.root !== undefined) Object.assign(files, nextRoot(state, keys, keys.root, now));
  if (keys.targets !== undefined) {
    const policy = evilPolicy(state.policy, keys);
    files[`image/targets/${sha256Hex(policy)}.policy.json`] = decoder.decode(policy);
    const functions = functionNames.map((name) => ({ name, ...one(keys.functions[name]) }));
    const term = { product, version: number, expires: now + 90 * day };
    roles['targets'] = signDraft(draftTargets({ ...term, functions, policy }), [keys.targets]);
    files[`image/${number}.targets.json`] = decoder.decode(roles['targets']);
  }
  for (const name of functionNames) {
    const term = { product, function: name, version: number, expires: now + 60 * day };
    roles[name] = signDraft(draftFunction({ ...term, releases: [entry] }), [keys.functions[name]]);
    files[`image/${number}.${name}.json`] = decoder.decode(roles[name]);
  }
  const term = { repository: 'image' as const, product, version: number };
  const snapshot = signDraft(draftSnapshot({ ...term, expires: now + 7 * day, roles }), [
    keys.online.snapshot,
  ]);
  files[`image/${number}.snapshot.json`] = decoder.decode(snapshot);
  const stamp = { ...term, expires: now + day, issued: now, snapshot };
  files['image/timestamp.json'] = decoder.decode(signDraft(draftTimestamp(stamp), [keys.online.timestamp]));
  const answer = { kind: 'files' as const, etag: `"thief-${number}"`, files };
  const release = { product, version, manifestText: decoder.decode(manifest), functions: functionNames };
  return forgeDirector({ answer, device, keys: keys.director, release, now });
}

function evilPolicy(text: string, keys: ThiefKeys): Uint8Array {
  const policy = parsePolicy(Buffer.from(text));
  if (!policy.ok) throw new Error(policy.error.message);
  const holders = functionNames.map((name) => ({
    keyId: keys.functions[name].publicKey.keyId,
    holder: `mallory-${name}`,
    name: 'Mallory',
    function: name,
  }));
  return encodePolicy({ ...policy.value, holders });
}

function nextRoot(state: TrustState, keys: ThiefKeys, root: Signer, now: number): Record<string, string> {
  const held = viewOf(state.image.root);
  if (held.kind !== 'root' || held.image === undefined || keys.targets === undefined) {
    throw new Error('a root names targets');
  }
  const draft = draftRoot({
    repository: 'image',
    product,
    version: held.version + 1,
    expires: now + 365 * day,
    roles: {
      root: one(root),
      targets: one(keys.targets),
      snapshot: one(keys.online.snapshot),
      timestamp: one(keys.online.timestamp),
    },
    ...held.image,
  });
  return { [`image/${held.version + 1}.root.json`]: decoder.decode(signDraft(draft, [root])) };
}
