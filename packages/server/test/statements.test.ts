/**
 * Statements at the real server: a function's signature without its own is refused, and what was taken proves itself
 * from the server's answers alone.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  countProven,
  type ProvenLeaf,
  proveSignature,
  type SignatureEvidence,
  signStatement,
  type Statement,
} from '@airlock/audit';
import {
  draftFunction,
  draftTargets,
  encodePolicy,
  parsePolicy,
  publicKeyJson,
  sha256Hex,
  signDraft,
  type Signer,
} from '@airlock/trust';
import { encodeCheckIn } from '@airlock/protocol';
import { checkpointOf, stateOf, statementsFor } from './support/stating.ts';
import {
  addDevice,
  type Answer,
  approve,
  emptyCheckIn,
  functionFile,
  makeRelease,
  makeSigner,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  targetsFile,
  upload,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
const [first, second, third] = [makeRelease(1), makeRelease(2), makeRelease(3)];
const base = `/api/v1/products/${product}`;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  for (const release of [first, second, third]) await uploadRelease(world, release);
  await approve(world, 1, [first]);
});
after(async () => {
  await world.close();
});

const told = (answer: Answer) => `${answer.status} ${String(answer.body['code'] ?? answer.body['state'])}`;

async function published(role: string): Promise<number | undefined> {
  const { body } = await must(world.people('GET', base), 200);
  return (body['published'] as Record<string, number>)[role];
}

test('TEST-OTA-1172 REQ-OTA-POL-04, REQ-OTA-POL-08: a fully signed role of a function, sent without its statement, or with one that says something else: refused, and nothing is stored; with its own it comes into force', async () => {
  const file = functionFile(world, 'quality', 2, [first, second]);
  const other = functionFile(world, 'quality', 3, [first, second]);
  const { quality, engineering } = world.keys;
  const size = (await checkpointOf(world)).size;
  const say = async (changes: Partial<Statement>, signer: Signer = quality) => {
    const statement = await stateOf(world, 'quality', file, changes);
    assert.ok(statement);
    return [text(signStatement(statement, signer))];
  };
  const person = { keyId: engineering.publicKey.keyId, holder: 'engineering-1', name: 'engineering' };
  const own = { keyId: quality.publicKey.keyId, holder: 'quality-1', name: 'Somebody Else' };
  const { origin, size: seen, root } = await checkpointOf(world);
  const rootSha256 = Buffer.from(root).toString('hex');
  const now = world.clock.now();
  const rows: [string, () => Promise<string[]>, string][] = [
    ['none', async () => [], '422 API_STATEMENT'],
    ['of another key', async () => await say({ signer: person }, engineering), '422 STATEMENT_SIGNATURE'],
    ['over another content', async () => await statementsFor(world, 'quality', other), '422 STATEMENT_OTHER'],
    ['under another name', async () => await say({ signer: own }), '422 STATEMENT_OTHER'],
    [
      'of another meaning',
      async () => await say({ meaning: 'withdrawn', reason: 'x' }),
      '422 STATEMENT_OTHER',
    ],
    [
      'of another release',
      async () => await say({ release: { version: 1, manifestSha256: sha256Hex(first.manifest) } }),
      '422 STATEMENT_OTHER',
    ],
    ['of two hours ago', async () => await say({ time: now - 7200 }), '422 API_STATEMENT'],
    ['of two hours ahead', async () => await say({ time: now + 7200 }), '422 API_STATEMENT'],
    [
      'over a longer log',
      async () => await say({ checkpoint: { origin, size: seen + 9, rootSha256 } }),
      '422 API_STATEMENT',
    ],
    [
      'over another history',
      async () => await say({ checkpoint: { origin, size: seen, rootSha256: 'a'.repeat(64) } }),
      '422 API_STATEMENT',
    ],
    [
      'over another log',
      async () => await say({ checkpoint: { origin: 'other/log', size: seen, rootSha256 } }),
      '422 STATEMENT_OTHER',
    ],
    ['no statement at all', async () => ['{}'], '422 STATEMENT_FORM'],
    [
      'two of one key',
      async () => [...(await say({})), ...(await say({ time: now - 1 }))],
      '422 API_STATEMENT',
    ],
  ];
  for (const [what, statements, refusal] of rows) {
    const answer = await propose(world, 'quality', file, { statements: await statements() });
    assert.equal(told(answer), refusal, `${what}: ${text(answer.bytes)}`);
  }
  assert.equal(await published('quality'), 1);
  assert.deepEqual((await must(world.people('GET', `${base}/proposals`), 200)).body['proposals'], []);
  assert.equal((await checkpointOf(world)).size, size, 'a refusal is no act');
  const long = await propose(world, 'quality', file, { statements: ['x'.repeat(8001)] });
  assert.equal(told(long), '400 API_BAD_REQUEST');
  const targets = targetsFile(world, 2, [world.keys.targets]);
  assert.equal(told(await propose(world, 'targets', targets, { statements: ['{}'] })), '422 API_STATEMENT');
  assert.equal(told(await propose(world, 'quality', file)), '200 published');
  assert.equal(await published('quality'), 2);
});

test('TEST-OTA-1173 REQ-OTA-POL-04: roles that drop, add two or change nothing, under a statement of one approval: refused; a withdrawal and a renewal under theirs are taken, with the reason in the log', async () => {
  const both = functionFile(world, 'engineering', 2, [first, second, third]);
  const answer = await propose(world, 'engineering', both);
  assert.equal(told(answer), '422 STATEMENT_OTHER');
  assert.match(String(answer.body['message']), /not the whole change: the role adds 2, adds 3/);
  const swapped = await propose(world, 'engineering', functionFile(world, 'engineering', 2, [second]));
  assert.match(String(swapped.body['message']), /adds 2, drops 1/);
  const renewal = functionFile(world, 'engineering', 2, [first]);
  const approval = await stateOf(world, 'engineering', renewal, {
    release: { version: 1, manifestSha256: sha256Hex(first.manifest) },
    meaning: 'approved for release',
  });
  assert.ok(approval);
  const lie = [text(signStatement(approval, world.keys.engineering))];
  const refused = await propose(world, 'engineering', renewal, { statements: lie });
  assert.equal(told(refused), '422 STATEMENT_OTHER');
  assert.equal(told(await propose(world, 'engineering', renewal)), '200 published');
  const { size } = await checkpointOf(world);
  assert.equal(
    told(await propose(world, 'engineering', functionFile(world, 'engineering', 3, []))),
    '200 published',
  );
  const { body } = await must(world.people('GET', `/api/v1/audit/entries?first=${size}`), 200);
  const [entry = ''] = body['entries'] as string[];
  assert.match(entry, /"meaning":"withdrawn".*"reason":"CAPA-1"/);
});

/** What an auditor fetches to judge one signature, as files. */
async function evidenceFor(role: string, version: number, keyId: string): Promise<SignatureEvidence> {
  const get = async (url: string) => (await must(world.people('GET', url), 200)).bytes;
  const json = async (url: string) => (await must(world.people('GET', url), 200)).body;
  const list = (await json(`${base}/statements/${role}/${version}`))['statements'] as {
    keyId: string;
    statement: string;
    entry: number;
    leaf: string;
  }[];
  const stated = list.find((one) => one.keyId === keyId);
  assert.ok(stated, `no statement of ${keyId}`);
  const checkpoint = await get('/api/v1/audit/checkpoint');
  const size = Number(text(checkpoint).split('\n')[1]);
  const hashes = async (url: string) =>
    ((await json(url))['hashes'] as string[]).map((hash) => Buffer.from(hash, 'hex'));
  const { payload } = JSON.parse(stated.statement) as { payload: string };
  const inner = JSON.parse(Buffer.from(payload, 'base64').toString()) as {
    predicate: { checkpoint: { size: number } };
  };
  const seen = inner.predicate.checkpoint.size;
  const leafAt = async (index: number, of: number): Promise<ProvenLeaf> => {
    const [leaf = ''] = (await json(`/api/v1/audit/entries?first=${index}&limit=1`))['entries'] as string[];
    const proof = await hashes(`/api/v1/audit/inclusion?index=${index}&size=${of}`);
    return { index, leaf: Buffer.from(leaf), proof };
  };
  const targets = await get(`${base}/tuf/${(await published('targets')) ?? 0}.targets.json`);
  const view = JSON.parse(text(targets)) as {
    signed: { targets: Record<string, { hashes: { sha256: string } }> };
  };
  const policy = await get(
    `${base}/tuf/targets/${view.signed.targets['policy.json']?.hashes.sha256 ?? ''}.policy.json`,
  );
  const entry = await leafAt(stated.entry, size);
  assert.equal(text(entry.leaf), stated.leaf);
  const proof = await hashes(`/api/v1/audit/consistency?first=${seen}&size=${size}`);
  return {
    role: await get(`${base}/tuf/${version}.${role}.json`),
    previous: await get(`${base}/tuf/${version - 1}.${role}.json`),
    targets,
    policy,
    statement: Buffer.from(stated.statement),
    checkpoint,
    entry,
    seen: { proof, last: await leafAt(seen - 1, seen) },
  };
}

test('TEST-OTA-1174 REQ-OTA-POL-04, REQ-OTA-POL-07: an approval taken by the real server, judged from its files and its log alone: proven with name, meaning and both bounds of time; after a renewal of the role it still is', async () => {
  const keyId = world.keys.quality.publicKey.keyId;
  const proven = proveSignature(await evidenceFor('quality', 2, keyId));
  assert.ok(proven.ok, proven.ok ? '' : proven.error.message);
  const { statement, notBefore, notAfter, clockAgrees, stepJudged } = proven.value;
  assert.deepEqual(
    [statement.signer.name, statement.meaning, statement.release?.version],
    ['quality', 'approved for release', 2],
  );
  assert.ok(notBefore.size <= notAfter.index && (notBefore.time ?? Infinity) <= notAfter.time);
  assert.deepEqual([clockAgrees, stepJudged], [true, true]);
  await must(propose(world, 'quality', functionFile(world, 'quality', 3, [first, second])), 200);
  assert.ok(proveSignature(await evidenceFor('quality', 2, keyId)).ok);
});

test('TEST-OTA-1175 REQ-OTA-POL-04, REQ-OTA-SIGN-04: a function of two signers: the second one without a statement is refused, with it the role comes into force and both signatures are proven', async () => {
  const { quality, targets, targets2, engineering } = world.keys;
  const colleague = makeSigner();
  const held = await evidenceFor('quality', 3, quality.publicKey.keyId);
  const policy = parsePolicy(held.policy);
  assert.ok(policy.ok);
  const holder = { keyId: colleague.publicKey.keyId, holder: 'bea', name: 'Bea Lund', function: 'quality' };
  const bytes = encodePolicy({ ...policy.value, holders: [...policy.value.holders, holder] });
  await must(
    world.people('PUT', `${base}/policies/${sha256Hex(bytes)}`, { body: bytes, headers: upload }),
    204,
  );
  const one = (signer: Signer) => ({ keys: [signer.publicKey], threshold: 1 });
  const draft = draftTargets({
    product,
    version: 3,
    expires: world.clock.now() + 86_400 * 100,
    functions: [
      { name: 'engineering', ...one(engineering) },
      { name: 'quality', keys: [quality.publicKey, colleague.publicKey], threshold: 2 },
    ],
    policy: bytes,
  });
  await must(propose(world, 'targets', text(signDraft(draft, [targets, targets2]))), 200);
  const releases = [first, second].map(({ version, manifest }) => {
    return { version, length: manifest.length, sha256: sha256Hex(manifest) };
  });
  const role = draftFunction({
    product,
    function: 'quality',
    version: 4,
    expires: world.clock.now() + 86_400 * 80,
    releases,
  });
  const [mine, both] = [signDraft(role, [quality]), signDraft(role, [quality, colleague])];
  const own = await statementsFor(world, 'quality', text(mine));
  const open = await must(propose(world, 'quality', text(mine), { statements: own }), 200);
  assert.deepEqual([open.body['state'], await published('quality')], ['open', 3]);
  const bare = await propose(world, 'quality', text(both), { statements: [] });
  assert.equal(told(bare), '422 API_STATEMENT');
  assert.ok(String(bare.body['message']).includes(holder.keyId.slice(0, 16)));
  const other = await stateOf(world, 'quality', text(both), {
    signer: { keyId: holder.keyId, holder: 'bea', name: 'Bea Lund' },
  });
  assert.ok(other);
  // The first one's statement was taken with its signature.
  const statements = [text(signStatement(other, colleague))];
  const done = await must(propose(world, 'quality', text(both), { statements }), 200);
  assert.equal(done.body['state'], 'published');
  assert.equal(await published('targets'), 3);
  const shown = [quality, colleague].map(
    async ({ publicKey }) => await evidenceFor('quality', 4, publicKey.keyId),
  );
  const evidence = await Promise.all(shown);
  const files = { role: evidence[0]?.role ?? both, targets: evidence[0]?.targets ?? both };
  const counted = countProven(files, evidence);
  assert.ok(counted.ok && counted.value.enough && counted.value.threshold === 2, JSON.stringify(counted));
  assert.deepEqual(counted.value.ignored, []);
});

test('TEST-OTA-1184 REQ-OTA-POL-07: targets whose policy names another audit log, or a key that this server does not hold: refused, since every signer would refuse the server', async () => {
  const { targets, targets2, engineering } = world.keys;
  const held = await evidenceFor('quality', 4, world.keys.quality.publicKey.keyId);
  const policy = parsePolicy(held.policy);
  assert.ok(policy.ok);
  const stranger = publicKeyJson(makeSigner().publicKey);
  for (const change of [{ auditOrigin: 'other.example/audit' }, { auditKey: stranger }]) {
    const bytes = encodePolicy({ ...policy.value, ...change });
    const url = `${base}/policies/${sha256Hex(bytes)}`;
    await must(world.people('PUT', url, { body: bytes, headers: upload }), 204);
    const draft = draftTargets({
      product,
      version: 4,
      expires: world.clock.now() + 86_400 * 100,
      functions: [{ name: 'engineering', keys: [engineering.publicKey], threshold: 1 }],
      policy: bytes,
    });
    const answer = await propose(world, 'targets', text(signDraft(draft, [targets, targets2])));
    assert.equal(told(answer), '409 API_ONLINE_KEYS', Object.keys(change).join());
  }
  assert.equal(await published('targets'), 3);
});

test('TEST-OTA-1185 REQ-OTA-POL-04, REQ-OTA-POL-05: a function role that devices say is lost, handed back without its statements: taken, and the log says that none came with it', async () => {
  const other = await makeWorld();
  try {
    await publishProduct(other);
    await uploadRelease(other, first);
    await approve(other, 1, [first]);
    const devices = [await addDevice(other, 'pump-1'), await addDevice(other, 'pump-2')];
    const lost = functionFile(other, 'quality', 7, []);
    const url = `/api/v1/products/${product}/missing/quality`;
    assert.equal(told(await other.people('PUT', url, { body: { file: lost } })), '422 API_STATEMENT');
    const claim = encodeCheckIn({ ...emptyCheckIn, imageRoles: { engineering: 1, quality: 7, targets: 1 } });
    for (const device of devices) await must(other.device(device, `/device/v1/check-in?${claim}`), 200);
    const { size } = await checkpointOf(other);
    await must(other.people('PUT', url, { body: { file: lost } }), 200);
    const { body } = await must(other.people('GET', `/api/v1/audit/entries?first=${size}`), 200);
    assert.match((body['entries'] as string[])[0] ?? '', /"act":"recovery.hand-back"/);
    assert.match((body['entries'] as string[])[0] ?? '', /"statements":\[\]/);
    const list = await must(other.people('GET', `${base}/statements/quality/7`), 200);
    assert.deepEqual(list.body['statements'], [], 'in the evidence it counts for nothing');
  } finally {
    await other.close();
  }
});
