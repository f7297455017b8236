/** Signing in, users and API tokens in the words of the commands: one function per call, answers read strictly. */
import type { ApiTokenCreate, Grant, UserCreate } from '@airlock/protocol';
import type { Api } from './api.ts';
import type { Reader } from './fields.ts';

const base = '/api/v1';
const part = encodeURIComponent;

export interface Session {
  readonly user: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly functions: readonly string[];
  readonly expires: string;
  readonly secret: string;
}

export interface User {
  readonly user: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly functions: readonly string[];
  readonly products: readonly string[];
  readonly from: string;
  readonly secretUntil: string | undefined;
  readonly lastSignIn: string | undefined;
  readonly removed: string | undefined;
}

/** A user and the one-time secret that was made for them. */
export interface NewSecret {
  readonly user: User;
  readonly secret: string;
  readonly secretUntil: string;
}

export interface ApiToken {
  readonly user: string;
  readonly name: string;
  readonly permissions: readonly string[];
  readonly products: readonly string[];
  readonly expires: string;
  readonly revoked: string | undefined;
}

function readSession(reader: Reader): Session {
  return {
    user: reader.at('user').text(),
    name: reader.at('name').text(),
    roles: reader.at('roles').texts(),
    functions: reader.at('functions').texts(),
    expires: reader.at('expires').text(),
    secret: reader.at('secret').text(),
  };
}

function readUser(reader: Reader): User {
  return {
    user: reader.at('user').text(),
    name: reader.at('name').text(),
    roles: reader.at('roles').texts(),
    functions: reader.at('functions').texts(),
    products: reader.at('products').texts(),
    from: reader.at('from').choice(['here', 'provider']),
    secretUntil: reader.optional('secretUntil')?.text(),
    lastSignIn: reader.optional('lastSignIn')?.text(),
    removed: reader.optional('removed')?.text(),
  };
}

function readNewSecret(reader: Reader): NewSecret {
  return {
    user: readUser(reader.at('user')),
    secret: reader.at('secret').text(),
    secretUntil: reader.at('secretUntil').text(),
  };
}

function readApiToken(reader: Reader): ApiToken {
  return {
    user: reader.at('user').text(),
    name: reader.at('name').text(),
    permissions: reader.at('permissions').texts(),
    products: reader.at('products').texts(),
    expires: reader.at('expires').text(),
    revoked: reader.optional('revoked')?.text(),
  };
}

export class PeopleApi {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Whether people can sign in at an identity provider. */
  async hasProvider(): Promise<boolean> {
    const answer = await this.#api.json({ method: 'GET', path: `${base}/sign-in` });
    return answer.at('provider').value === true;
  }

  async signIn(user: string, password: string, newPassword?: string): Promise<Session> {
    const given = newPassword === undefined ? {} : { newPassword };
    const value = { user, password, ...given, carrier: 'bearer' };
    return readSession(await this.#send('POST', '/sign-in', value));
  }

  /** Where the person's browser is to go, and what comes back with the code. */
  async startAtProvider(port: number, challenge: string): Promise<{ address: string; state: string }> {
    const value = { carrier: 'bearer', port, challenge };
    const answer = await this.#send('POST', '/sign-in/provider', value);
    return { address: answer.at('address').text(), state: answer.at('state').text() };
  }

  async finishAtProvider(code: string, verifier: string): Promise<Session> {
    return readSession(await this.#send('POST', '/sign-in/provider/session', { code, verifier }));
  }

  async signOut(): Promise<void> {
    await this.#api.send({ method: 'DELETE', path: `${base}/session`, expected: [401] });
  }

  async changePassword(password: string, newPassword: string): Promise<void> {
    const body = { kind: 'json', value: { password, newPassword } } as const;
    await this.#api.send({ method: 'PUT', path: `${base}/session/password`, body });
  }

  async users(): Promise<User[]> {
    const answer = await this.#api.json({ method: 'GET', path: `${base}/users` });
    return answer.at('users').list().map(readUser);
  }

  async addUser(value: UserCreate, reason: string | undefined): Promise<NewSecret> {
    return readNewSecret(await this.#send('POST', '/users', value, reason));
  }

  async putGrant(user: string, value: Grant, reason: string | undefined): Promise<User> {
    return readUser(await this.#send('PUT', `/users/${part(user)}/roles`, value, reason));
  }

  async newSecret(user: string, reason: string | undefined): Promise<NewSecret> {
    return readNewSecret(await this.#send('POST', `/users/${part(user)}/secret`, undefined, reason));
  }

  async endSessions(user: string, reason: string | undefined): Promise<void> {
    await this.#api.send({ method: 'DELETE', path: `${base}/users/${part(user)}/sessions`, reason });
  }

  async removeUser(user: string, reason: string | undefined): Promise<void> {
    await this.#api.send({ method: 'DELETE', path: `${base}/users/${part(user)}`, reason });
  }

  /** The caller's own, or those of another user. */
  async apiTokens(user?: string): Promise<ApiToken[]> {
    const path = user === undefined ? `${base}/tokens` : `${base}/users/${part(user)}/tokens`;
    const answer = await this.#api.json({ method: 'GET', path });
    return answer.at('apiTokens').list().map(readApiToken);
  }

  async addApiToken(value: ApiTokenCreate): Promise<{ token: ApiToken; secret: string }> {
    const answer = await this.#send('POST', '/tokens', value);
    return { token: readApiToken(answer.at('apiToken')), secret: answer.at('secret').text() };
  }

  async revokeApiToken(name: string, user: string | undefined, reason: string | undefined): Promise<void> {
    const of = user === undefined ? '' : `/users/${part(user)}`;
    await this.#api.send({ method: 'DELETE', path: `${base}${of}/tokens/${part(name)}`, reason });
  }

  async #send(method: 'POST' | 'PUT', at: string, value: unknown, reason?: string): Promise<Reader> {
    const body = value === undefined ? {} : { body: { kind: 'json', value } as const };
    return await this.#api.json({ method, path: base + at, ...body, reason });
  }
}
