/** The pure core: versions, timestamps, ranges, restoration, permissions, keys at rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { draftSnapshot, draftTargets, encodePolicy, readRole, signDraft } from '@airlock/trust';
import { certificateDevice } from '../src/core/certificate.ts';
import { readPermissions } from '../src/program-people.ts';
import { parseRange } from '../src/core/range.ts';
import { createRates } from '../src/core/rates.ts';
import {
  deviceRewrites,
  lostImageRoles,
  missingFiles,
  mustRewriteOnline,
  noteMissing,
} from '../src/core/restoration.ts';
import { createTimestampDesk, startWaitSeconds } from '../src/core/timestamps.ts';
import { lastWithdrawal, wasWithdrawn } from '../src/core/withdrawals.ts';
import { nextOnlineVersion } from '../src/core/versions.ts';
import { makeSigner } from './support/world.ts';

test('TEST-OTA-460 REQ-OTA-ROLL-02: online versions, for any last version and clock: above the last and not below the clock', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fc.integer({ min: 0, max: 2 ** 40 }), (last, now) => {
      const next = nextOnlineVersion(last, now);
      assert.ok(next > last && next >= now);
    }),
  );
});

function snapshotOf(version: number) {
  const signer = makeSigner();
  const policy = encodePolicy({
    schema: 'airlock-policy/1',
    product: 'pump',
    classes: {},
    markets: {},
    holders: [],
    secureBootRevoked: [],
  });
  const targets = signDraft(
    draftTargets({ product: 'pump', version: 1, expires: 2_000_000_000, functions: [], policy }),
    [signer],
  );
  const draft = draftSnapshot({
    repository: 'image',
    product: 'pump',
    version,
    expires: 2_000_000_000,
    roles: { targets },
  });
  return { version, file: Buffer.from(signDraft(draft, [signer])).toString() };
}

test('TEST-OTA-461 REQ-OTA-ROLL-02: timestamps asked for in one second, in later ones and with a clock set back: never a lower version, same second same bytes', () => {
  const desk = createTimestampDesk();
  const owner = { repository: 'image', product: 'pump' } as const;
  const signers = [makeSigner()];
  const first = snapshotOf(1_800_000_000);
  const second = snapshotOf(1_800_000_001);
  const sign = (snapshot: typeof first, now: number) => desk.sign({ owner, snapshot, now, signers });
  const versionOf = (text: string) => {
    const view = readRole(Buffer.from(text));
    return view.ok ? view.value.version : 0;
  };
  const a = sign(first, 1_800_000_000);
  assert.equal(sign(first, 1_800_000_000), a);
  const b = sign(second, 1_800_000_000);
  assert.ok(versionOf(b) > versionOf(a));
  const c = sign(second, 1_800_000_100);
  assert.equal(versionOf(c), 1_800_000_100);
  const back = sign(second, 1_700_000_000);
  assert.equal(versionOf(back), versionOf(c) + 1);
});

const begin = 1_800_000_000;
const event = fc.constantFrom('publish', 'ask', 'tick', 'restart');

test('TEST-OTA-809 REQ-OTA-ROLL-02: any burst of publications and requests, then crashes and restarts in the same second: no timestamp falls back or comes again with other content', () => {
  const owner = { repository: 'image', product: 'pump' } as const;
  const signers = [makeSigner()];
  const snapshots = new Map<number, ReturnType<typeof snapshotOf>>();
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 40 }), (events) => {
      let desk = createTimestampDesk();
      let now = begin;
      let version = begin - 50;
      let seen = { version: 0, text: '' };
      for (const what of events) {
        if (what === 'tick') now += 1;
        if (what === 'publish') version = nextOnlineVersion(version, now);
        if (what === 'restart') {
          now += startWaitSeconds(version, now);
          desk = createTimestampDesk();
        }
        if (what !== 'ask') continue;
        const snapshot = snapshots.get(version) ?? snapshotOf(version);
        snapshots.set(version, snapshot);
        const text = desk.sign({ owner, snapshot, now, signers });
        const view = readRole(Buffer.from(text));
        assert.ok(view.ok);
        const stamp = { version: view.value.version, text };
        assert.ok(stamp.version >= seen.version, `${stamp.version} after ${seen.version}`);
        if (stamp.version === seen.version) assert.equal(text, seen.text);
        seen = stamp;
      }
    }),
    { numRuns: 300 },
  );
  assert.equal(startWaitSeconds(0, begin), 0);
  assert.equal(startWaitSeconds(begin - 2, begin), 0);
  assert.equal(startWaitSeconds(begin, begin), 2);
  assert.equal(startWaitSeconds(begin + 86_400, begin), 10);
});

test('TEST-OTA-811 REQ-OTA-POL-05: histories of a role, read for one release: withdrawn only when it was dropped and listed again', () => {
  const history = (...listed: boolean[]) =>
    lastWithdrawal(listed.map((it, at) => ({ version: at + 1, created: at * 10, listed: it })));
  assert.equal(history(), undefined);
  assert.equal(history(false, false), undefined);
  assert.equal(history(false, true, true), undefined);
  assert.equal(history(true, true, false), undefined, 'still withdrawn: it is not approved');
  assert.deepEqual(history(true, false, true), { dropped: 2, again: 3, until: 20 });
  assert.deepEqual(history(true, false, false, true, false, true, true), { dropped: 5, again: 6, until: 50 });
});

test('TEST-OTA-1062 REQ-OTA-POL-05: histories of a role, read for one release: a withdrawal is told for good, also once it is approved again', () => {
  const history = (...listed: boolean[]) => wasWithdrawn(listed.map((it) => ({ listed: it })));
  for (const withdrawn of [history(true, false), history(false, true, false), history(true, false, true)]) {
    assert.equal(withdrawn, true);
  }
  for (const never of [history(), history(false, false), history(true), history(false, true, true)]) {
    assert.equal(never, false);
  }
});

test('TEST-OTA-462 REQ-OTA-DELTA-02: Range headers of every form, parsed: bytes inside the image, the whole, or unsatisfiable', () => {
  assert.deepEqual(parseRange('bytes=0-0', 10), { start: 0, end: 1 });
  assert.deepEqual(parseRange('bytes=5-', 10), { start: 5, end: 10 });
  assert.deepEqual(parseRange('bytes=-3', 10), { start: 7, end: 10 });
  assert.equal(parseRange('bytes=10-', 10), 'unsatisfiable');
  assert.equal(parseRange('bytes=1-2,4-5', 10), undefined);
  assert.equal(parseRange('bytes=5-2', 10), undefined);
  assert.equal(parseRange(undefined, 10), undefined);
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 1000 }), (tail, length) => {
      const range = parseRange(`bytes=${tail}`, length);
      if (typeof range !== 'object') return;
      assert.ok(range.start >= 0 && range.start < range.end && range.end <= length);
    }),
  );
});

test('TEST-OTA-463 REQ-OTA-ROLL-02: what a device claims to hold, compared with what is published: newer offline roles only are lost', () => {
  const published = new Map([
    ['root', 2],
    ['targets', 5],
    ['quality', 3],
  ]);
  const claim = (imageRoot: number, imageRoles: Record<string, number>) => ({ imageRoot, imageRoles });
  assert.deepEqual(lostImageRoles(claim(2, { targets: 5, quality: 3 }), published), []);
  assert.deepEqual(lostImageRoles(claim(1, { targets: 4, invented: 99 }), published), []);
  assert.deepEqual(lostImageRoles(claim(3, { quality: 4 }), published), [
    { role: 'root', version: 3 },
    { role: 'quality', version: 4 },
  ]);
  const signer = { role: 'quality', version: 4, evidence: 'signer', since: 1 } as const;
  const liar = { role: 'quality', version: 2 ** 40, evidence: 'device', device: 'x', since: 2 } as const;
  assert.deepEqual(missingFiles([signer], [liar]), [signer]);
  assert.equal(noteMissing([liar], signer)?.version, 4);
});

test('TEST-OTA-464 REQ-OTA-NET-04: a device that lies about its online versions, again and again: one rewrite in a window, and none that cannot help', () => {
  const now = 1_800_000_000;
  assert.equal(mustRewriteOnline(now - 100, now - 1000, now), true);
  const rates = createRates(deviceRewrites);
  assert.equal(rates.take('pump-1', now), undefined);
  assert.equal(rates.take('pump-1', now + 60), 3540);
  assert.equal(rates.take('pump-2', now + 60), undefined);
  assert.equal(rates.take('pump-1', now + 3600), undefined);
  assert.equal(mustRewriteOnline(2 ** 52, now - 1000, now), false);
  assert.equal(mustRewriteOnline(5, 5, now), false);
});

test('TEST-OTA-465 REQ-OTA-NET-02: subject alternative names of every kind, read: exactly one device or none', () => {
  assert.equal(certificateDevice('URI:urn:airlock:device:pump-1'), 'pump-1');
  assert.equal(certificateDevice('DNS:x, URI:urn:airlock:device:pump-1'), 'pump-1');
  assert.equal(certificateDevice('URI:urn:airlock:device:a, URI:urn:airlock:device:b'), undefined);
  assert.equal(certificateDevice('DNS:"x, URI:urn:airlock:device:a"'), undefined);
  assert.equal(certificateDevice('URI:urn:airlock:device:../x'), undefined);
  assert.equal(certificateDevice(undefined), undefined);
});

test('TEST-OTA-466 REQ-OTA-POL-08: a list of permissions with one that does not exist, parsed: refused by name', () => {
  assert.deepEqual(readPermissions('products:read, devices:read'), {
    ok: true,
    value: ['products:read', 'devices:read'],
  });
  const wrong = readPermissions('products:read,everything');
  assert.match(wrong.ok ? '' : wrong.error.message, /everything/);
});
