/**
 * What a server's answer may cost the device's memory: bodies made to be expensive to parse are refused unparsed.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { type CheckInRequest, wireLimits } from '@airlock/protocol';
import { parseCheckInAnswer } from '../src/adapters/http-answer.ts';
import { hasCode, withServer } from './support/tls-server.ts';

const held: CheckInRequest = {
  imageRoot: 1,
  directorRoot: 1,
  imageRoles: {},
  imageSnapshot: 1,
  directorSnapshot: 1,
  directorTargets: 1,
  deviceRecord: 1,
  timestamps: false,
};
const bytesMax = wireLimits.checkInAnswerBytesMax;
const filled = (head: string, piece: string): string =>
  head + piece.repeat(Math.floor((bytesMax - head.length) / piece.length));
const hostile = {
  nested: filled('', '['),
  'nested objects': filled('', '{"":'),
  'many objects': filled('[', '{},'),
  'many numbers': filled('[', '1,'),
  'many texts in the files': filled('{"etag":"e","files":{', '"a":"",'),
};

test('TEST-OTA-1020 REQ-OTA-NET-04: check-in answer, within the byte limit but made of brackets or small values throughout: refused as OTA_SERVER_ANSWER before it is parsed', async () => {
  for (const [what, body] of Object.entries(hostile)) {
    await withServer({ answer: (_request, response) => response.end(body) }, async (transport) => {
      // Parsing would say that it is no JSON object.
      const refusal = /check-in: expected at most \d+ (levels|values)$/;
      await assert.rejects(transport.checkIn(held), refusal, what);
      await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_ANSWER'));
    });
  }
});

test('TEST-OTA-1021 REQ-OTA-NET-04: check-in answer, one byte longer than all signed files together can be: refused as OTA_ANSWER_TOO_LARGE', async () => {
  const long = ' '.repeat(bytesMax + 1);
  await withServer({ answer: (_request, response) => response.end(long) }, async (transport) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_ANSWER_TOO_LARGE'));
  });
});

test('TEST-OTA-1022 REQ-OTA-NET-04: check-in answers made to be expensive, a process with little memory: it survives all of them', () => {
  const program = fileURLToPath(new URL('support/answer-memory-program.ts', import.meta.url));
  const ended = spawnSync(process.execPath, ['--max-old-space-size=128', program], {
    input: JSON.stringify(Object.values(hostile)),
    encoding: 'utf8',
    maxBuffer: 1 << 20,
  });
  assert.equal(ended.status, 0, ended.stderr.slice(0, 500));
  const { refused, peakBytes } = JSON.parse(ended.stdout) as { refused: number; peakBytes: number };
  assert.equal(refused, Object.keys(hostile).length);
  // 40 MB of bodies in two forms and Node itself; parsing one of them took 300 MB and more.
  assert.ok(peakBytes < 250e6, `peak ${peakBytes}`);
});

test('TEST-OTA-1023 REQ-OTA-NET-04: check-in answer, as many files as are allowed, full of brackets and commas in their texts: read', () => {
  const text = '{"signed":[[[[[[[,,,,\\"]]"'.repeat(20);
  const names = Array.from({ length: 512 }, (_, index) => `image/${index}.root.json`);
  const files = Object.fromEntries(names.map((name) => [name, text]));
  const body = Buffer.from(JSON.stringify({ etag: 'e', files, deviceRecord: text, more: true }));
  assert.deepEqual(parseCheckInAnswer(body, 'here'), { kind: 'files', etag: 'e', files, deviceRecord: text });
});
