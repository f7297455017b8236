/** What people see: alarms of roles that end, progress with and without a terminal, and text that cannot redraw. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { alarmOf } from '@airlock/protocol';

import { decisionsLeft } from '../src/device.ts';
import { Home } from '../src/home.ts';
import type { CliIo } from '../src/io.ts';
import { Output, plain, table } from '../src/output.ts';

const day = 86_400;

test('TEST-OTA-533 REQ-OTA-OPS-01: status, a role comes to its end: alarms at a half, a quarter, seven days and the end', () => {
  const life = 180 * day;
  const at = (left: number) => alarmOf(1000 * day + left, life, 1000 * day);
  assert.deepEqual([90 * day + 1, 90 * day, 45 * day, 7 * day, 1, 0].map(at), [
    undefined,
    'half',
    'quarter',
    '7 days',
    '7 days',
    'expired',
  ]);
});

function screen(bars: boolean): { io: CliIo; said: () => string } {
  let err = '';
  const io: CliIo = {
    cwd: '/',
    env: {},
    out: () => undefined,
    err: (text) => {
      err += text;
    },
    bars,
    now: () => 0,
  };
  return { io, said: () => err };
}

test('TEST-OTA-534 REQ-OTA-OPS-01: long work, at a terminal, in a log and with --json: a bar, plain lines, nothing', () => {
  for (const [bars, json, form] of [
    [true, false, /^\r\u001b\[2KHashing a \[#+\] 100 % of 5 B, .*\n$/],
    [false, false, /^Hashing a 100 % of 5 B, [^\r\u001b]*\n$/],
    [true, true, /^$/],
  ] as const) {
    const { io, said } = screen(bars);
    const progress = new Output(io, json).progress('Hashing a', 5);
    progress.add(5);
    progress.end();
    assert.match(said(), form);
  }
});

test('TEST-OTA-535 REQ-OTA-POL-10: text from a server, with control and direction characters in it: none reaches the terminal', () => {
  const evil = 'safe\u001b[2J\r\n\u202egnp.exe\u0007';
  assert.doesNotMatch(plain(evil), /[\u001b\r\n\u202e\u0007]/);
  assert.equal(table(['A'], [[evil]]).split('\n').length, 3);
});

test('TEST-OTA-1047 REQ-OTA-POL-10: text from a server, with signs in it that have no width or no shape: each one is seen', () => {
  for (const hidden of [
    '\u200b',
    '\u200d',
    '\u2060',
    '\ufeff',
    '\u00ad',
    '\u034f',
    '\u3164',
    '\ufe0f',
    '\u{e0041}',
  ]) {
    assert.equal(plain(`hw:rev${hidden}2`), 'hw:rev\ufffd2', JSON.stringify(hidden));
  }
  assert.equal(plain('Dr. Zoë Müller 東京'), 'Dr. Zoë Müller 東京');
});

test('TEST-OTA-1048 REQ-OTA-POL-08: the record of key use, its last line torn by a power loss: the next use stands on a line of its own', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-record-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const home = new Home(folder);
  const use = {
    time: '2026-01-01T00:00:00Z',
    keyId: 'k',
    key: 'pump.quality.ada',
    act: 'x',
    unattended: false,
  };
  const lines = async () => (await readFile(join(folder, 'key-use.jsonl'), 'utf8')).split('\n');
  await home.recordKeyUse([use]);
  await home.recordKeyUse([use]);
  assert.equal((await lines()).length, 3);
  await writeFile(join(folder, 'key-use.jsonl'), '{"id":"1","ti');
  await home.recordKeyUse([{ ...use, act: 'approve release 5' }]);
  const [torn, whole, end] = await lines();
  assert.deepEqual([torn, end], ['{"id":"1","ti', '']);
  assert.match(whole ?? '', /^\{"id":.*approve release 5.*\}$/);
});

test('TEST-OTA-1049 REQ-OTA-OPS-01: a new device, its configuration left to the defaults: what the integrator must still decide is named', () => {
  const names = (template: Record<string, unknown>) => decisionsLeft(template).map(([name]) => name);
  assert.deepEqual(names({}).slice(0, 2), ['interlock', 'selfTest']);
  assert.ok(!names({ interlock: { command: ['ask'], timeLimitSeconds: 5 } }).includes('interlock'));
});
