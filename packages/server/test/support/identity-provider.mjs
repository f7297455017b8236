/**
 * A real identity provider (`oidc-provider`) as a process of its own, over TLS, with people who sign in by any password.
 *
 * One argument: a file with `port`, `certificateFile`, `keyFile`, `clientId`, `clientSecret`, `redirectUrl`, and `people`
 * (claims by login), which is read anew at each sign-in. Prints `listening`; ends with its standard input.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import process from 'node:process';
import { Provider } from 'oidc-provider';

// oxlint-disable-next-line typescript/no-unsafe-return -- plain JavaScript: the package brings no types
const read = () => JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const { port, certificateFile, keyFile, clientId, clientSecret, redirectUrl } = read();

const provider = new Provider(`https://localhost:${port}`, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUrl] }],
  // The groups stand in the ID token itself, as with most companies' providers.
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], groups: ['groups'] },
  findAccount: (_ctx, accountId) => ({
    accountId,
    // oxlint-disable-next-line typescript/no-unsafe-return -- as above
    claims: () => ({ sub: accountId, ...read().people[accountId] }),
  }),
  pkce: { required: () => true },
  cookies: { keys: ['a key of this test'] },
});
createServer({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) }, provider.callback()).listen(
  port,
  'localhost',
  () => process.stdout.write('listening\n'),
);
process.stdin.resume().once('close', () => process.exit(0));
