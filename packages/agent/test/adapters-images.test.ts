/** Images by range over real TLS: right bytes in the right place, constant buffers, and every wrong answer refused. */
import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { TransportError } from '../src/ports/platform.ts';
import { hasCode, readAll, withServer } from './support/tls-server.ts';

const sha256 = 'ab'.repeat(32);
const image = Buffer.from(Array.from({ length: 3_300_007 }, (_, index) => (index * 7 + (index >> 9)) & 0xff));

function serveRange(request: IncomingMessage, response: ServerResponse): void {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const [start, last] = [Number(from), Number(to)];
  response.writeHead(206, {
    'content-range': `bytes ${start}-${last}/${image.length}`,
    'content-length': String(last - start + 1),
  });
  response.end(image.subarray(start, last + 1));
}

test('TEST-OTA-348 REQ-OTA-DELTA-02: image, read by ranges, slowly or broken off: every byte in its place, the connection kept', async () => {
  await withServer({ answer: serveRange }, async (transport, seen) => {
    const whole = await readAll(transport.readImage({ sha256, start: 0, end: image.length }));
    assert.ok(whole.equals(image));
    const middle = await readAll(transport.readImage({ sha256, start: 1_000_001, end: 1_000_002 }));
    assert.ok(middle.equals(image.subarray(1_000_001, 1_000_002)));
    const slow: Buffer[] = [];
    for await (const piece of transport.readImage({ sha256, start: 5, end: image.length })) {
      await new Promise((resolve) => setImmediate(resolve));
      slow.push(Buffer.from(piece));
    }
    assert.ok(Buffer.concat(slow).equals(image.subarray(5)));
    assert.equal(new Set(seen.map((request) => request.socket)).size, 1);
    for await (const piece of transport.readImage({ sha256, start: 0, end: image.length })) {
      assert.ok(piece.length > 0);
      break;
    }
    const controller = new AbortController();
    const called = transport.readImage({ sha256, start: 0, end: image.length, signal: controller.signal });
    controller.abort();
    await assert.rejects(readAll(called), TransportError);
    assert.equal((await readAll(transport.readImage({ sha256, start: 0, end: 0 }))).length, 0);
  });
});

test('TEST-OTA-349 REQ-OTA-NET-04: image range, answered whole, shifted, encoded, too long or cut: refused, never written as if right', async () => {
  const head =
    (status: number, headers: Record<string, string>, body = '0123456789'): RequestListener =>
    (_request, response) => {
      response.writeHead(status, headers);
      response.write(body);
      response.end();
    };
  const right = { 'content-range': 'bytes 10-19/100' };
  const cases: [RequestListener, TransportError['code']][] = [
    [head(200, {}), 'OTA_SERVER_ANSWER'],
    [head(416, {}), 'OTA_SERVER_ANSWER'],
    [head(206, {}), 'OTA_SERVER_ANSWER'],
    [head(206, { 'content-range': 'bytes 0-9/100' }), 'OTA_SERVER_ANSWER'],
    [head(206, { 'content-range': 'bytes 10-18/100' }), 'OTA_SERVER_ANSWER'],
    [head(206, { 'content-range': 'bytes 10-19' }), 'OTA_SERVER_ANSWER'],
    [head(206, { ...right, 'content-encoding': 'gzip' }), 'OTA_SERVER_ANSWER'],
    [head(206, { ...right, 'content-length': '9' }, '012345678'), 'OTA_SERVER_ANSWER'],
    [head(206, right, '0123456789x'), 'OTA_ANSWER_TOO_LARGE'],
    [head(206, right, '012345678'), 'OTA_SERVER_UNREACHABLE'],
  ];
  for (const [answer, code] of cases) {
    await withServer({ answer }, async (transport) => {
      await assert.rejects(readAll(transport.readImage({ sha256, start: 10, end: 20 })), hasCode(code));
    });
  }
  await withServer({ answer: head(206, right) }, async (transport) => {
    assert.equal(
      (await readAll(transport.readImage({ sha256, start: 10, end: 20 }))).toString(),
      '0123456789',
    );
    await assert.rejects(readAll(transport.readImage({ sha256: '../x', start: 0, end: 1 })), TypeError);
  });
});
