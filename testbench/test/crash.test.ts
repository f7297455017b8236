/**
 * The crash explorer: what it finds nothing in, that it finds planted defects, and that its own parts do what they say.
 *
 * Small, fixed budgets; `npm run crash` explores to the end.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { bundleAgent } from '@airlock/agent/bundle';
import { compareAbstraction } from '../src/crash/abstraction.ts';
import { loadAgent } from '../src/crash/agent-sources.ts';
import { agentVariants } from '../src/crash/agent-variants.ts';
import { CrashDisk, settled, WrongUse } from '../src/crash/crash-disk.ts';
import { bootOnce } from '../src/crash/device.ts';
import { distinctOutcomes } from '../src/crash/distinct-outcomes.ts';
import { environmentOf } from '../src/crash/environment.ts';
import { explore } from '../src/crash/explore.ts';
import { hunt } from '../src/crash/hunt.ts';
import { exploreLog } from '../src/crash/log-explorer.ts';
import { contentOf, filled, type Medium, unwritten } from '../src/crash/medium.ts';
import { mutants } from '../src/crash/mutants.ts';
import { keyOf } from '../src/crash/node-key.ts';
import { parseOptions } from '../src/crash/options.ts';
import { exhaustiveMax, outcomes } from '../src/crash/outcomes.ts';
import { type Scenario, scenarioOf, scenarios } from '../src/crash/scenarios.ts';
import { runSeeded } from '../src/crash/seeded.ts';
import { startState } from '../src/crash/start-states.ts';
import { World } from '../src/crash/world.ts';
import { seededRandom } from '../src/random.ts';

const agent = await loadAgent('plain');

async function explored(scenario: Scenario, nodesMax: number, mutated = agent) {
  const world = new World(scenario.options, { installed: 1, target: scenario.target });
  const next = scenario.newAgent ? { nextAgent: (await agentVariants()).next } : {};
  const { environments, kills } = scenario;
  const start = await startState(scenario.start, world, mutated);
  const random = seededRandom(1);
  return await explore({ world, agent: mutated, ...next, environments, start, random, kills, nodesMax });
}

for (const [at, scenario] of scenarios.entries()) {
  // Numbers of those that came later stand apart: 950 to 959 were taken.
  test(`TEST-OTA-${at < 20 ? 930 + at : 940 + at} REQ-OTA-APPLY-03, REQ-OTA-APPLY-09, REQ-OTA-APPLY-10: crash states, the first of "${scenario.name}": the invariants hold in each, and each leads to rest`, async () => {
    const { found, nodes, boots, bootsToRest } = await explored(scenario, 3);
    assert.deepEqual(found, undefined);
    assert.ok(nodes > 3 && boots >= 3, `${nodes} nodes, ${boots} boots`);
    assert.ok(bootsToRest > 0);
  });
}

test('TEST-OTA-950 REQ-OTA-APPLY-06, REQ-OTA-APPLY-07, REQ-OTA-APPLY-03: twelve runs drawn by seed with faults of the medium: no invariant is broken, and each gets on once faults stop', async () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const { found } = await runSeeded(seed, agent, () => undefined);
    assert.deepEqual(found, undefined, `seed ${seed}`);
  }
});

test('TEST-OTA-951 REQ-OTA-APPLY-03: a seeded run, twice: the same boots and the same cuts', async () => {
  const [first, second] = [
    await runSeeded(7, agent, () => undefined),
    await runSeeded(7, agent, () => undefined),
  ];
  assert.deepEqual(first, second);
});

/** One of each kind; `npm run crash -- --mutants` hunts all. */
const quick = [
  'record: its copies are not flushed',
  'boot file: the newest copy is written first',
  'metadata: not flushed before it is renamed',
  'begin: the other group is written while it is armed',
  'begin: the running group is written',
  'activate: armed before the record says so',
  'confirm: the floor rises before the boot control confirmed',
  'result: logged twice',
];

test('TEST-OTA-952 REQ-OTA-APPLY-02: planted defects, one of each kind: the explorer finds every one', async () => {
  assert.ok(mutants.length >= 25, `${mutants.length} mutants`);
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  for (const name of quick) {
    const mutant = mutants.find((one) => one.name === name);
    assert.ok(mutant, name);
    assert.notEqual((await hunt(mutant)).caught, undefined, name);
  }
});

test('TEST-OTA-896 REQ-OTA-APPLY-02: the trace of a planted defect: the way from the start, by the letters of docs/write-order.md', async () => {
  const [scenario] = scenarios;
  const mutant = mutants.find(({ name }) => name === 'activate: armed before the record says so');
  assert.ok(scenario && mutant);
  const { found } = await explored(scenario, 600, await loadAgent(mutant.name, mutant.changes));
  assert.match(found?.violation ?? '', /would be tried while the record says Staged/);
  assert.match(found?.trace[0] ?? '', /^the start {2}\[record Idle/);
  assert.match(found?.trace.at(-1) ?? '', /power cut after activate\.d: (write of 512 bytes|flush)/);
});

test('TEST-OTA-897 REQ-OTA-OPS-01: a command line of the explorer that would do nothing or something else: one line says so', () => {
  const wrong: Readonly<Record<string, RegExp>> = {
    foo: /foo/,
    '--seconds': /--seconds/,
    '--seconds -5': /--seconds/,
    '--seconds 0': /nothing/,
    '--seed 9999999999': /at most nine digits/,
    '--scenario nowhere': /'small release'/,
    '--mutants --runs 3': /--runs does nothing with --mutants/,
    '--real 0': /at least 1/,
    '--mutant nothing': /'record: no second copy'/,
    '--real 5 --seconds 3': /--seconds does nothing with --real/,
  };
  for (const [line, words] of Object.entries(wrong)) {
    const parsed = parseOptions(line.split(' '));
    assert.equal(typeof parsed, 'string', line);
    assert.match(JSON.stringify(parsed), words);
  }
  assert.match(JSON.stringify(parseOptions(['--scenario', 'small release', '--runs', '1'])), /without any/);
  const parsed = parseOptions(['--seed', '7', '--runs', '1']);
  assert.ok(typeof parsed !== 'string');
  assert.deepEqual([parsed.kind, parsed.seed, parsed.runs], ['explore', 7, 1]);
});

test('TEST-OTA-953 REQ-OTA-APPLY-02: a planted defect whose place is gone: an error, never a mutant that is none', async () => {
  const change = { file: 'core/moves.ts', find: 'this text is nowhere', replace: '' };
  await assert.rejects(loadAgent('no place', [change]), /0 places/);
  await assert.rejects(
    loadAgent('no file', [{ ...change, file: 'core/nowhere.ts' }]),
    /nothing in the agent imports/,
  );
  // Nor may one of those that are hunted lose its place when the agent changes: CI would hear of it minutes later.
  for (const mutant of mutants) {
    for (const { file, find } of mutant.changes) {
      const source = await readFile(new URL(`../../packages/agent/src/${file}`, import.meta.url), 'utf8');
      assert.equal(source.split(find).length, 2, `${mutant.name}: places in ${file}`);
    }
  }
});

test('TEST-OTA-954 REQ-OTA-LOG-01, REQ-OTA-LOG-03: the event log of few cells, every cut in every append: an unbroken chain with every entry whose append returned', async () => {
  const { states, cuts, broken } = await exploreLog(agent);
  assert.equal(broken, undefined);
  assert.ok(states > 30 && cuts > 300, `${states} states, ${cuts} cuts`);
});

test('TEST-OTA-955 REQ-OTA-APPLY-03, REQ-OTA-APPLY-07: two crash states that the abstraction takes for one, with records lost and disks restored among them: they go on alike', async () => {
  for (const name of ['small release', 'record lost', 'old copy of the state restored']) {
    const scenario = scenarioOf(name);
    const world = new World(scenario.options, { installed: 1, target: scenario.target });
    const start = await startState(scenario.start, world, agent);
    const { pairs, differs } = await compareAbstraction(start, { world, agent, pairsMax: 60 });
    assert.deepEqual([name, differs], [name, undefined]);
    assert.equal(pairs, 60, name);
  }
});

test('TEST-OTA-959 REQ-OTA-APPLY-03: every moment of three boots, what a cut may leave taken whole and each kind once: the same states', async () => {
  for (const name of ['small release', 'record lost']) await compareOutcomes(scenarioOf(name));
});

async function compareOutcomes(scenario: Scenario): Promise<void> {
  const world = new World(scenario.options, { installed: 1, target: scenario.target });
  let node = await startState(scenario.start, world, agent);
  const random = seededRandom(7);
  let moments = 0;
  for (const environment of ['image breaks off', 'good', 'self-test fails'].map(environmentOf)) {
    const { after } = await bootOnce(node, {
      world,
      agent,
      environment,
      observe: (step, { disk, counter }) => {
        const keys = (media: Iterable<Medium>): string[] => {
          const all = [...media].map((durable) =>
            keyOf({ disk: { durable, pending: [] }, boot: undefined, serial: 1, counter }, world),
          );
          return [...new Set(all)].toSorted();
        };
        if (disk.pending.length > exhaustiveMax) return;
        const { media, variants } = distinctOutcomes(disk, world, random);
        assert.deepEqual(keys(media), keys(outcomes(disk, random)), step);
        assert.ok(variants >= media.length);
        moments += 1;
      },
    });
    node = { ...after, disk: { durable: settled(after.disk), pending: [] }, boot: undefined };
  }
  assert.ok(moments > 150, `${moments} moments`);
}

test('TEST-OTA-956 REQ-OTA-APPLY-01, REQ-OTA-APPLY-02: the crash disk, used as no drive allows: the run stops at once', async () => {
  const medium: Medium = {
    names: new Map([
      ['/slots/app-A', 1],
      ['/slots/app-B', 2],
    ]),
    contents: new Map([
      [1, filled(1024)],
      [2, filled(1024, unwritten)],
    ]),
  };
  const names = [...medium.names.keys()];
  const disk = new CrashDisk(
    { durable: medium, pending: [] },
    { agent, slots: new Set(names), running: new Set(['/slots/app-A']), observe: () => undefined },
  );
  const [running, other] = [await disk.port().open('/slots/app-A'), await disk.port().open('/slots/app-B')];
  assert.ok(running && other);
  await assert.rejects(running.write(0, new Uint8Array(512)), WrongUse);
  await assert.rejects(other.write(100, new Uint8Array(512)), WrongUse);
  await assert.rejects(other.read(0, 512), WrongUse);
});

test('TEST-OTA-957 REQ-OTA-APPLY-03: four unflushed sectors of one file: each lost, kept or garbage, in every combination', () => {
  const durable: Medium = {
    names: new Map([['/slots/app-B', 1]]),
    contents: new Map([[1, contentOf(new Uint8Array(2048).fill(1))]]),
  };
  const pending = [0, 1, 2, 3].map((sector) => ({
    kind: 'write' as const,
    file: 1,
    position: sector * 512,
    bytes: new Uint8Array(512).fill(2),
  }));
  const left = [...outcomes({ durable, pending }, seededRandom(1))];
  const seen = new Set(
    left.map(({ contents }) =>
      contents
        .get(1)
        ?.map((sector) => sector[0])
        .join(),
    ),
  );
  assert.equal(left.length, 81);
  assert.equal(seen.size, 81);
});

test("TEST-OTA-958 REQ-OTA-APPLY-02: the agent's bundle: holds nothing of the explorer and no switch for it", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'airlock-bundle-'));
  try {
    const file = path.join(folder, 'agent.mjs');
    await bundleAgent({ outFile: file });
    const text = await readFile(file, 'utf8');
    for (const word of [
      'registerHooks',
      'crash=',
      'agent=next',
      'mutant',
      'memoised',
      'planted',
      'airlock-record/2',
    ])
      assert.ok(!text.includes(word), word);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
