/**
 * The transport against a real HTTPS server with real certificates: every way in which a server, a network or an
 * attacker between can misbehave has one code, and nothing of a wrong answer is used.
 */
import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { type AddressInfo, createServer as createPlainServer } from 'node:net';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { CheckInRequest } from '@airlock/protocol';
import { httpsTransport } from '../src/adapters/https-transport.ts';
import {
  authority,
  deviceOptions,
  hasCode,
  json,
  localhost,
  readAll,
  withServer,
} from './support/tls-server.ts';
import { makeAuthority } from './support/certificates.ts';

const held: CheckInRequest = {
  imageRoot: 1,
  directorRoot: 2,
  imageRoles: { targets: 3, quality: 4 },
  imageSnapshot: 5,
  directorSnapshot: 6,
  directorTargets: 7,
  deviceRecord: 1,
  timestamps: true,
};
const sha256 = 'ab'.repeat(32);

test('TEST-OTA-341 REQ-OTA-NET-01: check-in, over mutual TLS 1.3: one conditional request, and the answer parsed', async () => {
  const files = { 'image/timestamp.json': '{}', 'director/5.targets.json': '{"a":"ü"}' };
  const answer: RequestListener = (request, response) => {
    const socket = request.socket as TLSSocket;
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    assert.equal(socket.authorized, true);
    if (request.headers['if-none-match'] === '"e1"') response.writeHead(304).end();
    else json(response, { etag: '"e1"', files, deviceRecord: 'record' });
  };
  await withServer({ answer }, async (transport, seen) => {
    const first = await transport.checkIn(held);
    assert.deepEqual(first, { kind: 'files', etag: '"e1"', files, deviceRecord: 'record' });
    assert.deepEqual(await transport.checkIn({ ...held, etag: '"e1"' }), { kind: 'unchanged' });
    assert.equal(seen.length, 2);
    assert.equal(seen[0]?.socket, seen[1]?.socket, 'the connection is kept');
    assert.equal(
      seen[0]?.url,
      '/device/v1/check-in?imageRoot=1&directorRoot=2&imageSnapshot=5&directorSnapshot=6&directorTargets=7&deviceRecord=1&roles=quality%3A4%2Ctargets%3A3&timestamps=1',
    );
  });
});

test('TEST-OTA-342 REQ-OTA-NET-01: server certificate, of another authority, name or time: refused before anything is sent', async (t) => {
  const other = await makeAuthority('somebody else');
  const leaves = [
    await other.issue([...localhost]),
    await authority.issue([{ type: 'dns', value: 'elsewhere.example' }]),
    await authority.issue([...localhost], { from: -0.9, to: -0.1 }),
  ];
  // What a careless shell may have set must not switch the check off.
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  // Node warns of the variable once; the first line of a test run must not be a warning that is meant.
  t.mock.method(process, 'emitWarning', () => undefined);
  try {
    for (const leaf of leaves) {
      await withServer(
        { leaf, answer: () => assert.fail('a request came through') },
        async (transport, seen) => {
          await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_CERTIFICATE'));
          await assert.rejects(
            readAll(transport.readImage({ sha256, start: 0, end: 9 })),
            hasCode('OTA_SERVER_CERTIFICATE'),
          );
          assert.equal(seen.length, 0);
        },
      );
    }
  } finally {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  }
});

test('TEST-OTA-343 REQ-OTA-NET-01: TLS 1.2, offered alone: refused by default, taken where configured, never without forward secrecy', async () => {
  const answer: RequestListener = (_request, response) => json(response, { etag: 'e', files: {} });
  await withServer({ answer, version: 'TLSv1.2' }, async (transport, seen) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_UNREACHABLE'));
    assert.equal(seen.length, 0);
  });
  await withServer({ answer, version: 'TLSv1.2', options: { tlsMin: '1.2' } }, async (transport, seen) => {
    assert.equal((await transport.checkIn(held)).kind, 'files');
    assert.match(
      (seen[0]?.socket as TLSSocket | undefined)?.getCipher().name ?? '',
      /^ECDHE-.*(GCM|POLY1305)/,
    );
  });
  const weak = {
    answer,
    version: 'TLSv1.2',
    ciphers: 'ECDHE-ECDSA-AES128-SHA256',
    options: { tlsMin: '1.2' },
  } as const;
  await withServer(weak, async (transport) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_UNREACHABLE'));
  });
});

test('TEST-OTA-344 REQ-OTA-NET-02: device, not known to the server: the closed connection is told apart from no server', async () => {
  const stranger = (await makeAuthority('not the fleet')).certificate;
  await withServer({ clientAuthority: stranger }, async (transport) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_REFUSED'));
  });
  await withServer({ answer: (request) => request.socket.destroy() }, async (transport) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_REFUSED'));
    await assert.rejects(transport.sendReport('{}'), hasCode('OTA_SERVER_REFUSED'));
  });
  let closed = httpsTransport({ ...deviceOptions(), url: 'https://localhost:1' });
  await assert.rejects(closed.checkIn(held), hasCode('OTA_SERVER_UNREACHABLE'));
  closed.close();
  closed = httpsTransport({ ...deviceOptions(), url: 'https://no-such-host.invalid' });
  await assert.rejects(closed.checkIn(held), hasCode('OTA_SERVER_UNREACHABLE'));
  closed.close();
});

test('TEST-OTA-345 REQ-OTA-NET-04: server, silent in the handshake, before the answer or in the body: given up within the time limits', async () => {
  const limits = { connectMilliseconds: 300, idleMilliseconds: 300, bodyMilliseconds: 900 };
  const mute = createPlainServer(() => undefined);
  await new Promise<void>((resolve) => mute.listen(0, 'localhost', resolve));
  const { port } = mute.address() as AddressInfo;
  const transport = httpsTransport({ ...deviceOptions(), url: `https://localhost:${port}`, limits });
  await assert.rejects(transport.checkIn(held), /no connection within the time limit/);
  transport.close();
  mute.close();
  const mutes: RequestListener[] = [
    () => undefined,
    (_request, response) => {
      response.writeHead(200);
      response.write('{');
    },
    (_request, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(drip));
    },
  ];
  for (const answer of mutes) {
    await withServer({ answer, options: { limits } }, async (each) => {
      await assert.rejects(each.checkIn(held), hasCode('OTA_SERVER_UNREACHABLE'));
    });
  }
  const stuck: RequestListener = (_request, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-9/10', 'content-length': '10' });
    response.write('12345');
  };
  await withServer({ answer: stuck, options: { limits } }, async (each) => {
    await assert.rejects(
      readAll(each.readImage({ sha256, start: 0, end: 10 })),
      hasCode('OTA_SERVER_UNREACHABLE'),
    );
  });
});

test('TEST-OTA-346 REQ-OTA-NET-04: answer, longer than its limit, declared or endless: refused without reading on', async () => {
  let written = 0;
  const endless: RequestListener = (_request, response) => {
    response.writeHead(200);
    const block = Buffer.alloc(65_536, 0x20);
    const more = (): void => {
      while (!response.destroyed && response.write(block)) written += block.length;
    };
    response.on('drain', more);
    more();
  };
  const options = { limits: { checkInBytesMax: 100_000 } };
  await withServer({ answer: endless, options }, async (transport) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_ANSWER_TOO_LARGE'));
    await assert.rejects(transport.signedTime('00'), hasCode('OTA_ANSWER_TOO_LARGE'));
    assert.ok(written < 64 << 20);
  });
  const declared: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-length': '100001' });
    response.flushHeaders();
  };
  await withServer({ answer: declared, options }, async (transport) => {
    await assert.rejects(transport.checkIn(held), hasCode('OTA_ANSWER_TOO_LARGE'));
  });
});

test('TEST-OTA-347 REQ-OTA-NET-04: check-in answer, every wrong form: refused, with the field named', async () => {
  const good = { etag: 'e', files: {} };
  const bad: [unknown, RegExp][] = [
    ['text', /JSON object/],
    [{ ...good, etag: 'line\nbreak' }, /etag/],
    [{ etag: 'e' }, /files/],
    [{ ...good, files: { '../../etc/passwd': '' } }, /not a path of TUF/],
    [{ ...good, files: { 'image/../x': '' } }, /not a path of TUF/],
    [{ ...good, files: { 'image/1.root.json': 7 } }, /files\.image\/1\.root\.json/],
    [{ ...good, deviceRecord: 7 }, /deviceRecord/],
  ];
  for (const [value, reason] of bad) {
    await withServer({ answer: (_request, response) => json(response, value) }, async (transport) => {
      await assert.rejects(transport.checkIn(held), reason);
      await assert.rejects(transport.checkIn(held), hasCode('OTA_SERVER_ANSWER'));
    });
  }
  const statuses = {
    401: 'OTA_SERVER_REFUSED',
    404: 'OTA_SERVER_ANSWER',
    302: 'OTA_SERVER_ANSWER',
    503: 'OTA_SERVER_UNREACHABLE',
  } as const;
  for (const [status, code] of Object.entries(statuses)) {
    const answer: RequestListener = (_request, response) => {
      response.writeHead(Number(status), { location: 'https://localhost:1/' }).end();
    };
    await withServer({ answer }, async (transport) => {
      await assert.rejects(transport.checkIn(held), hasCode(code));
    });
  }
});

test('TEST-OTA-350 REQ-OTA-LOG-01: report, log and time, posted: bodies arrive unchanged, answers are parsed strictly', async () => {
  const bodies: string[] = [];
  const answers: Record<string, unknown> = { '/device/v1/log': { sequence: 41 }, '/device/v1/time': 'ok' };
  const answer: RequestListener = (request, response) => {
    const pieces: Uint8Array[] = [];
    request.on('data', (piece: Uint8Array) => pieces.push(piece));
    request.on('end', () => {
      bodies.push(`${request.method} ${request.url} ${Buffer.concat(pieces).toString()}`);
      json(response, answers[request.url ?? ''] ?? {}, 200);
    });
  };
  await withServer({ answer }, async (transport) => {
    await transport.sendReport('{"ü":1}');
    assert.equal(await transport.sendLog('{"entries":[]}'), 41);
    assert.equal(await transport.signedTime('abcd'), '"ok"');
    answers['/device/v1/log'] = { sequence: '41' };
    await assert.rejects(transport.sendLog('{}'), hasCode('OTA_SERVER_ANSWER'));
  });
  assert.deepEqual(bodies.slice(0, 3), [
    'POST /device/v1/reports {"ü":1}',
    'POST /device/v1/log {"entries":[]}',
    'POST /device/v1/time {"nonce":"abcd"}',
  ]);
});

test('TEST-OTA-351 REQ-OTA-NET-04: kept connection, closed by the server between two polls: the second poll goes through', async () => {
  let count = 0;
  const answer: RequestListener = (request, response) => {
    count += 1;
    // The second request of a connection meets a server that has just closed it.
    if (count === 2) request.socket.destroy();
    else json(response, { etag: 'e', files: {} });
  };
  await withServer({ answer }, async (transport) => {
    assert.equal((await transport.checkIn(held)).kind, 'files');
    assert.equal((await transport.checkIn(held)).kind, 'files');
    assert.equal(count, 3);
  });
});
