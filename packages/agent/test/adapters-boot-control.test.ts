/** Boot control by file and by an integrator's command: one contract, and what only a command can get wrong. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { commandBootControl, parseBootControlState } from '../src/adapters/command-boot-control.ts';
import { nodeDisk } from '../src/adapters/node-disk.ts';
import { bootFileControl, createBootFile } from '../src/durable/boot-file.ts';
import { bootControlContract } from './support/boot-control-contract.ts';
import { scratchFolder } from './support/scratch.ts';

const program = fileURLToPath(new URL('support/boot-control-program.ts', import.meta.url));

bootControlContract(
  'boot control by a file',
  async () => {
    const { folder, dispose } = await scratchFolder();
    const path = join(folder, 'boot');
    await createBootFile(nodeDisk(), path, 'A');
    return { control: bootFileControl({ disk: nodeDisk(), path }), dispose };
  },
  320,
);

bootControlContract(
  'boot control by a command',
  async () => {
    const { folder, dispose } = await scratchFolder();
    const file = join(folder, 'boot state.json');
    await writeFile(file, JSON.stringify({ order: ['A'], left: { A: 16 } }));
    return { control: byCommand([process.execPath, program, file]), dispose };
  },
  323,
);

function byCommand(command: readonly string[], timeLimitSeconds = 20): ReturnType<typeof commandBootControl> {
  return commandBootControl({ command, tries: 'counted', armingSurvivesPowerOff: true, timeLimitSeconds });
}

test('TEST-OTA-326 REQ-OTA-APPLY-09: boot control by a command, missing, failing or hanging: unreadable, and no step counts as done', async () => {
  for (const command of [
    ['/nonexistent/program'],
    ['/bin/sh', '-c', 'echo broken; exit 3'],
    ['/bin/sh', '-c', 'sleep 60'],
  ]) {
    const control = byCommand(command, 0.5);
    assert.equal(await control.read(), undefined);
    await assert.rejects(control.disarm('B'), /boot control `disarm B`/);
    await assert.rejects(control.arm('B', 3), /boot control `arm B 3`/);
    await assert.rejects(control.confirm('B'), /boot control `confirm B`/);
  }
});

test('TEST-OTA-327 REQ-OTA-APPLY-09: boot control state, any text but an exact state: unreadable', () => {
  const bad = [
    '',
    '[]',
    '{}',
    '{"order":["C"]}',
    '{"order":["A","A"]}',
    '{"order":["A"],"trial":"X"}',
    '{"order":["A"],"left":{"A":-1}}',
    '{"order":["A"],"left":{"A":1.5}}',
    '{"order":["A"],"left":{"C":1}}',
    '{"order":["A"],"left":[]}',
    '{"order":["A"],"extra":1}',
    '{"order":["A"]} trailing',
  ];
  for (const text of bad) assert.equal(parseBootControlState(text), undefined, text);
  assert.deepEqual(parseBootControlState('{"order":["B","A"],"trial":"B","left":{"B":2}}'), {
    order: ['B', 'A'],
    trial: 'B',
    left: { B: 2 },
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const state = parseBootControlState(text);
      assert.ok(state === undefined || state.order.every((letter) => letter === 'A' || letter === 'B'));
    }),
  );
});
