/**
 * The test vectors of docs/formats.md, computed again: whoever writes another reader of these formats starts there, so the
 * document must not say anything else than the code does.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { sha256Hex } from '@airlock/trust';
import { encodeEntry, hashLeaf, openStatement, signCheckpoint, signStatement } from '../src/index.ts';
import { entryOf, keys, noon, origin, release, statementOf } from './support/company.ts';
import { MemoryLog } from './support/memory-log.ts';

const page = await readFile(new URL('../../../docs/formats.md', import.meta.url), 'utf8');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The block that stands under `Test vector: <name>`. */
function vector(name: string): string {
  const found = new RegExp(`Test vector: ${name}[^\n]*\n\n\`\`\`\n([^]*?)\`\`\``).exec(page);
  assert.ok(found?.[1] !== undefined, `docs/formats.md has no test vector ${name}`);
  return found[1];
}

function treeOf(leaves: readonly Uint8Array[]): MemoryLog {
  const tree = new MemoryLog();
  for (const leaf of leaves) tree.append(leaf);
  return tree;
}

test('TEST-OTA-1190 REQ-OTA-POL-07: the vector of the tree in the documents, computed: leaf, root and both proofs are the same', () => {
  const tree = treeOf(['a', 'b', 'c'].map((text) => Buffer.from(text)));
  const lines = [
    `leaf hash of "a"        ${hex(hashLeaf(Buffer.from('a')))}`,
    `root of "a", "b", "c"   ${hex(tree.root())}`,
    ...tree.inclusion(1).map((hash) => `inclusion of 1 in 3     ${hex(hash)}`),
    ...tree.consistency(2).map((hash) => `consistency of 2 and 3  ${hex(hash)}`),
  ];
  assert.equal(vector('tree'), `${lines.join('\n')}\n`);
});

test('TEST-OTA-1191 REQ-OTA-POL-07: the vectors of an entry and of the checkpoint over it in the documents, computed: byte by byte the same', () => {
  const leaf = encodeEntry(entryOf());
  assert.equal(vector('entry'), `${Buffer.from(leaf).toString()}\n`);
  const head = { origin, size: 1, root: treeOf([leaf]).root() };
  assert.equal(vector('checkpoint'), signCheckpoint(head, [keys.log]));
});

test('TEST-OTA-1192 REQ-OTA-POL-04: the vectors of a statement in the documents, computed: payload and envelope are the same, and it opens', () => {
  const root = treeOf([encodeEntry(entryOf())]).root();
  const checkpoint = { origin, size: 1, rootSha256: hex(root) };
  const statement = statementOf('5'.repeat(64), { checkpoint, time: noon + 60 });
  assert.equal(statement.release?.manifestSha256, release(5).sha256);
  const envelope = Buffer.from(signStatement(statement, keys.ada)).toString();
  const { payload } = JSON.parse(envelope) as { payload: string };
  assert.equal(vector('statement, its payload'), `${Buffer.from(payload, 'base64').toString()}\n`);
  assert.equal(vector('statement, its envelope'), `${envelope}\n`);
  assert.equal(vector('statement, the hash'), `${sha256Hex(Buffer.from(envelope))}\n`);
  assert.ok(openStatement(Buffer.from(envelope), [keys.ada.publicKey]).ok);
});
