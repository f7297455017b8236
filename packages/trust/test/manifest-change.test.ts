/** Change control in a manifest: what must be named, answered and linked. Every other field: manifest.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalBytes, parseManifest, trustLimits } from '@airlock/trust';
import { put, sampleManifest, verdict } from './support/samples.ts';

/** The verdict on a manifest with one value replaced (undefined: removed). */
function manifestVerdict(path: (string | number)[], value: unknown): string {
  const copy: unknown = structuredClone(sampleManifest());
  put(copy, path, value);
  return verdict(parseManifest(canonicalBytes(copy)));
}

test('TEST-OTA-133 REQ-OTA-POL-03: a manifest, no change record, impact, regulatory decision or link: refused with the field', () => {
  for (const name of ['record', 'impact', 'regulatory', 'links']) {
    assert.equal(manifestVerdict(['change', name], undefined), `OTA_MANIFEST change.${name}`);
  }
  for (const empty of ['', ' ', '\n']) {
    assert.equal(manifestVerdict(['change', 'record'], empty), 'OTA_MANIFEST change.record');
    assert.equal(
      manifestVerdict(['change', 'impact', 'assessment'], empty),
      'OTA_MANIFEST change.impact.assessment',
    );
    assert.equal(manifestVerdict(['change', 'links'], [empty]), 'OTA_MANIFEST change.links[0]');
    assert.equal(
      manifestVerdict(['change', 'regulatory', 'decision'], empty),
      'OTA_MANIFEST change.regulatory.decision',
    );
  }
  assert.equal(manifestVerdict(['change'], undefined), 'OTA_MANIFEST change');
  assert.equal(manifestVerdict(['change', 'regulatory', 'reference'], ''), 'ok');
  const long = 'x'.repeat(trustLimits.impactCharactersMax + 1);
  assert.equal(
    manifestVerdict(['change', 'impact', 'assessment'], long),
    'OTA_MANIFEST change.impact.assessment',
  );
});

test('TEST-OTA-1290 REQ-OTA-POL-03: an impact assessment, one of its four areas without a yes or no, and links that are none or carry a password: refused with the field', () => {
  for (const area of ['safety', 'effectiveness', 'cybersecurity', 'labelling']) {
    for (const answer of [undefined, null, 'no', 0]) {
      const field = `OTA_MANIFEST change.impact.${area}`;
      assert.equal(manifestVerdict(['change', 'impact', area], answer), field);
    }
  }
  assert.equal(manifestVerdict(['change', 'impact'], 'none'), 'OTA_MANIFEST change.impact');
  assert.equal(manifestVerdict(['change', 'impact', 'privacy'], true), 'OTA_MANIFEST change.impact.privacy');
  assert.equal(manifestVerdict(['change', 'links'], []), 'OTA_MANIFEST change.links');
  for (const link of ['https://ada:secret@qms.example/1', 'HTTPS://token@qms.example', 'CR-1\nCR-2']) {
    assert.equal(manifestVerdict(['change', 'links'], [link]), 'OTA_MANIFEST change.links[0]');
  }
  for (const link of ['https://qms.example/~ada@home', 'DHF 77, rev. 3', 'mailto:qms@example.org']) {
    assert.equal(manifestVerdict(['change', 'links'], [link]), 'ok');
  }
});
