/**
 * A ceremony in words: what a holder reads before signing, and the record that is printed and kept with the company's
 * papers. The paper has 78 columns. Pure.
 *
 * Names beside signatures are as each signer's machine wrote them; the record says so, and has a line for the hand.
 */
import type { PublicKey } from '@airlock/trust';
import { instant, plain } from '../output.ts';
import type { CeremonyFile, CeremonyOwner } from './ceremony-file.ts';
import type { CheckedCeremony, CeremonyRole } from './ceremony-check.ts';
import { functionAct } from './ceremony-statements.ts';
import { meaningOf } from './signing.ts';

function ownerWords(owner: CeremonyOwner): string {
  return owner.repository === 'director' ? 'the director (whole fleet)' : `product ${owner.product}`;
}

/** `1a2b 3c4d ...`: groups of four, as they are read out over a telephone. */
export function grouped(hex: string): string {
  return hex.replaceAll(/(.{4})(?=.)/g, '$1 ');
}

/** Who a key is, as far as this machine knows: a holder of the policy, or a key file of this home. */
export type NameOf = (keyId: string) => string | undefined;

function keyWords(keyId: string, nameOf: NameOf): string {
  const name = nameOf(keyId);
  return `${keyId.slice(0, 16)}${name === undefined ? '' : ` (${name})`}`;
}

/** A record that only a key signed which goes is no record any more. */
function whyRecords(file: CeremonyFile): string[] {
  const goes = file.act.keys.some(({ role, remove }) => role === 'provisioning' && remove.length > 0);
  if (!goes) return [];
  return [
    'WARNING: a device whose record only the provisioning key signed that goes installs nothing until it gets a new',
    'one with a higher number. Where the key was not stolen, sign all records with the others first (see keys plan).',
  ];
}

/** Why a rotation of one key takes others along (DESIGN "What is kept"). */
function whyOnlineKeys(file: CeremonyFile): string[] {
  const replaced = new Set(file.act.keys.filter(({ remove }) => remove.length > 0).map(({ role }) => role));
  const functions = file.act.holders.filter(({ remove }) => remove.length > 0);
  if (functions.length === 0) return [];
  const names = functions.map((change) => change.function).join(', ');
  if (replaced.has('snapshot') && replaced.has('timestamp')) {
    return [
      `Snapshot and timestamp keys change too: whoever had the key of ${names} could have signed a number so high that`,
      'no later one counts. Devices forget the numbers of a function with its keys, but the snapshot remembers',
      'them, and is forgotten only with its own keys and those of the timestamp.',
    ];
  }
  return [
    `WARNING: if a key of ${names} was stolen, snapshot and timestamp keys must change in the same ceremony`,
    '(--stolen instead of --remove): otherwise a number that the thief signed could end the function for good.',
  ];
}

/** What each signature of a function's role states (21 CFR 11.50(a)(3)). */
function meaningLines(file: CeremonyFile, role: string): string[] {
  if (role === 'root' || role === 'targets') return [];
  const act = functionAct(file.act, role, file.reason);
  const about = act.kind === 'withdraw' ? `, release ${act.version}` : ', the list as it is now';
  return [`  each signature states: "${meaningOf(act)}"${about}`];
}

function roleLines(file: CeremonyFile, of: CeremonyRole, nameOf: NameOf): string[] {
  const { role, version, expires, changes, needs } = of;
  const lines = [`${role}, number ${version}, valid until ${instant(expires)}`];
  for (const { words } of changes) lines.push(`  ${words}`);
  lines.push(...meaningLines(file, role));
  for (const { by, threshold, keys, signedBy } of needs) {
    const missing = keys.filter(({ keyId }) => !signedBy.includes(keyId));
    lines.push(`  signatures for ${by}: ${signedBy.length} of ${threshold} needed, of ${keys.length} keys`);
    for (const keyId of signedBy) lines.push(`    signed   ${keyWords(keyId, nameOf)}`);
    if (signedBy.length >= threshold) continue;
    for (const { keyId } of missing) lines.push(`    missing  ${keyWords(keyId, nameOf)}`);
  }
  return lines;
}

/** What a holder reads, on the terminal, before a secret is asked for. */
export function ceremonyLines(file: CeremonyFile, checked: CheckedCeremony, nameOf: NameOf): string {
  const lines = [
    `Ceremony for ${ownerWords(file.owner)}, started ${instant(file.started)}`,
    `Reason: ${file.reason}`,
    '',
    ...checked.roles.flatMap((role) => [...roleLines(file, role, nameOf), '']),
  ];
  if (checked.policyChanges.length > 0) {
    lines.push('policy.json', ...checked.policyChanges.map(({ words }) => `  ${words}`), '');
  }
  const why = [...whyOnlineKeys(file), ...whyRecords(file)];
  if (why.length > 0) lines.push(...why, '');
  lines.push(`Fingerprint: ${grouped(checked.fingerprint)}`);
  return `${lines.map(plain).join('\n')}\n`;
}

const paperColumns = 78;

/** A long line as several, broken at spaces, further ones set in by two. Only what is longer than a line is cut. */
function wrapped(text: string): string[] {
  const margin = /^ */.exec(text)?.[0] ?? '';
  const lines: string[] = [];
  let line = margin;
  const room = paperColumns - margin.length - 2;
  const words = text
    .trim()
    .split(' ')
    .flatMap((word) => word.match(new RegExp(`.{1,${room}}`, 'g')) ?? ['']);
  for (const word of words) {
    const begun = line.trim() !== '';
    if (begun && line.length + 1 + word.length > paperColumns) {
      lines.push(line);
      line = `${margin}  ${word}`;
    } else line += begun ? ` ${word}` : word;
  }
  return [...lines, line];
}

/** Keys that appear in the act, with their whole ids: what is compared with the holder's own paper. */
function keyLines(file: CeremonyFile): string[] {
  const added = (place: string, key: PublicKey, who = ''): string[] => [
    `  new key of ${place}${who}: ${key.keytype === 'ecdsa' ? 'ECDSA P-256' : 'Ed25519'}`,
    `    ${grouped(key.keyId)}`,
  ];
  const gone = (place: string, what: string): string => `  taken away from ${place}: ${what}`;
  return [
    ...file.act.keys.flatMap(({ role, add, remove }) => [
      ...add.flatMap((key) => added(role, key)),
      ...remove.map((keyId) => gone(role, grouped(keyId))),
    ]),
    ...file.act.holders.flatMap((change) => [
      ...change.add.flatMap(({ key, name, holder }) =>
        added(change.function, key, `, held by ${name} <${holder}>`),
      ),
      ...change.remove.map((holder) => gone(change.function, `<${holder}>`)),
    ]),
  ];
}

/** The printed record: everything on one paper, with lines for the hands of those who were there. */
export function ceremonyRecord(
  file: CeremonyFile,
  checked: CheckedCeremony,
  at: { readonly nameOf: NameOf; readonly printed: number; readonly published: boolean },
): string {
  const rule = '-'.repeat(78);
  const signers = file.signed.map(({ keyId, name, time }) => [
    `  ${name}`,
    `    key ${grouped(keyId)}`,
    `    signed ${instant(time)} by the clock of that machine`,
    '',
    '    by hand: ________________________________   date: ______________',
    '',
  ]);
  const lines = [
    'AIRLOCK - RECORD OF A KEY CEREMONY',
    rule,
    `for        ${ownerWords(file.owner)}`,
    `reason     ${file.reason}`,
    `started    ${instant(file.started)}`,
    `printed    ${instant(at.printed)}`,
    `state      ${at.published ? 'published and verified' : 'NOT PUBLISHED: signatures are missing'}`,
    '',
    'Fingerprint of what was signed',
    `  ${grouped(checked.fingerprint.slice(0, 32))}`,
    `  ${grouped(checked.fingerprint.slice(32))}`,
    '',
    'What changed',
    ...checked.roles.flatMap(({ role, version, expires, changes }) => [
      `  ${role}, number ${version}, valid until ${instant(expires)}`,
      ...changes.map(({ words }) => `    ${words}`),
      ...meaningLines(file, role).map((line) => `  ${line}`),
    ]),
    ...(checked.policyChanges.length === 0 ? [] : ['  policy.json']),
    ...checked.policyChanges.map(({ words }) => `    ${words}`),
    ...[...whyOnlineKeys(file), ...whyRecords(file)].map((line) => `  ${line}`),
    '',
    'Keys',
    ...keyLines(file),
    '',
    'Signatures (names as each machine wrote them; what counts is in the role files)',
    '',
    ...signers.flat(),
    rule,
    'Kept with: ____________________________   Checked by: ______________________',
  ];
  return `${lines.flatMap((line) => wrapped(plain(line))).join('\n')}\n`;
}
