/**
 * Oracles and chance: tuf-js's own Updater accepts what the check accepts, and no random edit of any served file ever
 * makes it install something else or throw.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { assert as holds, constantFrom, integer, nat, oneof, property, record, uint8Array } from 'fast-check';
import { BaseFetcher, Updater } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { approvedRelease } from './support/device.ts';
import { objectOf } from './support/forging.ts';
import { day, forge, type Json, sha256, signedOf } from './support/signing.ts';

class MapFetcher extends BaseFetcher {
  readonly files: ReadonlyMap<string, Uint8Array>;
  constructor(files: ReadonlyMap<string, Uint8Array>) {
    super();
    this.files = files;
  }
  override async fetch(url: string): Promise<ReadableStream> {
    const found = this.files.get(new URL(url).pathname.slice(1));
    if (found === undefined) throw new DownloadHTTPError('not found', 404);
    return new Blob([Buffer.from(found)]).stream();
  }
}

test('TEST-OTA-196 REQ-OTA-SIGN-01: the published Updater of tuf-js as an oracle: accepts the same repositories and finds the same manifest', async (t) => {
  const now = Math.floor(Date.now() / 1000);
  const { company, device } = approvedRelease();
  // The Updater knows only the local clock.
  company.now = now;
  for (const name of company.functions.keys()) company.function(name).expires = now + day;
  company.approveByAll(13);
  company.touchTargets();
  company.publishRoot(company.image.root);
  company.publishDirectorRoot(company.director.root);
  company.publish();
  company.assign('pump-1', 13);
  const checked = device.check();
  assert.ok(checked.verdict?.kind === 'approved');
  for (const [files, path] of [
    [company.imageFiles, 'quality/13.json'],
    [company.directorFiles, 'infusion-pump/13.json'],
  ] as const) {
    const folder = mkdtempSync(join(tmpdir(), 'airlock-oracle-'));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, 'root.json'), files.get('1.root.json') ?? '');
    const updater = new Updater({
      metadataDir: folder,
      metadataBaseUrl: 'http://oracle.invalid',
      fetcher: new MapFetcher(files),
    });
    await updater.refresh();
    const target = await updater.getTargetInfo(path);
    assert.equal(target?.hashes['sha256'], checked.verdict.manifestSha256);
  }
});

/** A change of one file: bytes overwritten, cut off or put in. */
const edits = record({
  at: nat(100_000),
  junk: oneof(
    uint8Array({ minLength: 1, maxLength: 4 }),
    constantFrom(Buffer.from('0'), Buffer.from('"'), Buffer.from(',')),
  ),
  kind: constantFrom('overwrite', 'insert', 'cut'),
});

function edited(
  bytes: Uint8Array,
  { at, junk, kind }: { at: number; junk: Uint8Array; kind: string },
): Buffer {
  const place = at % bytes.length;
  const tail = kind === 'overwrite' ? place + junk.length : place;
  if (kind === 'cut') return Buffer.from(bytes.subarray(0, place));
  return Buffer.concat([bytes.subarray(0, place), junk, bytes.subarray(tail)]);
}

test('TEST-OTA-197 REQ-OTA-NET-04, REQ-OTA-SIGN-01, REQ-OTA-SIGN-02: one served file edited at random: never throws, never installs anything but the approved manifest, and the device recovers', () => {
  const { company, device } = approvedRelease();
  const { state } = device;
  const { requests } = device.check();
  const paths = requests.slice(2);
  const approved = sha256(company.manifest(12));
  holds(
    property(integer({ min: 0, max: paths.length - 1 }), edits, (index, edit) => {
      const path = paths[index] ?? '';
      const [repository, ...rest] = path.split('/');
      const files = repository === 'image' ? company.imageFiles : company.directorFiles;
      const original = files.get(rest.join('/'));
      assert.ok(original);
      const bytes = edited(original, edit);
      device.state = state;
      const { verdict, code } = device.check({ answers: { [path]: bytes } });
      if (verdict?.kind === 'approved') assert.equal(verdict.manifestSha256, approved);
      if (!bytes.equals(original)) assert.notEqual(code, 'approved', `${path} ${JSON.stringify(edit)}`);
      assert.equal(device.check().code, 'approved');
    }),
    { numRuns: 120 },
  );
});

test("TEST-OTA-198 REQ-OTA-NET-04, REQ-OTA-SIGN-04: a function's role with random values, signed by its stolen key: never throws, and installs nothing that another function did not approve", () => {
  const { company, device } = approvedRelease();
  const { state } = device;
  const { file, signers } = company.function('quality');
  const fields = [
    'version',
    'expires',
    'targets',
    'x-airlock',
    'spec_version',
    '_type',
    'delegations',
    'other',
  ];
  const values = [
    -1,
    0,
    2,
    '',
    '2',
    null,
    [],
    {},
    { 'quality/12.json': {} },
    '2027-01-01T00:00:00Z',
    '__proto__',
    true,
  ];
  holds(
    property(constantFrom(...fields), constantFrom(...values), (field, value) => {
      const forged = forge({ ...signedOf(file), [field]: value }, signers);
      const snapshot = signedOf(company.imageFiles.get('1.snapshot.json'));
      const entry = { version: 1, length: forged.length, hashes: { sha256: sha256(forged) } };
      const meta: Json = { ...objectOf(snapshot['meta']), 'quality.json': entry };
      const pinned = forge({ ...snapshot, meta }, company.image.snapshot);
      const timestamp = signedOf(company.imageFiles.get('timestamp.json'));
      const snapshotEntry = { version: 1, length: pinned.length, hashes: { sha256: sha256(pinned) } };
      device.state = state;
      const { verdict } = device.check({
        answers: {
          'image/1.quality.json': forged,
          'image/1.snapshot.json': pinned,
          'image/timestamp.json': forge(
            { ...timestamp, meta: { 'snapshot.json': snapshotEntry } },
            company.image.timestamp,
          ),
        },
      });
      if (verdict?.kind === 'approved') assert.equal(verdict.manifestSha256, sha256(company.manifest(12)));
      else assert.match(verdict?.kind === 'refused' ? verdict.error.message : '', /quality/);
    }),
    { numRuns: 100 },
  );
});
