/** Changes of policy and minimum: what a person may ask for, and what no holder's machine would make a file of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkMinimumMet, type Minimum, type Policy } from '@airlock/trust';
import { nextTerms } from '../src/core/ceremony-check.ts';
import {
  type CeremonyAct,
  encodeCeremony,
  readCeremony,
  type RulesChange,
} from '../src/core/ceremony-file.ts';
import { type Ground, planCeremony } from '../src/core/ceremony.ts';
import { planCompany } from '../src/core/company.ts';
import { changeSets, followMinimum } from '../src/core/policy-change.ts';
import { codeOf, ground, key, nothing, now, start, take } from './support/ceremony-ground.ts';

const lawyer = { holder: 'jo', name: 'Jo Roth', key: key().publicKey };
const legal = { function: 'legal', remove: [], add: [lawyer], threshold: 1 };

function planned(act: CeremonyAct, on: Ground = ground) {
  const terms = nextTerms(on, act, { now, signed: {}, numbers: {} });
  return terms.ok ? planCeremony(on, act, terms.value) : terms;
}

test('TEST-OTA-1250 REQ-OTA-POL-09, REQ-OTA-OPS-01: sets as a person changes them: what is named changes, the rest stays, and what makes no sense is refused by name', () => {
  const before = { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {}, eu: { quality: 2 } } };
  const change = { set: ['us=legal', 'de=legal:2', 'B=engineering,quality'], drop: ['eu'] };
  assert.deepEqual(take(changeSets(before, change)), {
    classes: { C: { engineering: 1, quality: 1 }, B: { engineering: 1, quality: 1 } },
    markets: { us: { legal: 1 }, de: { legal: 2 } },
  });
  const bad: readonly (readonly [string, string[], string[]])[] = [
    ['CLI_SET', ['us:legal'], []],
    ['CLI_SET', ['us=legal', 'us=quality'], []],
    ['CLI_CEREMONY_ACT', [], ['jp']],
    ['CLI_CEREMONY_ACT', [], ['A']],
    ['CLI_CEREMONY_ACT', [], ['constructor']],
    ['CLI_USAGE', ['us=legal'], ['us']],
  ];
  for (const [code, set, drop] of bad) assert.equal(codeOf(changeSets(before, { set, drop })), code);
  const minimum: Minimum = { classes: { C: { quality: 2 } }, markets: { us: {}, de: { legal: 1 } } };
  assert.deepEqual(followMinimum(before, minimum), {
    classes: { C: { engineering: 1, quality: 2 } },
    markets: { us: {}, de: { legal: 1 } },
  });
});

test('TEST-OTA-1251 REQ-OTA-POL-09: a policy or a delegation below the minimum in the root, and a minimum above what stands: no file is made of it', () => {
  const rules = (change: RulesChange): CeremonyAct => ({ ...nothing, rules: change });
  const both = { engineering: 1, quality: 1 };
  const bad: readonly (readonly [string, string, CeremonyAct])[] = [
    [
      'a function less',
      'OTA_BELOW_MINIMUM',
      { ...rules({ classes: { C: { engineering: 1, legal: 1 } } }), holders: [legal] },
    ],
    [
      'a class of which the root knows nothing',
      'OTA_DEMAND_UNKNOWN',
      rules({ classes: { C: both, A: both } }),
    ],
    [
      'a market of which the root knows nothing',
      'OTA_DEMAND_UNKNOWN',
      rules({ markets: { us: {}, de: {} } }),
    ],
    [
      'emergencies that nobody could approve',
      'OTA_DEMAND_UNKNOWN',
      rules({ emergency: { engineering: 1, security: 1 } }),
    ],
    ['emergencies that one function approves alone', 'OTA_POLICY', rules({ emergency: { engineering: 1 } })],
    [
      'a minimum that the policy does not reach',
      'OTA_BELOW_MINIMUM',
      { ...nothing, minimum: { classes: { C: both }, markets: { us: { quality: 1 } } } },
    ],
    [
      'a minimum that a delegation does not reach',
      'OTA_BELOW_MINIMUM',
      { ...nothing, minimum: { classes: { C: { engineering: 1, quality: 2 } }, markets: { us: {} } } },
    ],
    [
      'a minimum of a function that is not there',
      'OTA_DEMAND_UNKNOWN',
      { ...nothing, minimum: { classes: { C: both }, markets: { us: {}, de: { legal: 1 } } } },
    ],
    [
      'a minimum that forgets a market which the policy has',
      'OTA_DEMAND_UNKNOWN',
      { ...nothing, minimum: { classes: { C: both }, markets: {} } },
    ],
  ];
  for (const [what, code, act] of bad) assert.equal(codeOf(planned(act)), code, what);

  const minimum: Minimum = { classes: { C: both }, markets: { us: {}, de: { legal: 1 } } };
  const opened: CeremonyAct = {
    ...nothing,
    minimum,
    holders: [legal],
    rules: { markets: { us: {}, de: { legal: 1 } } },
  };
  const { drafts, policy } = take(planned(opened));
  assert.deepEqual([...drafts.keys()], ['root', 'targets']);
  assert.match(policy ?? '', /"de":\{"legal":1\}/);
  // The minimum may know a market before the policy opens it, never the other way round.
  const early = { ...nothing, minimum: { classes: { C: both }, markets: { us: {}, de: {} } } };
  assert.deepEqual([...take(planned(early)).drafts.keys()], ['root']);
});

test('TEST-OTA-1252 REQ-OTA-POL-09: an emergency set that goes, written to a ceremony file and read again: the policy has none, and the file says so', () => {
  const emergency = { engineering: 1, quality: 1 };
  const withSet = start({ ...nothing, rules: { emergency } });
  const standing: Ground = {
    ...ground,
    image: { ...(ground.image ?? assert.fail('no image')), policy: withSet.policy ?? '' },
  };
  const file = start({ ...nothing, rules: { emergency: 'none' } }, standing);
  assert.doesNotMatch(file.policy ?? '', /emergency/);
  const again = readCeremony(JSON.parse(encodeCeremony(file)), 'file');
  assert.equal(again.act.rules?.emergency, 'none');
  assert.deepEqual(readCeremony(JSON.parse(encodeCeremony(withSet)), 'file').act.rules?.emergency, emergency);
});

test('TEST-OTA-1253 REQ-OTA-POL-09, REQ-OTA-OPS-01: a product made with a policy below its own minimum, and one above: the first is refused before a key is made', () => {
  const company = (policy: readonly string[]) =>
    planCompany({
      product: 'pump',
      safetyClass: 'C',
      markets: ['us'],
      functions: ['engineering=Bo <bo>', 'quality=Ada <ada>', 'legal=Jo <jo>'],
      thresholds: [],
      minimum: ['C=engineering,quality', 'us='],
      policy,
    });
  assert.equal(codeOf(company(['C=engineering,legal'])), 'CLI_DEMAND');
  assert.equal(codeOf(company(['de=legal'])), 'CLI_DEMAND');
  assert.equal(codeOf(company(['us=legal'])), 'taken');
  const { minimum, policy } = take(company(['us=legal']));
  const without = new Map([['engineering', { threshold: 1 }]]);
  assert.equal(codeOf(checkMinimumMet(minimum, policy as Policy, without)), 'OTA_DEMAND_UNKNOWN');
});
