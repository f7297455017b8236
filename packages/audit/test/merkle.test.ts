/**
 * The Merkle tree against RFC 6962, told twice: every tree of up to 70 leaves against a naive reading of the RFC, and
 * larger ones by properties. Goal: no proof that is not the RFC's verifies, and each of the RFC's does.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  appendLeaf,
  emptyEdge,
  emptyRoot,
  foldHashes,
  type Hash,
  hashLeaf,
  inclusionPlan,
  consistencyPlan,
  verifyConsistency,
  verifyInclusion,
} from '../src/index.ts';
import { MemoryLog } from './support/memory-log.ts';
import { mth, path, proof } from './support/naive.ts';

const sizeMax = 70;
const leaf = (n: number): Buffer => Buffer.from(`leaf ${n}`);

function logOf(count: number): MemoryLog {
  const log = new MemoryLog();
  for (let n = 0; n < count; n += 1) log.append(leaf(n));
  return log;
}

const hex = (hashes: readonly Hash[]): string[] => hashes.map((hash) => Buffer.from(hash).toString('hex'));

test('TEST-OTA-1150 REQ-OTA-POL-07: the audit tree, every size up to 70 with every leaf and every older size: roots and proofs are those of RFC 6962, and verify', () => {
  const log = logOf(sizeMax);
  const leaves = log.leaves;
  assert.deepEqual(mth([]), Buffer.from(emptyRoot));
  for (let size = 1; size <= sizeMax; size += 1) {
    const tree = leaves.slice(0, size);
    const root = log.root(size);
    assert.deepEqual(hex([root]), hex([mth(tree)]));
    for (let index = 0; index < size; index += 1) {
      const hashes = log.inclusion(index, size);
      assert.deepEqual(hex(hashes), hex(path(index, tree)), `PATH(${index}, D[${size}])`);
      assert.ok(verifyInclusion(hashLeaf(leaf(index)), { index, size, hashes }, root).ok);
    }
    for (let first = 1; first <= size; first += 1) {
      const hashes = log.consistency(first, size);
      assert.deepEqual(hex(hashes), hex(proof(first, tree)), `PROOF(${first}, D[${size}])`);
      const older = { size: first, root: log.root(first) };
      assert.ok(verifyConsistency(older, { size, root }, hashes).ok);
    }
    assert.ok(verifyConsistency({ size: 0, root: emptyRoot }, { size, root }, []).ok);
  }
});

test('TEST-OTA-1151 REQ-OTA-POL-07: proofs of the audit tree, any hash, index, size or leaf changed, one hash more or less: none verifies', () => {
  const log = logOf(sizeMax);
  const arbitrary = fc
    .tuple(fc.nat(sizeMax - 1), fc.nat(sizeMax - 1), fc.nat(), fc.nat(255))
    .map(([a, b, at, bit]) => ({ small: Math.min(a, b), size: Math.max(a, b) + 1, at, bit }));
  const change = (hash: Hash, bit: number): Hash => {
    const copy = Buffer.from(hash);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return copy;
  };
  const spoilt = (hashes: readonly Hash[], at: number, bit: number): Hash[][] => {
    const place = hashes.length === 0 ? 0 : at % hashes.length;
    const some = hashes[place];
    return [
      [...hashes, hashes[0] ?? emptyRoot],
      ...(some === undefined
        ? []
        : [hashes.with(place, change(some, bit)), hashes.slice(1), hashes.slice(0, -1)]),
    ];
  };
  fc.assert(
    fc.property(arbitrary, ({ small: index, size, at, bit }) => {
      const root = log.root(size);
      const hashes = log.inclusion(index, size);
      const own = hashLeaf(leaf(index));
      for (const wrong of spoilt(hashes, at, bit)) {
        assert.ok(!verifyInclusion(own, { index, size, hashes: wrong }, root).ok);
      }
      assert.ok(!verifyInclusion(change(own, bit), { index, size, hashes }, root).ok);
      assert.ok(!verifyInclusion(own, { index, size, hashes }, change(root, bit)).ok);
      for (const other of [index - 1, index + 1, size, -1, 0.5, Number.NaN]) {
        assert.ok(!verifyInclusion(own, { index: other, size, hashes }, root).ok);
      }
      assert.ok(!verifyInclusion(own, { index, size, hashes: [...hashes, Buffer.alloc(31)] }, root).ok);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(arbitrary, ({ small, size, at, bit }) => {
      const first = { size: small + 1, root: log.root(small + 1) };
      const next = { size, root: log.root(size) };
      const hashes = log.consistency(first.size, size);
      for (const wrong of spoilt(hashes, at, bit)) assert.ok(!verifyConsistency(first, next, wrong).ok);
      const forked = { ...first, root: change(first.root, bit) };
      assert.ok(!verifyConsistency(forked, next, hashes).ok);
      assert.ok(!verifyConsistency(first, { ...next, root: change(next.root, bit) }, hashes).ok);
      assert.ok(!verifyConsistency({ ...first, size: size + 1 }, next, hashes).ok);
    }),
    { numRuns: 300 },
  );
});

test('TEST-OTA-1152 REQ-OTA-POL-07: a log of 3000 entries, one of them changed, removed, swapped or slipped in at random: no proof joins the old root with the new one', () => {
  const count = 3000;
  const honest = logOf(count);
  fc.assert(
    fc.property(fc.nat(count - 2), fc.constantFrom('change', 'remove', 'swap', 'insert'), (at, kind) => {
      const leaves = [...honest.leaves];
      const other = Buffer.from('another act');
      if (kind === 'change') leaves[at] = other;
      else if (kind === 'remove') leaves.splice(at, 1);
      else if (kind === 'insert') leaves.splice(at, 0, other);
      else leaves.splice(at, 2, ...leaves.slice(at, at + 2).toReversed());
      const forged = new MemoryLog();
      for (const entry of [...leaves, ...leaves.slice(0, 2)]) forged.append(entry);
      const first = { size: count, root: honest.root() };
      const next = { size: forged.leaves.length, root: forged.root() };
      assert.ok(!verifyConsistency(first, next, forged.consistency(count)).ok);
      assert.ok(!verifyConsistency(first, { ...next, root: forged.root() }, honest.consistency(1)).ok);
    }),
    { numRuns: 12 },
  );
});

test('TEST-OTA-1153 REQ-OTA-POL-07: plans of the audit tree, sizes up to 2^48: proofs are at most 49 hashes long; an edge of another length or a leaf outside is a fault', () => {
  const size = fc.integer({ min: 1, max: 2 ** 48 });
  fc.assert(
    fc.property(size, fc.double({ min: 0, max: 0.999_999, noNaN: true }), (total, part) => {
      const inside = Math.floor(part * total);
      assert.ok(inclusionPlan(inside, total).length <= 48);
      assert.ok(consistencyPlan(inside, total).length <= 49);
    }),
  );
  assert.throws(() => inclusionPlan(5, 5), RangeError);
  assert.throws(() => consistencyPlan(6, 5), RangeError);
  assert.throws(() => appendLeaf({ size: 3, roots: [emptyRoot] }, emptyRoot), RangeError);
  assert.throws(() => appendLeaf({ size: -1, roots: [] }, emptyRoot), RangeError);
  const first = appendLeaf(emptyEdge, hashLeaf(leaf(0)));
  assert.deepEqual(foldHashes(first.edge.roots), hashLeaf(leaf(0)));
});
