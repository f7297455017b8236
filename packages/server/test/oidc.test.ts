/**
 * The adapter to the identity provider against one that lies: each field of an ID token forged by itself, and answers that
 * are too long, over http or of another form. What claims give, and what not.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:https';
import { once } from 'node:events';
import { test } from 'node:test';
import { createProviderFetch } from '../src/adapters/oidc-fetch.ts';
import { createOidcProvider } from '../src/adapters/oidc.ts';
import { type ClaimMapping, identityOf } from '../src/core/claims.ts';
import { makeAuthority } from './support/certificates.ts';

const issuer = 'https://id.example.com';
const mapping: ClaimMapping = {
  userClaim: 'preferred_username',
  nameClaim: 'name',
  rolesClaim: 'groups',
  grants: [
    { value: 'a', roles: ['operator'], functions: [], products: ['pump'] },
    { value: 'b', roles: ['auditor'], functions: ['pump/quality'], products: ['*'] },
  ],
};
const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });
const own = pair();
const other = pair();

function token(claims: object, key: KeyObject, alg = 'ES256'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg, kid: 'one' })}.${part(claims)}`;
  if (alg === 'none') return `${text}.`;
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

/** A provider that answers with this ID token, made for the nonce that was asked for. */
function lyingProvider(idToken: (nonce: string) => string, description: object = {}) {
  let nonce = '';
  const json = (value: unknown) =>
    new Response(JSON.stringify(value), { status: 200, headers: { 'content-type': 'application/json' } });
  const provider = createOidcProvider({
    issuer,
    clientId: 'airlock',
    clientSecret: 'secret',
    redirectUrl: 'https://updates.example.com/api/v1/sign-in/provider/callback',
    scope: 'openid',
    mapping,
    fetch: async (url) => {
      if (url.endsWith('/.well-known/openid-configuration')) {
        return json({
          issuer,
          authorization_endpoint: `${issuer}/auth`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/keys`,
          id_token_signing_alg_values_supported: ['ES256'],
          authorization_response_iss_parameter_supported: true,
          ...description,
        });
      }
      if (url === `${issuer}/keys`) {
        const jwk = own.publicKey.export({ format: 'jwk' });
        return json({ keys: [{ ...jwk, kid: 'one', alg: 'ES256', use: 'sig' }] });
      }
      return json({ access_token: 'x', token_type: 'bearer', id_token: idToken(nonce) });
    },
  });
  return async (query: (state: string) => string) => {
    const begun = await provider.begin();
    if (!begun.ok) return begun;
    ({ nonce } = begun.value);
    return await provider.end(query(begun.value.state), begun.value);
  };
}

const now = () => Math.floor(Date.now() / 1000);
const claims = (nonce: string) => ({
  iss: issuer,
  aud: 'airlock',
  sub: 'sub-1',
  nonce,
  iat: now(),
  exp: now() + 300,
  preferred_username: 'ada',
  name: 'Ada Quill',
  groups: ['a'],
});
const answer = (state: string) => `code=c&state=${state}&iss=${encodeURIComponent(issuer)}`;

test('TEST-OTA-1356 REQ-OTA-POL-08: an ID token with another nonce, audience, issuer, key, no signature, no subject or past its end, each alone: nobody; the same token right in everything: the person', async () => {
  const outcome = async (change: object, key = own.privateKey, alg = 'ES256') => {
    const end = lyingProvider((nonce) => token({ ...claims(nonce), ...change }, key, alg));
    const result = await end(answer);
    return result.ok ? result.value.user : result.error.code;
  };
  assert.equal(await outcome({}), 'ada');
  for (const forged of [
    { nonce: 'another' },
    { nonce: undefined },
    { aud: 'somebody-else' },
    { aud: ['airlock', 'somebody-else'] },
    { iss: 'https://evil.example.com' },
    { exp: now() - 3_600 },
    { sub: undefined },
    { preferred_username: 'A B' },
    { name: undefined },
  ]) {
    assert.equal(await outcome(forged), 'API_PROVIDER_ANSWER', JSON.stringify(forged));
  }
  assert.equal(
    await outcome({}, other.privateKey),
    'API_PROVIDER_ANSWER',
    'a key that is not the provider’s',
  );
  assert.equal(await outcome({}, own.privateKey, 'none'), 'API_PROVIDER_ANSWER', 'no signature');
});

test('TEST-OTA-1357 REQ-OTA-POL-08, REQ-OTA-OPS-01: an answer with another state, of another issuer or without one, and a provider that describes another issuer: refused, and no code of the provider in the message', async () => {
  const honest = lyingProvider((nonce) => token(claims(nonce), own.privateKey));
  for (const query of [
    (_state: string) => `code=very-secret&state=other&iss=${encodeURIComponent(issuer)}`,
    (state: string) => `code=very-secret&state=${state}&iss=https%3A%2F%2Fevil.example.com`,
    (state: string) => `code=very-secret&state=${state}`,
  ]) {
    const result = await honest(query);
    assert.equal(result.ok ? '' : result.error.code, 'API_PROVIDER_ANSWER');
    assert.ok(!JSON.stringify(result).includes('very-secret'));
  }
  const mixed = lyingProvider((nonce) => token(claims(nonce), own.privateKey), {
    issuer: 'https://evil.example',
  });
  const result = await mixed(answer);
  assert.equal(result.ok ? '' : result.error.code, 'API_PROVIDER');
});

test('TEST-OTA-1358 REQ-OTA-POL-08: claims of no, one, several and unknown groups, and of another form: only what the mapping names is given', () => {
  const given = (groups: unknown) => {
    const identity = identityOf({ ...claims('n'), groups }, mapping);
    return identity.ok ? identity.value.grant : identity.error;
  };
  const none = { roles: [], functions: [], products: [] };
  for (const groups of [undefined, [], ['c'], 'c', { a: 1 }, [['a']], null])
    assert.deepEqual(given(groups), none);
  assert.deepEqual(given('a'), { roles: ['operator'], functions: [], products: ['pump'] });
  assert.deepEqual(given(['b', 'a', 'zz']), {
    roles: ['operator', 'auditor'],
    functions: ['pump/quality'],
    products: ['*'],
  });
  // A claim that every object has by its prototype is none.
  const odd = identityOf(claims('n'), { ...mapping, nameClaim: 'constructor' });
  assert.equal(odd.ok ? '' : odd.error.field, 'constructor');
});

test('TEST-OTA-1359 REQ-OTA-NET-04, REQ-OTA-POL-08: a provider over http, with a certificate of another authority, and with an answer without end: refused, and read no further than a megabyte', async (t) => {
  const [trusted, foreign] = [await makeAuthority('Trusted'), await makeAuthority('Foreign')];
  const { certificate, key } = await trusted.issue({ name: 'localhost', use: 'server' });
  let sent = 0;
  const server = createServer({ cert: certificate, key }, (request, response) => {
    if (request.url === '/short') return void response.end('{}');
    const piece = Buffer.alloc(65_536, 32);
    const more = () => {
      while (!response.destroyed) {
        sent += piece.length;
        if (!response.write(piece)) break;
      }
    };
    response.on('drain', more);
    return more();
  }).listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const options = { method: 'GET', headers: {} };
  const fetch = createProviderFetch(trusted.certificate);
  assert.equal(await (await fetch(`https://localhost:${port}/short`, options)).text(), '{}');
  await assert.rejects(fetch(`https://localhost:${port}/endless`, options), /more than 1048576 bytes/);
  assert.ok(sent < 16_000_000, `${sent} bytes were taken`);
  await assert.rejects(fetch(`http://localhost:${port}/short`, options), /https only/);
  const wrong = createProviderFetch(foreign.certificate);
  await assert.rejects(wrong(`https://localhost:${port}/short`, options), {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  });
});
