/**
 * Checkpoints, entries and following a log: every form but the one is refused, and a log that forked is not followed.
 */
import assert from 'node:assert/strict';
import { createPublicKey, createHash, verify } from 'node:crypto';
import { test } from 'node:test';
import type { Result } from '@airlock/trust';
import * as fc from 'fast-check';
import {
  auditLimits,
  type Checkpoint,
  encodeEntry,
  followLog,
  type Hash,
  openCheckpoint,
  parseEntry,
  signCheckpoint,
} from '../src/index.ts';
import { entryOf, keys, log, noon, origin, seeded } from './support/company.ts';
import { MemoryLog } from './support/memory-log.ts';

const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code);
const head = (size: number, tree = logOf(size)): Checkpoint => ({ origin, size, root: tree.root() });

function logOf(count: number, other = -1): MemoryLog {
  const tree = new MemoryLog();
  for (let n = 0; n < count; n += 1) {
    tree.append(encodeEntry(entryOf({ time: noon + n, reason: n === other ? 'rewritten' : '' })));
  }
  return tree;
}

test('TEST-OTA-1154 REQ-OTA-POL-07: a checkpoint, signed and read by the words of C2SP alone: text, key id and signature are those of signed-note and tlog-checkpoint', () => {
  const note = signCheckpoint(head(3), [keys.log]);
  const [first, size, root, empty, line = '', end] = note.split('\n');
  assert.deepEqual([first, size, empty, end], [origin, '3', '', '']);
  assert.equal(Buffer.from(root ?? '', 'base64').length, 32);
  const [dash, name, base64 = ''] = line.split(' ');
  assert.deepEqual([dash, name], ['\u2014', origin]);
  const bytes = Buffer.from(base64, 'base64');
  const raw = Buffer.from(keys.log.publicKey.keyval.public, 'hex');
  const id = createHash('sha256')
    .update(`${origin}\n`)
    .update(Buffer.from([1]))
    .update(raw)
    .digest();
  assert.deepEqual(bytes.subarray(0, 4), id.subarray(0, 4));
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
  const text = Buffer.from(`${origin}\n3\n${root}\n`);
  assert.ok(verify(null, text, createPublicKey({ key: jwk, format: 'jwk' }), bytes.subarray(4)));
  assert.deepEqual(openCheckpoint(Buffer.from(note), log), { ok: true, value: head(3) });
});

test('TEST-OTA-1155 REQ-OTA-POL-07: a checkpoint, of another log, key, size or form, with lines more or less: refused; signatures of other keys beside it are ignored', () => {
  const note = signCheckpoint(head(3), [keys.log]);
  const [text = '', signatures = ''] = note.split('\n\n');
  const [, size = '', root = ''] = text.split('\n');
  const open = (whole: string) => codeOf(openCheckpoint(Buffer.from(whole), log));
  const resigned = (lines: string) => {
    const other = keys.log.sign(Buffer.from(lines));
    const id = Buffer.from(signatures.split(' ')[2] ?? '', 'base64').subarray(0, 4);
    return `${lines}\n\u2014 ${origin} ${Buffer.concat([id, other]).toString('base64')}\n`;
  };
  assert.equal(open(resigned(`${origin}\n3\n${root}\n`)), 'ok');
  for (const lines of [
    `${origin}\n03\n${root}\n`,
    `${origin}\n3.0\n${root}\n`,
    `${origin}\n-3\n${root}\n`,
    `${origin}\n9007199254740993\n${root}\n`,
    `${origin}\n3\n${root.slice(0, -1)}\n`,
    `${origin}\n3\n${root.slice(0, 40)}\n`,
    `${origin}\n3\n${root}\nextension\n`,
    `other.example/audit\n3\n${root}\n`,
    `${origin}\n3\n`,
    `${origin}\n3\n${root}\t\n`,
  ]) {
    assert.equal(open(resigned(lines)), 'AUDIT_CHECKPOINT', JSON.stringify(lines));
  }
  for (const whole of [
    '',
    '\n\n',
    note.slice(0, -1),
    `${note}\n`,
    text,
    `${text}\n\n`,
    `${note}x`,
    note.replace('\u2014', '-'),
    `${note}${'\u2014 a AAAAAAAA\n'.repeat(20)}`,
    'x'.repeat(auditLimits.noteBytesMax + 1),
  ]) {
    assert.equal(open(whole), 'AUDIT_CHECKPOINT', whole.slice(0, 60));
  }
  assert.equal(open(note.replace(`\n${size}\n`, '\n4\n')), 'AUDIT_SIGNATURE');
  assert.equal(open(`${text}\n\n${signatures}${signatures}`), 'AUDIT_SIGNATURE');
  assert.equal(open(signCheckpoint(head(3), [keys.stranger])), 'AUDIT_SIGNATURE');
  assert.equal(
    open(signCheckpoint({ ...head(3), origin: 'other.example/audit' }, [keys.log])),
    'AUDIT_SIGNATURE',
  );
  assert.equal(open(signCheckpoint(head(3), [seeded('next log key'), keys.log])), 'ok');
  fc.assert(
    fc.property(fc.nat(note.length - 1), fc.integer({ min: 32, max: 126 }), (at, code) => {
      const other = String.fromCharCode(code);
      if (note[at] !== other) assert.notEqual(open(note.slice(0, at) + other + note.slice(at + 1)), 'ok');
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !openCheckpoint(bytes, log).ok));
});

function follow(note: string, seen: Checkpoint | undefined, tree: MemoryLog): Result<Checkpoint> {
  const steps = followLog(log, Buffer.from(note), seen);
  let next = steps.next();
  while (next.done !== true) {
    const { first, size } = next.value;
    const hashes: readonly Hash[] = tree.consistency(first, size);
    next = steps.next(hashes);
  }
  return next.value;
}

test('TEST-OTA-1156 REQ-OTA-POL-07: a log that is followed, longer, equal, shorter, rewritten before or at the seen checkpoint: followed only where it continues', () => {
  const honest = logOf(20);
  const note = (tree: MemoryLog, size = tree.leaves.length) =>
    signCheckpoint({ origin, size, root: tree.root(size) }, [keys.log]);
  const seen = head(13);
  assert.deepEqual(follow(note(honest), seen, honest), { ok: true, value: head(20) });
  assert.equal(codeOf(follow(note(honest, 13), seen, honest)), 'ok');
  assert.equal(codeOf(follow(note(honest), undefined, honest)), 'ok');
  assert.equal(codeOf(follow(note(honest), head(0), honest)), 'ok');
  assert.equal(codeOf(follow(note(honest, 12), seen, honest)), 'OTA_AUDIT_FORK');
  for (const rewritten of [0, 7, 12]) {
    const fork = logOf(20, rewritten);
    assert.equal(codeOf(follow(note(fork), seen, fork)), 'OTA_AUDIT_FORK', `entry ${rewritten}`);
    assert.equal(codeOf(follow(note(fork, 13), seen, fork)), 'OTA_AUDIT_FORK');
    // A server that forked has no proof of its own; the honest log's does not help it.
    assert.equal(codeOf(follow(note(fork), seen, honest)), 'OTA_AUDIT_FORK');
  }
  const after = logOf(20, 15);
  assert.equal(codeOf(follow(note(after), seen, after)), 'ok');
  assert.equal(codeOf(follow(signCheckpoint(head(20), [keys.stranger]), seen, honest)), 'AUDIT_SIGNATURE');
  assert.equal(
    codeOf(follow(signCheckpoint({ ...head(1), size: 0 }, [keys.log]), undefined, honest)),
    'AUDIT_CHECKPOINT',
  );
});

test('TEST-OTA-1157 REQ-OTA-POL-07: an entry of the audit log, every field wrong, another spelling, a name in the place of a pseudonym: refused with the field; its leaf is one spelling', () => {
  const entry = entryOf({
    before: { release: 4, held: true, list: ['a', 'b'], gone: null },
    function: 'quality',
  });
  const leaf = encodeEntry(entry);
  assert.deepEqual(parseEntry(leaf), { ok: true, value: entry });
  const whole = JSON.parse(Buffer.from(leaf).toString()) as Record<string, unknown>;
  const judge = (changes: Record<string, unknown>) => {
    const sorted = Object.entries({ ...whole, ...changes }).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const parsed = parseEntry(Buffer.from(JSON.stringify(Object.fromEntries(sorted))));
    return parsed.ok ? 'ok' : `${parsed.error.code} ${parsed.error.field ?? ''}`;
  };
  assert.equal(judge({}), 'ok');
  const rows: [Record<string, unknown>, string][] = [
    [{ schema: 'airlock-audit-entry/2' }, 'schema'],
    [{ time: 1_793_577_600 }, 'time'],
    [{ time: '2026-02-30T00:00:00Z' }, 'time'],
    [{ actor: 'Dr. Ada Quill' }, 'actor'],
    [{ actor: 'p-1' }, 'actor'],
    [{ act: 'anything' }, 'act'],
    [{ subject: [] }, 'subject'],
    [{ subject: { 'a b': 1 } }, 'subject.a b'],
    [{ subject: { a: 1.5 } }, 'subject.a'],
    [{ subject: { a: -1 } }, 'subject.a'],
    [{ subject: { a: { b: 1 } } }, 'subject.a'],
    [{ subject: { a: 'x\ny' } }, 'subject.a'],
    [{ subject: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`f${n}`, n])) }, 'subject'],
    [{ before: undefined }, 'before'],
    [{ after: 'x' }, 'after'],
    [{ reason: 'x'.repeat(501) }, 'reason'],
    [{ reason: 'first\u202eline' }, 'reason'],
    [{ note: 'x' }, 'note'],
  ];
  for (const [changes, field] of rows)
    assert.equal(judge(changes), `AUDIT_ENTRY ${field}`, JSON.stringify(changes));
  const spaced = Buffer.from(JSON.stringify(JSON.parse(Buffer.from(leaf).toString()), undefined, 1));
  assert.equal(codeOf(parseEntry(spaced)), 'AUDIT_ENTRY');
  const { actor, ...rest } = whole;
  assert.equal(codeOf(parseEntry(Buffer.from(JSON.stringify({ ...rest, actor })))), 'AUDIT_ENTRY');
  assert.throws(() => encodeEntry({ ...entry, actor: 'ada' }), TypeError);
});
