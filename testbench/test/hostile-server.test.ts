/**
 * The hostile server lies only where it is told to: otherwise the attacks that it carries would prove nothing.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeAuthority, makeDeviceIdentity, makeServerIdentity, writeIdentity } from '../src/certificates.ts';
import { startHostileServer } from '../src/hostile-server.ts';

test('TEST-OTA-610 REQ-OTA-SIGN-03: hostile server, with and without a lie: passes the truth on, then the lie, under the real identity', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'airlock-hostile-'));
  const authority = await makeAuthority('servers');
  const devices = await makeAuthority('devices');
  const authorityFile = join(folder, 'authority.pem');
  const clientAuthorityFile = join(folder, 'clients.pem');
  writeFileSync(authorityFile, authority.certificate);
  writeFileSync(clientAuthorityFile, devices.certificate);
  const server = await makeServerIdentity(authority);
  const serverFiles = writeIdentity(folder, 'server', server);
  const device = await makeDeviceIdentity(devices, 'pump-1');
  const deviceFiles = writeIdentity(folder, 'device', device);
  const pem = (identity: typeof device) => identity.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const truth = { etag: '"1"', files: { 'director/timestamp.json': 'truth' } };
  const upstream = createServer(
    {
      cert: server.certificate,
      key: pem(server),
      ca: devices.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (_request, response) => response.setHeader('etag', truth.etag).end(JSON.stringify(truth)),
  );
  await new Promise<void>((resolve) => void upstream.listen(0, '127.0.0.1', () => resolve()));
  const address = upstream.address();
  assert.ok(address !== null && typeof address === 'object');
  const hostile = await startHostileServer({
    ...serverFiles,
    clientAuthorityFile,
    upstream: { url: `https://127.0.0.1:${address.port}`, authorityFile },
    deviceIdentity: () => deviceFiles,
  });
  const ask = async (): Promise<string> =>
    await new Promise((resolve, reject) => {
      get(
        `${hostile.url}/device/v1/check-in?imageRoot=1`,
        { ca: authority.certificate, cert: device.certificate, key: pem(device), agent: false },
        (response) => {
          let text = '';
          response.on('data', (piece: Buffer) => (text += piece.toString()));
          response.once('end', () => resolve(text));
        },
      ).once('error', reject);
    });
  try {
    assert.deepEqual(JSON.parse(await ask()), truth);
    const asked: string[] = [];
    hostile.lie((answer, name) => {
      asked.push(name);
      return { ...answer, etag: '"2"', files: { 'director/timestamp.json': 'lie' } };
    });
    assert.deepEqual(JSON.parse(await ask()), { etag: '"2"', files: { 'director/timestamp.json': 'lie' } });
    assert.deepEqual(asked, ['pump-1']);
    assert.equal(hostile.requests.length, 2);
  } finally {
    await hostile.close();
    upstream.closeAllConnections();
    upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
