/**
 * `login`, `logout` and `password`: a person at this machine, known to the server.
 *
 * A session stands in `session.json` of the home and counts before the home's API token. It signs nothing: approvals are
 * signatures of keys, asked for each time.
 */
import { createHash, randomBytes } from 'node:crypto';
import { Api } from '../api.ts';
import type { CommandSpec, Context, OptionSpec } from '../command.ts';
import { readTextFile } from '../files.ts';
import type { HomeSettings } from '../home.ts';
import { openLoopback } from '../loopback.ts';
import { plain } from '../output.ts';
import { PeopleApi, type Session } from '../people-api.ts';
import { newPasswordOf, passwordOf } from '../secrets.ts';
import { dropSession, heldSession, keepSession } from '../session-file.ts';
import { need, Stop, stop } from '../stop.ts';

export const passwordOptions: readonly OptionSpec[] = [
  { flags: '--password-file <file>', describe: 'take the password, or the one-time secret, from a file' },
  {
    flags: '--new-password-file <file>',
    describe: 'take the password that follows a one-time secret from a file',
  },
];

/** A client that shows no secret: whoever signs in has none yet. */
export async function withoutSecret<T>(
  settings: Pick<HomeSettings, 'apiUrl'>,
  authority: string,
  act: (api: PeopleApi) => Promise<T>,
): Promise<T> {
  const api = new Api({ url: settings.apiUrl, authority, token: undefined });
  return await act(new PeopleApi(api)).finally(() => api.close());
}

/** Signs in by password; where it is a one-time secret, with the password that takes its place. */
export async function signInByPassword(context: Context, api: PeopleApi, user: string): Promise<Session> {
  const password = await passwordOf(context, user);
  try {
    return await api.signIn(user, password);
  } catch (error) {
    if (!(error instanceof Stop) || error.failure.code !== 'API_ONE_TIME') throw error;
  }
  context.out.note(`This is a one-time secret: choose the password of ${user} now.`);
  return await api.signIn(user, password, await newPasswordOf(context, user));
}

async function signInAtProvider(context: Context, api: PeopleApi): Promise<Session> {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const loopback = await openLoopback();
  try {
    const { address, state } = await api.startAtProvider(loopback.port, challenge);
    if (URL.parse(address)?.protocol !== 'https:') {
      return stop('CLI_SERVER_ANSWER', 'the address of the identity provider does not begin with https://');
    }
    context.out.show(
      `Open this address in a browser on this machine, and sign in there:\n  ${plain(address)}\n`,
    );
    return await api.finishAtProvider(await loopback.code(state), verifier);
  } finally {
    loopback.close();
  }
}

async function runLogin(context: Context): Promise<void> {
  const { home, options } = context;
  const settings = await home.settings();
  const authority = need(await readTextFile(home.path(settings.authorityFile)));
  const session = await withoutSecret(settings, authority, async (api) => {
    const user = options.text('user');
    if (user === undefined && (await api.hasProvider())) return await signInAtProvider(context, api);
    const name = user ?? (await heldSession(home))?.user ?? (await askUser(context));
    return await signInByPassword(context, api, name);
  });
  await keepSession(home, session);
  const { secret: _, ...shown } = session;
  context.out.result(shown, `Signed in as ${sessionText(session)}\n`);
}

export function sessionText({ user, name, roles, functions, expires }: Session): string {
  const stands = functions.length === 0 ? '' : `, for ${functions.join(', ')}`;
  return plain(`${user} (${name}): ${roles.join(', ') || 'no role'}${stands}; until ${expires}`);
}

async function askUser({ io }: Context): Promise<string> {
  if (io.terminal === undefined) return stop('CLI_USAGE', 'option --user is needed', '--user');
  return (await io.terminal.ask('User: ')).trim();
}

async function runLogout(context: Context): Promise<void> {
  const { home } = context;
  const session = await heldSession(home);
  if (session === undefined) return stop('CLI_SIGNED_OUT', 'nobody is signed in here', 'session');
  const settings = await home.settings();
  const authority = need(await readTextFile(home.path(settings.authorityFile)));
  const api = new Api({ url: settings.apiUrl, authority, token: session.secret });
  await new PeopleApi(api).signOut().finally(() => api.close());
  await dropSession(home);
  context.out.result({ user: session.user }, `${plain(session.user)} is signed out\n`);
}

async function runPassword(context: Context): Promise<void> {
  const session = await heldSession(context.home);
  if (session === undefined) return stop('CLI_SIGNED_OUT', 'nobody is signed in here', 'session');
  const password = await passwordOf(context, session.user);
  const next = await newPasswordOf(context, session.user);
  const { people } = await context.api();
  await people.changePassword(password, next);
  context.out.result(
    { user: session.user },
    `The password of ${plain(session.user)} is changed; other sessions of theirs have ended\n`,
  );
}

export const loginCommands: readonly CommandSpec[] = [
  {
    usage: 'login',
    summary: 'sign in at the server, for a shift of twelve hours',
    help: 'At the identity provider where the server has one (in a browser on this machine), by password otherwise or with\n--user. A one-time secret is used up by choosing the password that follows it.',
    example: 'login --user ada',
    options: [
      { flags: '--user <id>', describe: 'a user of this server, who has a password here' },
      ...passwordOptions,
    ],
    run: runLogin,
  },
  {
    usage: 'logout',
    summary: 'end the session of this home, here and at the server',
    example: 'logout',
    run: runLogout,
  },
  {
    usage: 'password',
    summary: 'change your password; your other sessions end',
    example: 'password',
    options: passwordOptions,
    run: runPassword,
  },
];
