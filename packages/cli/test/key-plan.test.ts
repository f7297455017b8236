/**
 * The plan of keys: documents whose order cannot be right, fleets in which a key cannot go yet, and who is named.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import {
  checkPlanOrder,
  judgePlan,
  permitStep,
  type PlanDevice,
  type PlanFacts,
  type PlanStep,
  secureBootNeeds,
} from '../src/core/key-plan.ts';
import { readKeyPlan } from '../src/core/key-plan-file.ts';
import { Stop } from '../src/stop.ts';
import { type Company, makeCompany, removeCompany, sitDown } from './support/company.ts';
import { refused } from './support/refused.ts';

let company: Company;
before(async () => {
  company = await makeCompany();
});
after(async () => {
  await removeCompany(company);
});

const oldKey = 'a'.repeat(64);
const newKey = 'b'.repeat(64);
const trust: PlanStep = { id: 'fuse', does: 'secure-boot-trust', key: 'sb-2', release: 12 };
const use: PlanStep = { id: 'sign', does: 'secure-boot-use', key: 'sb-2', release: 13 };
const retire: PlanStep = { id: 'retire', does: 'secure-boot-retire', key: 'sb-1' };
const add: PlanStep = { id: 'add', does: 'update-add', role: 'quality', key: newKey };
const drop: PlanStep = { id: 'drop', does: 'update-retire', role: 'quality', key: oldKey };
const plan = (...steps: PlanStep[]) => ({ product: 'pump', version: 1, steps });

test('TEST-OTA-1210 REQ-OTA-KEYS-02: a plan whose steps stand in a wrong order: each is refused by the name of its step, the right order is taken', () => {
  assert.ok(checkPlanOrder(plan(trust, use, retire, add, drop)).ok);
  const wrong: readonly (readonly [string, string, PlanStep[]])[] = [
    ['sign', 'before devices trust it', [use, trust, retire]],
    ['retire', 'before the step that uses it', [{ ...retire, key: 'sb-2' }, trust, use]],
    ['retire', 'before any release is signed with another key', [retire, trust, use]],
    ['retire', 'before any release is signed with another key', [trust, retire, use]],
    ['retire', 'before any release is signed with another key', [trust, use, { ...retire, key: 'sb-2' }]],
    ['sign', 'must be above 12', [trust, { ...use, release: 12 }, retire]],
    ['drop', 'before its successor is named', [drop, add]],
    ['fuse', 'stands twice', [trust, { ...use, id: 'fuse' }]],
    ['again', 'stands twice', [trust, { ...trust, id: 'again' }]],
  ];
  for (const [id, words, steps] of wrong) {
    const judged = checkPlanOrder(plan(...steps));
    assert.ok(!judged.ok, words);
    assert.equal(judged.error.code, 'CLI_KEY_PLAN');
    assert.ok(judged.error.message.startsWith(`step ${id}: `), judged.error.message);
    assert.ok(judged.error.message.includes(words), judged.error.message);
  }
});

const signedBy = new Map([
  [11, ['sb-1']],
  [12, ['sb-1']],
  [13, ['sb-2']],
  [14, ['sb-2']],
]);
const group = (version: number) => ({ version, secureBoot: signedBy.get(version) ?? [] });

function device(name: string, a: number, b: number | undefined, trusted: readonly string[]): PlanDevice {
  return {
    device: name,
    reported: {
      groups: { A: group(a), ...(b === undefined ? {} : { B: group(b) }) },
      confirmed: Math.max(a, b ?? 0),
      heard: { imageRoot: 2, targets: 3 },
      secureBoot: { trusted },
    },
    recordKeyIds: [newKey],
  };
}

function facts(devices: readonly PlanDevice[], changes: Partial<PlanFacts> = {}): PlanFacts {
  return {
    devices,
    releases: new Map([...signedBy].map(([version, secureBoot]) => [version, { secureBoot }])),
    roles: new Map([
      ['quality', { keyIds: [oldKey, newKey], threshold: 1 }],
      ['provisioning', { keyIds: [oldKey, newKey], threshold: 1 }],
      ['root', { keyIds: [oldKey], threshold: 1 }],
    ]),
    imageRoot: 2,
    targets: 3,
    revoked: [],
    ...changes,
  };
}

function stateOf(steps: readonly PlanStep[], at: PlanFacts): string[] {
  return judgePlan(plan(...steps), at).map(({ state }) => state);
}

function blockers(step: PlanStep, at: PlanFacts): string[] {
  const permitted = permitStep(judgePlan(plan(step), at), step.id);
  if (permitted.ok) return [];
  assert.equal(permitted.error.code, 'CLI_KEY_NEEDED');
  return judgePlan(plan(step), at)[0]?.obstacles.map(({ who }) => who) ?? [];
}

test('TEST-OTA-1211 REQ-OTA-KEYS-02: a secure-boot key, rotated over a fleet of three step by step: each step waits for the devices that are named, and a key stays while any fallback needs it', () => {
  const steps = [trust, use, retire];
  const both = ['sb-1', 'sb-2'];
  const begin = [
    device('d1', 11, 10, ['sb-1']),
    device('d2', 11, undefined, ['sb-1']),
    device('d3', 11, 11, ['sb-1']),
  ];
  assert.deepEqual(stateOf(steps, facts(begin)), ['may go', 'waits', 'waits']);
  assert.deepEqual(blockers(use, facts(begin)), ['d1', 'd2', 'd3']);
  const some = [device('d1', 11, 12, both), device('d2', 12, 11, both), device('d3', 11, 11, ['sb-1'])];
  assert.deepEqual(stateOf(steps, facts(some)), ['begun', 'waits', 'waits']);
  assert.deepEqual(blockers(use, facts(some)), ['d3']);
  const trusting = [device('d1', 11, 12, both), device('d2', 12, 11, both), device('d3', 12, 11, both)];
  assert.deepEqual(stateOf(steps, facts(trusting)), ['done', 'may go', 'waits']);
  // The new key runs everywhere, and the old one is in every fallback.
  const running = [device('d1', 13, 12, both), device('d2', 12, 13, both), device('d3', 13, 11, both)];
  assert.deepEqual(stateOf(steps, facts(running)), ['done', 'done', 'waits']);
  assert.deepEqual(blockers(retire, facts(running)), ['d1', 'd2', 'd3']);
  const last = [device('d1', 13, 14, both), device('d2', 14, 13, both), device('d3', 13, 11, both)];
  assert.deepEqual(blockers(retire, facts(last)), ['d3']);
  const free = [device('d1', 13, 14, both), device('d2', 14, 13, both), device('d3', 13, undefined, both)];
  assert.deepEqual(stateOf(steps, facts(free)), ['done', 'done', 'may go']);
  assert.deepEqual(stateOf(steps, facts(free, { revoked: ['sb-1'] })), ['done', 'done', 'done']);
  // Done in a wrong order: told.
  assert.deepEqual(stateOf(steps, facts(last, { revoked: ['sb-1'] })), ['done', 'done', 'early']);
  const hasty = [device('d1', 13, 12, both), device('d2', 11, 11, ['sb-1']), device('d3', 11, 11, ['sb-1'])];
  assert.deepEqual(stateOf(steps, facts(hasty)), ['begun', 'early', 'waits']);
});

test('TEST-OTA-1212 REQ-OTA-KEYS-02: what is not known about a device, one unknown at a time: it stands in the way of the key that would go', () => {
  const fine = device('d1', 13, 14, ['sb-1', 'sb-2']);
  assert.deepEqual(blockers(retire, facts([fine])), []);
  const { reported } = fine;
  assert.ok(reported);
  const { secureBoot: _, ...untold } = reported;
  const unknown: readonly (readonly [string, PlanDevice])[] = [
    ['never reported', { device: 'd1' }],
    ['not told what it trusts', { device: 'd1', reported: untold }],
    ['trusts nothing else', { device: 'd1', reported: { ...reported, secureBoot: { trusted: ['sb-1'] } } }],
    ['manifest not known', { device: 'd1', reported: { ...reported, groups: { A: { version: 13 } } } }],
    [
      'manifest says nothing',
      { device: 'd1', reported: { ...reported, groups: { A: { version: 13, secureBoot: [] } } } },
    ],
    ['assigned', { ...fine, assigned: { version: 12, secureBoot: ['sb-1'] } }],
    ['assigned, not known', { ...fine, assigned: { version: 15 } }],
  ];
  for (const [why, one] of unknown) assert.deepEqual(blockers(retire, facts([one])), ['d1'], why);
  // A device without secure boot needs no key.
  assert.deepEqual(blockers(retire, facts([{ device: 'd1', reported: { ...untold, secureBoot: {} } }])), []);
  const old = [device('d1', 11, 11, ['sb-1'])];
  assert.deepEqual(blockers({ ...trust, release: 99 }, facts(old)), ['release 99']);
  assert.deepEqual(blockers({ ...use, release: 12 }, facts([fine])), ['release 12']);
  assert.deepEqual(blockers({ ...trust, release: 13 }, facts(old)), ['release 13']);
});

test('TEST-OTA-1213 REQ-OTA-KEYS-02: fleets at random: a secure-boot key may go exactly when no group, fallback or assignment of any device could need it', () => {
  const version = fc.constantFrom(11, 12, 13, 14);
  const anyDevice = fc.record({
    a: version,
    b: fc.option(version, { nil: undefined }),
    trusted: fc.constantFrom(['sb-1'], ['sb-2'], ['sb-1', 'sb-2']),
    assigned: fc.option(version, { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(anyDevice, { maxLength: 6 }), (fleet) => {
      const devices = fleet.map(({ a, b, trusted, assigned }, at) => ({
        ...device(`d${at}`, a, b, trusted),
        ...(assigned === undefined ? {} : { assigned: group(assigned) }),
      }));
      const needs = fleet.flatMap(({ a, b, trusted, assigned }, at) => {
        const started = [a, b, assigned].filter((found) => found !== undefined);
        const needsIt = started.some((found) => found < 13) || trusted.join() === 'sb-1';
        return needsIt ? [`d${at}`] : [];
      });
      const named = secureBootNeeds(facts(devices), 'sb-1').map(({ who }) => who);
      assert.deepEqual([...new Set(named)], needs);
    }),
  );
});

test('TEST-OTA-1214 REQ-OTA-KEYS-02, REQ-OTA-SIGN-05: update keys that go without a successor, under records that need them, or unheard of: refused with who stands in the way', () => {
  const fleet = [device('d1', 13, 14, ['sb-2']), device('d2', 13, 14, ['sb-2'])];
  assert.deepEqual(blockers(drop, facts(fleet)), []);
  assert.deepEqual(blockers({ ...drop, role: 'root' }, facts(fleet)), ['root']);
  assert.deepEqual(blockers({ ...drop, role: 'nobody' }, facts(fleet)), ['the plan']);
  const provisioning: PlanStep = { ...drop, role: 'provisioning' };
  assert.deepEqual(blockers(provisioning, facts(fleet)), []);
  const [first, second] = fleet;
  assert.ok(first && second);
  const oldRecord = { ...second, recordKeyIds: [oldKey] };
  assert.deepEqual(blockers(provisioning, facts([first, oldRecord])), ['d2']);
  // Gone from the repository, and still believed where nobody heard of it.
  const roles = new Map([['quality', { keyIds: [newKey], threshold: 1 }]]);
  assert.deepEqual(stateOf([drop], facts(fleet, { roles })), ['done']);
  assert.ok(second.reported);
  const deaf = { ...second, reported: { ...second.reported, heard: { imageRoot: 2, targets: 2 } } };
  assert.deepEqual(stateOf([drop], facts([first, deaf], { roles })), ['begun']);
  // A key that only newer agents verify: both groups must hold them.
  const modern: PlanStep = { ...add, release: 14 };
  assert.deepEqual(blockers(modern, facts(fleet)), ['d1', 'd2']);
  assert.deepEqual(blockers(modern, facts([device('d1', 14, 14, ['sb-2'])])), []);
  const [firstState] = judgePlan(plan(modern), facts(fleet));
  assert.equal(firstState?.state, 'early', 'the key is named already');
});

const document = {
  schema: 'airlock-key-plan/1',
  product: 'pump',
  version: 1,
  reason: 'sb-1 ends in 2027',
  steps: [
    { id: 'fuse', does: 'secure-boot-trust', key: 'sb-2', release: 12 },
    { id: 'sign', does: 'secure-boot-use', key: 'sb-2', release: 13 },
    { id: 'retire', does: 'secure-boot-retire', key: 'sb-1', note: 'after the field trial' },
  ],
};

test('TEST-OTA-1215 REQ-OTA-KEYS-02, REQ-OTA-OPS-01: a plan document with a field unknown, missing or of another form: refused by name', () => {
  assert.equal(readKeyPlan(document, 'plan.json').steps.length, 3);
  const step = (changes: object) => ({ ...document, steps: [{ ...document.steps[0], ...changes }] });
  const bad: readonly (readonly [string, unknown])[] = [
    ['schema', { ...document, schema: 'airlock-key-plan/2' }],
    ['product', { ...document, product: 'Pump' }],
    ['version', { ...document, version: 0 }],
    ['steps', { ...document, steps: [] }],
    [
      'steps',
      { ...document, steps: Array.from({ length: 65 }, (_, at) => ({ ...document.steps[0], id: `s${at}` })) },
    ],
    ['steps[0].release', step({ release: undefined })],
    ['steps[0].release', step({ release: 1.5 })],
    ['steps[0].does', step({ does: 'secure-boot-forget' })],
    ['steps[0].role', step({ role: 'quality' })],
    ['steps[0].key', step({ does: 'update-add', role: 'quality' })],
    ['steps[0].when', step({ when: 'soon' })],
    ['steps[0].key', step({ key: 'x'.repeat(129) })],
  ];
  for (const [field, value] of bad) {
    assert.throws(
      () => readKeyPlan(value, 'plan.json'),
      (error) =>
        error instanceof Stop &&
        error.failure.code === 'CLI_KEY_PLAN' &&
        error.failure.message.includes(field),
      field,
    );
  }
});

/** A device as the server shows it. */
function served(name: string, changes: object = {}) {
  const sha256 = 'c'.repeat(64);
  return {
    device: name,
    product: 'pump',
    safetyClass: 'C',
    market: 'us',
    hardware: ['hw:rev2'],
    recordNumber: 1,
    registered: '2026-01-01T00:00:00Z',
    logFindings: 0,
    reported: {
      received: '2026-01-01T00:00:00Z',
      report: {
        installed: { A: { version: 11, manifestSha256: sha256 } },
        confirmed: { version: 11, manifestSha256: sha256 },
        secureBoot: { trusted: ['sb-1'] },
        ...changes,
      },
    },
  };
}

test('TEST-OTA-1216 REQ-OTA-KEYS-02: airlock keys plan over a fleet: shows the steps with who is in the way, refuses a step out of its turn and a document out of order, and changes nothing', async (context) => {
  const desk = await sitDown(context, company);
  const file = join(desk.folder, 'plan.json');
  await writeFile(file, JSON.stringify(document));
  desk.server.devices.set('d1', served('d1'));
  desk.server.devices.set('d2', served('d2', { secureBoot: { trusted: ['sb-1', 'sb-2'] } }));
  desk.server.devices.set('gone', { ...served('gone'), revoked: '2026-01-01T00:00:00Z' });
  const shown = await desk.run('keys', 'plan', file, '--json');
  // Told with its own line and status: a step was begun before its turn.
  assert.equal(shown.status, 1);
  assert.match(shown.err, /CLI_KEY_NEEDED.*fuse was begun too early: release 12/);
  const answer = JSON.parse(shown.out) as {
    devices: number;
    steps: { state: string; obstacles: { who: string }[] }[];
  };
  assert.equal(answer.devices, 2);
  assert.deepEqual(
    answer.steps.map(({ state }) => state),
    // The release of the first step is not known to the server, and one device trusts the key already.
    ['early', 'waits', 'waits'],
  );
  await refused(
    desk,
    ['keys', 'plan', file, '--step', 'sign'],
    'CLI_KEY_NEEDED',
    'd1: does not trust sb-2 yet',
    1,
  );
  await refused(desk, ['keys', 'plan', file, '--step', 'retire'], 'CLI_KEY_NEEDED', 'd2', 1);
  await refused(
    desk,
    ['keys', 'plan', file, '--step', 'none'],
    'CLI_KEY_PLAN',
    'it has fuse, sign, retire',
    2,
  );
  await writeFile(file, JSON.stringify({ ...document, steps: document.steps.toReversed() }));
  await refused(desk, ['keys', 'plan', file], 'CLI_KEY_PLAN', 'step retire', 2);
});
