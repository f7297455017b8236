/** What people see: alarms of roles that end, progress with and without a terminal, and text that cannot redraw. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alarmOf } from '../src/core/alarms.ts';
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
