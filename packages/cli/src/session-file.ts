/**
 * How a home is known to its server: the session of the person who signed in, or else its API token.
 *
 * `session.json` (`airlock-session/1`) is its owner's alone (0600), like the token beside it. A session that has ended by
 * the clock is passed over; one that the server ended is refused there. Neither secret is ever printed.
 */
import { rm } from 'node:fs/promises';
import { parseInstant, type UtcSeconds } from '@airlock/trust';
import { exists, readJsonFile, readTextFile, secretMode, writeFileAtomic } from './files.ts';
import { Reader } from './fields.ts';
import { type Home, type HomeSettings, pretty } from './home.ts';
import { need, stop } from './stop.ts';

const sessionFile = 'session.json';

interface HeldSession {
  readonly user: string;
  readonly secret: string;
  readonly expires: UtcSeconds;
}

/** The session that was begun here last; undefined for none. */
export async function heldSession(home: Home): Promise<HeldSession | undefined> {
  const file = home.path(sessionFile);
  if (!(await exists(file))) return undefined;
  const reader = new Reader(need(await readJsonFile(file)), { code: 'CLI_HOME_DAMAGED', name: file });
  reader.object(['schema', 'user', 'secret', 'expires']);
  reader.at('schema').choice(['airlock-session/1']);
  const user = reader.at('user').text();
  const secret = reader.at('secret').text();
  const expires =
    parseInstant(reader.at('expires').text()) ?? reader.at('expires').refuse('must be a moment');
  return { user, secret, expires };
}

/** `expires` as the server wrote it. */
export async function keepSession(
  home: Home,
  { user, secret, expires }: { readonly user: string; readonly secret: string; readonly expires: string },
): Promise<void> {
  const value = { schema: 'airlock-session/1', user, secret, expires };
  await writeFileAtomic(home.path(sessionFile), pretty(value), secretMode);
}

export async function dropSession(home: Home): Promise<void> {
  await rm(home.path(sessionFile), { force: true });
}

/** What the home shows its server. Stops with CLI_SIGNED_OUT when it has nothing that can still count. */
export async function credentialOf(home: Home, settings: HomeSettings, now: UtcSeconds): Promise<string> {
  const session = await heldSession(home);
  if (session !== undefined && session.expires > now) return session.secret;
  const file = home.path(settings.tokenFile);
  if (await exists(file)) return need(await readTextFile(file)).trim();
  const why = session === undefined ? 'nobody is signed in' : `the session of ${session.user} has ended`;
  return stop('CLI_SIGNED_OUT', `${why} at ${settings.apiUrl}`, 'session');
}
