/**
 * Power cuts and kills on real processes, a short run of each; and that a disk which forgets what was flushed is found.
 * The long runs are `testbench/src/crash-real/main.ts`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runReal } from '../src/crash-real/run.ts';

const sum = (counts: Iterable<number>): number => [...counts].reduce((total, count) => total + count, 0);

test('TEST-OTA-900 REQ-OTA-APPLY-03, REQ-OTA-APPLY-01, REQ-OTA-APPLY-09: real agents, eight power cuts and eight kills at moments drawn by seed: every invariant in every state, and the newest release in the end', async (t) => {
  const { lanes, violations } = await runReal({
    cuts: 8,
    kills: 8,
    seed: 4,
    print: (line) => t.diagnostic(line),
  });
  assert.deepEqual(violations, []);
  assert.deepEqual(
    lanes.map(({ name, strikes }) => [name, strikes]),
    [
      ['cuts', 8],
      ['kills', 8],
    ],
  );
  for (const lane of lanes) {
    assert.equal(sum(lane.byPhase.values()), lane.strikes, 'each strike is counted in one phase');
    assert.ok(lane.byPhase.size >= 2, 'more than one phase is struck');
    assert.equal(lane.checks, lane.runs, 'each run of the agent is followed by the checks');
    assert.ok(lane.reached !== undefined && lane.bootsToEnd !== undefined);
    for (const { results } of lane.attempts) assert.equal(results.length, 1);
  }
});

test('TEST-OTA-901 REQ-OTA-APPLY-03, REQ-OTA-APPLY-02: a planted disk that answers a flush of the record and forgets it: found, with the seed to repeat it', async () => {
  const lines: string[] = [];
  const { violations } = await runReal({
    cuts: 8,
    kills: 0,
    seed: 4,
    print: (line) => void lines.push(line),
    diskFile: fileURLToPath(new URL('support/forgetful-disk.ts', import.meta.url)),
  });
  assert.ok(violations.length > 0, lines.join('\n'));
  assert.match(violations.join('\n'), /log|record|trial|armed/);
  assert.match(lines.join('\n'), /to repeat the plan: .*--seed 4/);
});
