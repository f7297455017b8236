/** Text from outside on a technician's terminal and in logs: it forges no line, turns nothing round and hides nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogEntry } from '@airlock/protocol';
import { parsePolicy, plainJson, plainText } from '@airlock/trust';
import { boundReason } from '../src/core/record.ts';
import { lineOf, logText } from '../src/output.ts';

/** CSI as one C1 byte, a line separator, right-to-left override, zero width, soft hyphen, tag, escape, line feed. */
const hostile = 'a\u009b2Jb\u2028c\u202ed\u200be\u00adf\u{e0041}g\u001b[1mh\ni';
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

test('TEST-OTA-1026 REQ-OTA-LOG-01: reasons and lines of output, made of control, direction and invisible characters: one plain line', () => {
  assert.equal(plainText(hostile), 'a 2Jb c d e f g [1mh i');
  assert.equal(boundReason(`${hostile}\n`), plainText(hostile));
  for (const json of [true, false]) {
    const line = lineOf('info', hostile, json);
    assert.equal(line.at(-1), '\n');
    assert.doesNotMatch(line.slice(0, -1), unsafe);
  }
  const entry: LogEntry = {
    schema: 'airlock-log-entry/1',
    sequence: 1,
    previous: '0'.repeat(64),
    time: 0,
    bootId: 'boot',
    code: 'OTA_BOOT',
    reason: hostile,
  };
  assert.doesNotMatch(logText([entry]).slice(0, -1), unsafe);
  const shown = plainJson(entry, 2);
  assert.doesNotMatch(shown.replaceAll('\n', ''), unsafe);
  assert.deepEqual(JSON.parse(shown), entry, 'JSON keeps its value');
});

test('TEST-OTA-1027 REQ-OTA-NET-04: a file that nobody signed, with a key of hostile characters or a very long one: its refusal is plain and short', () => {
  for (const key of [hostile, `${hostile}${'x'.repeat(10_000)}`, '\u202e'.repeat(5000)]) {
    const refused = parsePolicy(new TextEncoder().encode(JSON.stringify({ [key]: 1 })));
    assert.ok(!refused.ok);
    assert.match(refused.error.message, /is not a known field/);
    for (const text of [refused.error.message, refused.error.field ?? '']) {
      assert.doesNotMatch(text, unsafe);
      assert.ok(text.length < 200, text);
    }
  }
});
