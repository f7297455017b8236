/** The signing queue: who is waited for, who is signing, how a proposal ends, and what its number stands for afterwards. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AuditEntry, parseEntry } from '@airlock/audit';
import { sha256Hex, type Signer } from '@airlock/trust';
import {
  directorWith,
  draftOfQuality,
  policyOf,
  rootWith,
  signQuality,
  targetsWith,
} from './support/policies.ts';
import { checkpointOf } from './support/stating.ts';
import {
  type Answer,
  functionFile,
  makeRelease,
  makeSigner,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  targetsFile,
  uploadRelease,
  type World,
} from './support/world.ts';

const day = 86_400;
let world: World;
let second: Signer;
const releases = [makeRelease(1), makeRelease(2), makeRelease(3)];
const base = `/api/v1/products/${product}`;

/** Quality has two holders who must both sign. */
const pair = () => ({
  functions: {
    engineering: { holders: [world.keys.engineering] },
    quality: { holders: [world.keys.quality, second], threshold: 2 },
  },
});

before(async () => {
  world = await makeWorld();
  second = makeSigner();
  await publishProduct(world);
  for (const release of releases) await uploadRelease(world, release);
  await must(propose(world, 'targets', await targetsWith(world, 2, pair())), 200);
});
after(async () => {
  await world.close();
});

interface QueueBody {
  readonly functions: {
    readonly function: string;
    readonly threshold: number;
    readonly proposal?: Record<string, unknown> & { readonly missing: unknown[]; readonly etag: string };
    readonly reservation?: Record<string, unknown>;
    readonly releases: { version: number; askedFor: string[] }[];
    readonly term?: { due: boolean; alarm?: string };
  }[];
  readonly terms: { role: string; due: boolean; alarm?: string }[];
}

async function queue(): Promise<QueueBody> {
  return (await must(world.people('GET', `${base}/queue`), 200)).body as unknown as QueueBody;
}

async function of(name: string) {
  return (await queue()).functions.find((entry) => entry.function === name) ?? assert.fail(`no ${name}`);
}

async function newest(): Promise<AuditEntry> {
  const { body } = await must(world.people('GET', '/api/v1/audit/entries?limit=500'), 200);
  const entry = parseEntry(Buffer.from((body['entries'] as string[]).at(-1) ?? ''));
  assert.ok(entry.ok);
  return entry.value;
}

const told = (answer: Answer) => `${answer.status} ${String(answer.body['code'] ?? answer.body['state'])}`;

async function reserve(signer: Signer, version: number, previous: number, content = 'a'): Promise<Answer> {
  const body = { version, signedSha256: content.repeat(64), keyId: signer.publicKey.keyId, previous };
  return await world.people('PUT', `${base}/proposals/quality/reservation`, { body });
}

test('TEST-OTA-1257 REQ-OTA-POL-04, REQ-OTA-POL-10, REQ-OTA-OPS-03: a queue, one of two has signed: the function shows the proposal with whose signature is missing and until when, the releases that wait and for what', async () => {
  const waiting = await of('quality');
  assert.deepEqual(waiting.proposal, undefined);
  assert.deepEqual(
    waiting.releases.map(({ version, askedFor }) => [version, askedFor]),
    [3, 2, 1].map((version) => [version, ['class C']]),
  );
  const draft = draftOfQuality(world, 1, []);
  const opened = await signQuality(world, draft, world.keys.quality, 'quality-1');
  assert.equal(told(opened), '200 open');
  const { proposal } = await of('quality');
  const missing = { keyId: second.publicKey.keyId, holder: 'quality-2', name: 'quality' };
  assert.deepEqual([proposal?.missing, proposal?.['state']], [[missing], 'open']);
  const seconds = (value: unknown) => Date.parse(String(value)) / 1000;
  assert.equal(seconds(proposal?.['until']) - seconds(proposal?.['proposed']), 14 * day);
  assert.equal(told(await signQuality(world, draft, second, 'quality-2')), '200 published');
  assert.equal((await of('quality')).proposal, undefined);
});

test('TEST-OTA-1258 REQ-OTA-POL-10: a number, reserved by one holder: no other key begins a role meanwhile, asking again extends nothing, and the number is never given again; a machine that is behind, a stranger and another content are refused', async () => {
  const { quality, engineering } = world.keys;
  assert.equal(told(await reserve(engineering, 2, 1)), '422 OTA_BAD_SIGNATURE');
  assert.equal(told(await reserve(quality, 2, 0)), '412 API_PRECONDITION');
  assert.equal(told(await reserve(quality, 1, 1)), '409 API_VERSION_USED');
  const first = await must(reserve(quality, 2, 1), 200);
  assert.equal((first.body['by'] as Record<string, unknown>)['keyId'], quality.publicKey.keyId);
  assert.equal((await newest()).act, 'proposal.reserve');
  world.clock.moved += 60;
  const again = await must(reserve(quality, 2, 1), 200);
  assert.equal(again.body['until'], first.body['until'], 'asked again: extended by nothing');
  const other = await reserve(second, 3, 1, 'b');
  assert.equal(told(other), '409 API_RESERVED');
  assert.match(String(other.body['message']), /quality <quality-1> is signing quality 2/);
  assert.equal((await of('quality')).reservation?.['version'], 2);
  // Without a reservation, the other holder's role is let in no more.
  const draft = draftOfQuality(world, 3, [releases[0] ?? assert.fail()]);
  assert.equal(told(await signQuality(world, draft, second, 'quality-2')), '409 API_RESERVED');

  world.clock.moved += 61;
  assert.equal((await of('quality')).reservation, undefined);
  const used = await reserve(second, 2, 1, 'b');
  assert.deepEqual(
    [told(used), /the next number is 3/.test(String(used.body['message']))],
    ['409 API_VERSION_USED', true],
  );
  assert.equal((await reserve(second, 3, 1, sha256Hex(draft.bytesToSign).slice(0, 1))).status, 200);
  world.clock.moved += 121;
});

test('TEST-OTA-1259 REQ-OTA-POL-10, REQ-OTA-POL-07: a proposal, not signed within its two weeks, taken away, or replaced: its signatures count for nothing, also when they come late, and its number is never used again', async () => {
  const [one] = releases;
  assert.ok(one);
  const draft = draftOfQuality(world, 10, [one]);
  assert.equal(told(await signQuality(world, draft, world.keys.quality, 'quality-1')), '200 open');
  world.clock.moved += 14 * day - 60;
  assert.ok((await of('quality')).proposal);
  world.clock.moved += 120;
  assert.equal((await of('quality')).proposal, undefined, 'it ended');
  assert.equal(told(await signQuality(world, draft, second, 'quality-2')), '409 API_VERSION_USED');
  const ended = await newest();
  assert.deepEqual([ended.act, ended.actor], ['proposal.expire', 'server']);

  const next = draftOfQuality(world, 11, [one]);
  const opened = await must(signQuality(world, next, world.keys.quality, 'quality-1'), 200);
  const headers = { 'if-match': String(opened.body['etag']) };
  await must(world.people('DELETE', `${base}/proposals/quality`, { headers }), 204);
  assert.equal(told(await signQuality(world, next, second, 'quality-2')), '409 API_VERSION_USED');

  const third = draftOfQuality(world, 12, [one]);
  const held = await must(signQuality(world, third, world.keys.quality, 'quality-1'), 200);
  assert.equal(told(await reserve(second, 13, 1)), '409 API_RESERVED', 'a proposal is open');
  const fourth = functionFile(world, 'quality', 13, []);
  const renewed = await world.people('PUT', `${base}/proposals/quality`, {
    body: { file: fourth },
    headers: { 'if-match': String(held.body['etag']) },
  });
  assert.equal(told(renewed), '422 API_STATEMENT', 'a replacement is judged like any other');
  const replaced = await signReplacing(13, String(held.body['etag']));
  assert.equal(told(replaced), '200 open');
  assert.equal(told(await signQuality(world, third, second, 'quality-2')), '409 API_VERSION_USED');
});

/** Quality's renewal in the place of an open proposal. */
async function signReplacing(version: number, etag: string): Promise<Answer> {
  const people: World['people'] = (method, url, options = {}) =>
    world.people(method, url, method === 'PUT' ? { ...options, headers: { 'if-match': etag } } : options);
  const draft = draftOfQuality(world, version, []);
  return await signQuality({ ...world, people }, draft, world.keys.quality, 'quality-1');
}

test('TEST-OTA-1260 REQ-OTA-POL-10, REQ-OTA-POL-07: an open proposal, and targets that change who may sign it: it ends with its number; targets that change nothing of it leave it', async () => {
  assert.equal((await of('quality')).proposal?.['version'], 13);
  await must(propose(world, 'targets', await targetsWith(world, 3, { ...pair(), markets: {} })), 200);
  assert.equal((await of('quality')).proposal?.['version'], 13, 'the same keys may sign');
  const third = makeSigner();
  const { engineering } = pair().functions;
  const changed = {
    functions: { engineering, quality: { holders: [world.keys.quality, second, third], threshold: 2 } },
  };
  await must(propose(world, 'targets', await targetsWith(world, 4, changed)), 200);
  assert.equal((await of('quality')).proposal, undefined);
  const { body } = await must(world.people('GET', '/api/v1/audit/entries?limit=500'), 200);
  const acts = (body['entries'] as string[]).slice(-2).map((leaf) => parseEntry(Buffer.from(leaf)));
  assert.deepEqual(
    acts.map((entry) => (entry.ok ? entry.value.act : '')),
    ['proposal.void', 'role.publish'],
  );
  assert.equal(told(await reserve(second, 13, 1)), '409 API_VERSION_USED');
});

test('TEST-OTA-1261 REQ-OTA-OPS-03, REQ-OTA-POL-10: roles that grow old: renewal due at a third of the life, alarms at a half, a quarter, seven days and the end, the same in the queue and in the metrics, for which a token needs its permission', async () => {
  const renewal = draftOfQuality(world, 20, []);
  await must(signQuality(world, renewal, world.keys.quality, 'quality-1'), 200);
  assert.equal(told(await signQuality(world, renewal, second, 'quality-2')), '200 published');
  const at = async (days: number) => {
    const moved = world.clock.moved;
    world.clock.moved += days * day;
    try {
      const { term } = await of('quality');
      const metrics = (await must(world.people('GET', '/metrics'), 200)).bytes.toString();
      const value = (name: string, more = '') => {
        const labels = `product="${product}",role="quality"${more}`;
        return Number(new RegExp(`^${name}\\{${labels}\\} (\\d+)$`, 'm').exec(metrics)?.[1]);
      };
      const alarms = ['half', 'quarter', '7 days', 'expired'];
      const standing = alarms.filter((alarm) => value('airlock_role_alarm', `,alarm="${alarm}"`) === 1);
      assert.deepEqual(standing, term?.alarm === undefined ? [] : [term.alarm]);
      assert.equal(value('airlock_role_renewal_due'), term?.due === true ? 1 : 0);
      return [term?.due, term?.alarm];
    } finally {
      world.clock.moved = moved;
    }
  };
  assert.deepEqual(await at(40), [false, undefined]);
  assert.deepEqual(await at(46), [false, 'half']);
  assert.deepEqual(await at(61), [true, 'half']);
  assert.deepEqual(await at(68), [true, 'quarter']);
  assert.deepEqual(await at(84), [true, '7 days']);
  assert.deepEqual(await at(91), [true, 'expired']);
  const metrics = (await must(world.people('GET', '/metrics'), 200)).bytes.toString();
  assert.match(metrics, /airlock_role_expires_seconds\{product="\(director\)",role="root"\}/);
  const bare = await world.people('GET', '/metrics', { headers: { authorization: 'Bearer nobody' } });
  assert.equal(bare.status, 401);
});

test("TEST-OTA-1262 REQ-OTA-POL-09, REQ-OTA-SIGN-03, REQ-OTA-OPS-01: what every device would refuse, proposed with one signature of two or posted: refused at once with the device's code, and nothing is stored", async () => {
  const size = async () => (await checkpointOf(world)).size;
  const one = [world.keys.targets];
  const { engineering, quality } = pair().functions;
  const director = world.online.director['targets'];
  assert.ok(director);
  const both = { engineering: 1, quality: 1 };
  const bad: readonly (readonly [string, Parameters<typeof targetsWith>[2]])[] = [
    ['OTA_DEMAND_UNKNOWN', { functions: { engineering } }],
    [
      'OTA_BELOW_MINIMUM',
      {
        functions: { engineering, quality, legal: { holders: [makeSigner()] } },
        classes: { C: { engineering: 1, legal: 1 } },
      },
    ],
    ['OTA_DEMAND_UNKNOWN', { functions: { engineering, quality }, markets: { us: {}, de: {} } }],
    ['OTA_DEMAND_UNKNOWN', { functions: { engineering, quality }, classes: { C: both, B: both } }],
    ['OTA_KEY_SHARED', { functions: { engineering, quality: { holders: [world.keys.root] } } }],
    [
      'OTA_KEY_SHARED',
      { functions: { engineering, quality: { holders: [{ ...makeSigner(), publicKey: director }] } } },
    ],
  ];
  for (const [code, company] of bad) {
    assert.ok(policyOf(world, company));
    const file = await targetsWith(world, 5, company, one);
    const held = await size();
    const refused = await propose(world, 'targets', file);
    assert.deepEqual(
      [refused.status, refused.body['code']],
      [422, code],
      JSON.stringify(company.classes ?? code),
    );
    assert.equal(await size(), held);
  }
  const shared = await world.people('POST', '/api/v1/director/root', {
    body: { root: directorWith(world, 2) },
  });
  assert.deepEqual([shared.status, shared.body['code']], [422, 'OTA_KEY_SHARED']);
  const old = draftOfQuality(world, 30, [], -1);
  assert.equal(told(await signQuality(world, old, world.keys.quality, 'quality-1')), '422 OTA_EXPIRED');
  const strange = [makeRelease(8, { safetyClass: 'B' }), makeRelease(9, { demand: { legal: 1 } })];
  for (const release of strange) {
    const made = await uploadRelease(world, release).then(() => 'made', String);
    assert.match(made, /OTA_DEMAND_UNKNOWN/);
  }
  assert.deepEqual(
    (await queue()).terms.map(({ role }) => role),
    ['root', 'targets'],
  );
});

test('TEST-OTA-1263 REQ-OTA-POL-09: a root whose minimum the policy does not reach: it waits, says why, and comes into force together with the policy that does', async () => {
  const minimum = { classes: { C: { engineering: 1, quality: 2 } }, markets: { us: {}, de: { quality: 2 } } };
  const raised = await must(propose(world, 'root', rootWith(world, 2, minimum)), 200);
  assert.equal(raised.body['state'], 'blocked');
  assert.match(JSON.stringify(raised.body['problem']), /OTA_BELOW_MINIMUM.*the root's minimum asks 2/);
  const third = makeSigner();
  const { engineering } = pair().functions;
  const changed = {
    functions: { engineering, quality: { holders: [world.keys.quality, second, third], threshold: 2 } },
    classes: { C: { engineering: 1, quality: 2 } },
    markets: { us: {}, de: { quality: 2 } },
  };
  const file = await targetsWith(world, 6, changed);
  assert.equal((await must(propose(world, 'targets', file), 200)).body['state'], 'published');
  const view = await must(world.people('GET', base), 200);
  assert.equal(view.body['rootVersion'], 2);
  assert.equal((view.body['published'] as Record<string, number>)['targets'], 6);
  const lowered = await propose(world, 'targets', targetsFile(world, 7, [world.keys.targets]));
  assert.equal(told(lowered), '422 OTA_BELOW_MINIMUM');
});
