/**
 * The audit log of the real server: every act that changes something is an entry in its transaction, and proofs
 * hold. How it is kept is in audit-store.test.ts. Goal: no route can be added that leaves no entry.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type AuditEntry,
  hashLeaf,
  openCheckpoint,
  parseEntry,
  verifyConsistency,
  verifyInclusion,
} from '@airlock/audit';
import { sha256Hex, signEnvelope } from '@airlock/trust';
import { checkpointOf, statementsFor } from './support/stating.ts';
import {
  addDevice,
  type Answer,
  approve,
  ask,
  directorRoot,
  emptyCheckIn,
  functionFile,
  imageRoot,
  makeRelease,
  makeSigner,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  targetsFile,
  type TestDevice,
  upload,
  uploadRelease,
  type World,
} from './support/world.ts';
import { giveToken } from './support/people.ts';
import { encodeCheckIn } from '@airlock/protocol';

let world: World;
let device: TestDevice;
const release = makeRelease(1);

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  device = await addDevice(world, 'pump-1');
});
after(async () => {
  await world.close();
});

async function entries(first = 0): Promise<AuditEntry[]> {
  const page = await must(world.people('GET', `/api/v1/audit/entries?first=${first}&limit=500`), 200);
  return (page.body['entries'] as string[]).map((leaf) => {
    const entry = parseEntry(Buffer.from(leaf));
    assert.ok(entry.ok, leaf);
    return entry.value;
  });
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** One request of each route that changes something; what its entry must say. */
const acts: readonly {
  readonly route: string;
  readonly send: () => Promise<Answer>;
  readonly acts: readonly string[];
  readonly says?: (entry: AuditEntry | undefined) => void;
}[] = [
  {
    route: 'POST /api/v1/director/root',
    send: () => world.people('POST', '/api/v1/director/root', { body: { root: directorRoot(world, 2) } }),
    acts: ['director.root'],
    says: (entry) => assert.deepEqual([entry?.before?.['version'], entry?.after?.['version']], [1, 2]),
  },
  {
    route: 'POST /api/v1/products',
    send: async () => {
      const other = await makeWorld();
      try {
        return await other.people('POST', '/api/v1/products', { body: { product, root: imageRoot(other) } });
      } finally {
        const made = await other.people('GET', '/api/v1/audit/entries?first=1');
        const [leaf = ''] = made.body['entries'] as string[];
        const entry = parseEntry(Buffer.from(leaf));
        assert.ok(
          entry.ok && entry.value.act === 'product.create' && entry.value.subject['product'] === product,
        );
        await other.close();
      }
    },
    acts: [],
  },
  {
    route: 'PUT /api/v1/images/:sha256',
    send: () => {
      const image = Buffer.from('another image');
      return world.people('PUT', `/api/v1/images/${sha256Hex(image)}`, { body: image, headers: upload });
    },
    acts: ['image.store'],
    says: (entry) => assert.equal(entry?.after?.['length'], 13),
  },
  {
    route: 'PUT /api/v1/products/:product/policies/:sha256',
    send: async () => {
      const { body } = await world.people('GET', `/api/v1/products/${product}/tuf/1.targets.json`);
      assert.ok(body);
      const policy = Buffer.from(await otherPolicy());
      const url = `/api/v1/products/${product}/policies/${sha256Hex(policy)}`;
      return await world.people('PUT', url, { body: policy, headers: upload });
    },
    acts: ['policy.store'],
  },
  {
    route: 'POST /api/v1/products/:product/releases',
    send: async () => {
      const other = makeRelease(2);
      const url = `/api/v1/images/${sha256Hex(other.image)}`;
      await must(world.people('PUT', url, { body: other.image, headers: upload }), 201);
      const body = { manifest: text(other.manifest) };
      return await world.people('POST', `/api/v1/products/${product}/releases`, { body });
    },
    acts: ['image.store', 'release.create'],
    says: (entry) => {
      assert.equal(entry?.subject['release'], 2);
      assert.equal(entry?.after?.['changeRecord'], 'CR-1');
    },
  },
  {
    route: 'PUT /api/v1/devices/:device/assignment',
    send: () => {
      const body = {
        release: 1,
        rollout: 'first',
        bytesPerSecondMax: 1000,
        window: { fromMinute: 60, toMinute: 120, days: [1] },
      };
      return world.people('PUT', '/api/v1/devices/pump-1/assignment', { body });
    },
    acts: ['assignment.set'],
    says: (entry) => {
      assert.equal(entry?.before, null);
      const { release: given, bytesPerSecondMax, windowFromMinute, windowDays } = entry?.after ?? {};
      assert.deepEqual([given, bytesPerSecondMax, windowFromMinute, windowDays], [1, 1000, 60, ['1']]);
    },
  },
  {
    route: 'DELETE /api/v1/devices/:device/assignment',
    send: async () => {
      const held = await world.people('GET', '/api/v1/devices/pump-1/assignment');
      const headers = { 'if-match': String(held.body['etag']) };
      return await world.people('DELETE', '/api/v1/devices/pump-1/assignment', { headers });
    },
    acts: ['assignment.remove'],
    says: (entry) => assert.deepEqual([entry?.before?.['rollout'], entry?.after], ['first', null]),
  },
  {
    route: 'PUT /api/v1/products/:product/proposals/:role',
    send: () => propose(world, 'quality', functionFile(world, 'quality', 2, [])),
    acts: ['role.sign', 'role.publish'],
    says: (entry) => {
      assert.deepEqual([entry?.before?.['version'], entry?.after?.['version']], [1, 2]);
      assert.deepEqual([entry?.before?.['releases'], entry?.after?.['releases']], [['1'], []]);
    },
  },
  {
    route: 'DELETE /api/v1/products/:product/proposals/:role',
    send: async () => {
      const open = await must(propose(world, 'targets', targetsFile(world, 2, [world.keys.targets])), 200);
      const headers = { 'if-match': String(open.headers['etag']) };
      return await world.people('DELETE', `/api/v1/products/${product}/proposals/targets`, { headers });
    },
    acts: ['role.sign', 'proposal.remove'],
  },
  {
    route: 'PUT /api/v1/products/:product/missing/:role',
    send: async () => {
      const file = functionFile(world, 'quality', 3, [release]);
      const statements = await statementsFor(world, 'quality', file);
      const url = `/api/v1/products/${product}/missing/quality`;
      return await world.people('PUT', url, { body: { file, statements } });
    },
    acts: ['recovery.hand-back', 'role.publish'],
  },
  {
    route: 'DELETE /api/v1/products/:product/missing/:role',
    send: async () => {
      const claim = encodeCheckIn({ ...emptyCheckIn, imageRoles: { quality: 9, targets: 1 } });
      await must(world.device(device, `/device/v1/check-in?${claim}`), 200);
      return await world.people('DELETE', `/api/v1/products/${product}/missing/quality`);
    },
    acts: ['recovery.dismiss'],
    says: (entry) => assert.deepEqual(entry?.before?.['devices'], ['pump-1']),
  },
  {
    route: 'DELETE /api/v1/director/missing',
    send: async () => {
      const claim = encodeCheckIn({ ...emptyCheckIn, directorRoot: 5 });
      await must(world.device(device, `/device/v1/check-in?${claim}`), 200);
      return await world.people('DELETE', '/api/v1/director/missing');
    },
    acts: ['recovery.dismiss'],
  },
  {
    route: 'POST /api/v1/devices',
    send: async () => {
      await addDevice(world, 'pump-2');
      return await world.people('GET', '/api/v1/devices/pump-2');
    },
    acts: ['device.register'],
    says: (entry) => assert.equal(entry?.subject['device'], 'pump-2'),
  },
  {
    route: 'PUT /api/v1/devices/:device/record',
    send: () => {
      const held = JSON.parse(device.record) as { signed: Record<string, unknown> };
      const record = text(signEnvelope({ ...held.signed, number: 2 }, [world.keys.provisioning]));
      return world.people('PUT', '/api/v1/devices/pump-1/record', { body: { record } });
    },
    acts: ['device.record'],
    says: (entry) => assert.deepEqual([entry?.before?.['record'], entry?.after?.['record']], [1, 2]),
  },
  {
    route: 'PUT /api/v1/products/:product/proposals/:role/reservation',
    send: async () => {
      const { body } = await world.people('GET', `/api/v1/products/${product}`);
      const { engineering = 0 } = body['published'] as Record<string, number>;
      const { keyId } = world.keys.engineering.publicKey;
      const asked = { version: engineering + 1, signedSha256: 'a'.repeat(64), keyId, previous: engineering };
      const url = `/api/v1/products/${product}/proposals/engineering/reservation`;
      return await world.people('PUT', url, { body: asked });
    },
    acts: ['proposal.reserve'],
    says: (entry) => assert.equal(entry?.function, 'engineering'),
  },
  {
    route: 'DELETE /api/v1/devices/:device',
    send: () => world.people('DELETE', '/api/v1/devices/pump-2'),
    acts: ['device.revoke'],
  },
];

async function otherPolicy(): Promise<string> {
  const { bytes } = await world.people('GET', `/api/v1/products/${product}/tuf/1.targets.json`);
  const targets = JSON.parse(text(bytes)) as {
    signed: { targets: Record<string, { hashes: { sha256: string } }> };
  };
  const sha256 = targets.signed.targets['policy.json']?.hashes.sha256 ?? '';
  const policy = await must(
    world.people('GET', `/api/v1/products/${product}/tuf/targets/${sha256}.policy.json`),
    200,
  );
  const changed = JSON.parse(text(policy.bytes)) as Record<string, unknown>;
  // Still canonical: one more id in a list.
  return JSON.stringify({ ...changed, secureBootRevoked: ['key-1'] });
}

test('TEST-OTA-1165 REQ-OTA-POL-07: every route that changes something, used once: its act is an entry with actor by pseudonym, permission, before and after; no route is left out', async () => {
  const openApi = await must(world.people('GET', '/openapi.json'), 200);
  const paths = openApi.body['paths'] as Record<string, Record<string, unknown>>;
  const routes = Object.entries(paths).flatMap(([url, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'get')
      .map((method) => `${method.toUpperCase()} ${url.replaceAll(/\{([a-zA-Z0-9]+)\}/g, ':$1')}`)
      // Those of people stand in people-audit.test.ts.
      .filter((route) => !/ \/api\/v1\/(?:sign-in|session|users|tokens)/.test(route)),
  );
  assert.deepEqual(
    acts.map(({ route }) => route).toSorted(),
    routes.toSorted(),
    'a new route needs its entry and its row here',
  );
  for (const { route, send, acts: expected, says } of acts) {
    const { size } = await checkpointOf(world);
    const answer = await send();
    assert.ok(answer.status < 300, `${route}: ${answer.status} ${answer.bytes.toString().slice(0, 300)}`);
    const made = await entries(size);
    assert.deepEqual(
      made.map(({ act }) => act),
      expected,
      route,
    );
    for (const entry of made) {
      assert.match(entry.actor, /^p-[0-9a-f]{32}$/);
      assert.ok(entry.permission !== undefined, route);
      assert.ok(Math.abs(entry.time - world.clock.now()) < 60);
      assert.ok(!JSON.stringify(entry).includes('tester'), 'no name of a person or token');
    }
    says?.(made.at(-1));
  }
  const all = await entries();
  assert.equal(all[0]?.act, 'log.start');
  assert.equal(new Set(all.slice(1).map(({ actor }) => actor)).size, 1, 'one caller has one pseudonym');
});

test('TEST-OTA-1193 REQ-OTA-POL-07, REQ-OTA-OPS-01: a reason that comes with a request, and one that is too long, of two lines or not encoded: stands in the entry; refused with the header named', async () => {
  await addDevice(world, 'pump-3');
  const { size } = await checkpointOf(world);
  const url = '/api/v1/devices/pump-3';
  for (const wrong of ['x'.repeat(501), 'two%0Alines', '%E2%80%AEhidden', '%zz']) {
    const refused = await world.people('DELETE', url, { headers: { 'airlock-reason': wrong } });
    assert.deepEqual([refused.status, refused.body['field']], [400, 'airlock-reason'], wrong.slice(0, 20));
  }
  assert.equal((await checkpointOf(world)).size, size);
  const reason = 'scrapped, see CAPA-7 \u2013 B\u00e4r';
  await must(world.people('DELETE', url, { headers: { 'airlock-reason': encodeURIComponent(reason) } }), 204);
  const [entry] = await entries(size);
  assert.deepEqual([entry?.act, entry?.reason], ['device.revoke', reason]);
});

test('TEST-OTA-1166 REQ-OTA-POL-07, REQ-OTA-OPS-01: a request that is refused, or repeated and changes nothing: no entry', async () => {
  const { size } = await checkpointOf(world);
  const refused = [
    world.people('DELETE', '/api/v1/devices/ghost'),
    world.people('PUT', '/api/v1/devices/pump-1/assignment', { body: { release: 77 } }),
    propose(world, 'quality', functionFile(world, 'quality', 1, [release])),
    world.people('DELETE', '/api/v1/products/ghost/missing/quality'),
  ];
  for (const answer of await Promise.all(refused)) assert.ok(answer.status >= 400);
  const image = Buffer.from('another image');
  const url = `/api/v1/images/${sha256Hex(image)}`;
  await must(world.people('PUT', url, { body: image, headers: upload }), 200);
  await must(world.people('DELETE', '/api/v1/devices/pump-2'), 204);
  await must(world.people('POST', `/api/v1/products`, { body: { product, root: await rootInForce() } }), 200);
  assert.equal((await checkpointOf(world)).size, size);
});

async function rootInForce(): Promise<string> {
  return text((await must(world.people('GET', `/api/v1/products/${product}/tuf/1.root.json`), 200)).bytes);
}

test('TEST-OTA-1167 REQ-OTA-POL-07: proofs of the running server, every entry and every older size, over a restart: all verify under its signed checkpoint; a size that is not there is refused', async () => {
  const older = await checkpointOf(world);
  await world.restart();
  await must(world.people('PUT', '/api/v1/devices/pump-1/assignment', { body: { release: 1 } }), 200).catch(
    async () => await must(world.people('GET', '/health'), 200),
  );
  const { size, root } = await checkpointOf(world);
  assert.ok(size >= older.size);
  const page = await must(world.people('GET', '/api/v1/audit/entries?limit=500'), 200);
  const leaves = page.body['entries'] as string[];
  assert.equal(leaves.length, size);
  for (const [index, leaf] of leaves.entries()) {
    const { body } = await must(
      world.people('GET', `/api/v1/audit/inclusion?index=${index}&size=${size}`),
      200,
    );
    const hashes = (body['hashes'] as string[]).map((hash) => Buffer.from(hash, 'hex'));
    assert.ok(verifyInclusion(hashLeaf(Buffer.from(leaf)), { index, size, hashes }, root).ok);
  }
  const { body } = await must(
    world.people('GET', `/api/v1/audit/consistency?first=${older.size}&size=${size}`),
    200,
  );
  const hashes = (body['hashes'] as string[]).map((hash) => Buffer.from(hash, 'hex'));
  assert.ok(verifyConsistency(older, { size, root }, hashes).ok);
  const note = await must(world.people('GET', '/api/v1/audit/checkpoint'), 200);
  assert.ok(!openCheckpoint(note.bytes, { ...world.audit, key: makeSigner().publicKey }).ok);
  for (const query of [
    `inclusion?index=${size}&size=${size}`,
    `inclusion?index=0&size=${size + 1}`,
    `consistency?first=2&size=1`,
    `consistency?first=0&size=${size + 1}`,
  ]) {
    const answer = await world.people('GET', `/api/v1/audit/${query}`);
    assert.deepEqual([answer.status, answer.body['code']], [404, 'API_NOT_FOUND'], query);
  }
  const malformed = await world.people('GET', '/api/v1/audit/inclusion?index=-1&size=1');
  assert.deepEqual([malformed.status, malformed.body['code']], [400, 'API_BAD_REQUEST']);
});

test('TEST-OTA-1171 REQ-OTA-OPS-03, REQ-OTA-POL-08: entries of the audit log, asked for with the permission of a signer: refused; checkpoint and proofs are shown', async () => {
  const token = await giveToken(world.config, 'tester', { permissions: ['products:read'] });
  const get = (url: string) =>
    ask(world.server.peopleUrl + url, world.authority.certificate, {
      headers: { authorization: `Bearer ${token}` },
    });
  assert.equal((await get('/api/v1/audit/checkpoint')).status, 200);
  assert.equal((await get('/api/v1/audit/inclusion?index=0&size=1')).status, 200);
  const refused = await get('/api/v1/audit/entries');
  assert.deepEqual([refused.status, refused.body['code']], [403, 'API_FORBIDDEN']);
});
