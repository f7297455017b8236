/**
 * Making a home: the director's root, the two certificate authorities, the server's configuration, its first user and their token.
 *
 * Nothing in it names the folder itself: it is built beside its place and moved there when it is whole.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { permissionsOf, roleLifeSeconds, type UserRole } from '@airlock/protocol';
import { draftRoot, signDraft, type UtcSeconds } from '@airlock/trust';
import { type Identity, makeAuthority, makeServerCertificate, privateKeyPem } from './certificates.ts';
import { makeFolder, type NewFile, publicMode, secretMode, writeFileAtomic, writeNewFiles } from './files.ts';
import { type Home, type HomeSettings, pretty } from './home.ts';
import type { KeyRing, KeyType } from './keys.ts';
import { directorOnlineKeys } from './online-keys.ts';
import { makeKeys, type Quorum, quorumOf } from './product.ts';
import { askServerProgram } from './server-program.ts';
import { stop, systemCode } from './stop.ts';

export interface SetupInput {
  readonly hosts: readonly string[];
  readonly devicePort: number;
  readonly peoplePort: number;
  /** Keys of the director's root. */
  readonly director: Quorum;
  readonly keyType: KeyType;
  /** The first user. */
  readonly administrator: string;
  readonly now: UtcSeconds;
}

/** Roles of the first user: everything, since one person runs everything at first. */
const firstRoles: readonly UserRole[] = [
  'administrator',
  'engineer',
  'key-holder',
  'operator',
  'registrar',
  'auditor',
];
/** The home's own token does what they may, but for managing users, which is for people who sign in. */
const homeTokenName = 'home';
/** Days: a quarter, so that it is renewed before anybody forgets how. */
const homeTokenDays = 90;

/** Where `init` leaves what its user signs in with first. */
export const administratorSecretFile = 'administrator.secret';
/** Keys of the two authorities; sealed under these names. */
const serverAuthorityKey = 'server-authority';
export const deviceAuthorityKey = 'device-authority';
export const deviceAuthorityFile = 'tls/device-authority.pem';

/** A port that is free now, or CLI_PORT_TAKEN for a given one that is not. */
export async function choosePort(wanted: number | undefined, field: string): Promise<number> {
  const server = createServer();
  server.listen({ port: wanted ?? 0, host: '127.0.0.1' });
  try {
    await once(server, 'listening');
  } catch (error) {
    return stop(
      'CLI_PORT_TAKEN',
      `port ${wanted ?? 0} cannot be listened on (${systemCode(error) ?? 'unknown'})`,
      field,
    );
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null
    ? address.port
    : stop('CLI_PORT_TAKEN', 'no free port', field);
}

/** Makes the whole home and gives back its settings, not yet written. */
export async function makeHome(home: Home, ring: KeyRing, input: SetupInput): Promise<HomeSettings> {
  await makeFolder(home.folder);
  const serverAuthority = await makeAuthority('Airlock server authority', input.now);
  const deviceAuthority = await makeAuthority('Airlock device authority', input.now);
  const sealed = [
    await ring.make(serverAuthorityKey, 'p256', serverAuthority.privateKey),
    await ring.make(deviceAuthorityKey, 'p256', deviceAuthority.privateKey),
  ];
  await writeNewFiles(
    [
      ...sealed.map((key) => key.sealed),
      { path: home.path('tls/server-authority.pem'), bytes: serverAuthority.certificate, mode: publicMode },
      { path: home.path(deviceAuthorityFile), bytes: deviceAuthority.certificate, mode: publicMode },
      ...(await serverFiles(home, serverAuthority, input)),
    ],
    home.folder,
  );
  const configFile = home.path('server/config.json');
  await makeDirector(home, ring, configFile, input);
  await makeAdministrator(home, configFile, input.administrator);
  const host = input.hosts[0] ?? 'localhost';
  return {
    schema: 'airlock-home/1',
    apiUrl: `https://${host}:${input.peoplePort}`,
    deviceUrl: `https://${host}:${input.devicePort}`,
    authorityFile: 'tls/server-authority.pem',
    tokenFile: 'token',
    serverConfig: 'server/config.json',
  };
}

/** The server's folder: one certificate for each listener, the passphrase of its online keys, its configuration. */
async function serverFiles(home: Home, authority: Identity, input: SetupInput): Promise<NewFile[]> {
  const listeners: NewFile[] = [];
  for (const name of ['device-listener', 'people-listener']) {
    const { certificate, privateKey } = await makeServerCertificate(authority, input.hosts, input.now);
    listeners.push(
      { path: home.path(`server/tls/${name}.pem`), bytes: certificate, mode: publicMode },
      // In clear, for its owner only: the server must start with nobody there.
      { path: home.path(`server/tls/${name}.key`), bytes: privateKeyPem(privateKey), mode: secretMode },
    );
  }
  const listener = (name: string, port: number) => ({
    host: input.hosts.includes('localhost') && input.hosts.length <= 2 ? '127.0.0.1' : '0.0.0.0',
    port,
    certificateFile: `tls/${name}.pem`,
    keyFile: `tls/${name}.key`,
  });
  const config = {
    schema: 'airlock-server-config/1',
    // Relative to the configuration file.
    folder: 'data',
    deviceListener: {
      ...listener('device-listener', input.devicePort),
      clientAuthorityFile: `../${deviceAuthorityFile}`,
    },
    peopleListener: listener('people-listener', input.peoplePort),
    onlineKeys: { passphraseFile: 'online-keys.passphrase' },
  };
  const passphrase = `${randomBytes(32).toString('base64url')}\n`;
  return [
    ...listeners,
    { path: home.path('server', config.onlineKeys.passphraseFile), bytes: passphrase, mode: secretMode },
    { path: home.path('server/config.json'), bytes: pretty(config), mode: secretMode },
  ];
}

/** One root for the whole fleet; its online keys are made at the server. */
async function makeDirector(home: Home, ring: KeyRing, configFile: string, input: SetupInput): Promise<void> {
  const online = await directorOnlineKeys(configFile);
  const keys = await makeKeys(ring, 'director.root', input.director, input.keyType);
  const draft = draftRoot({
    repository: 'director',
    version: 1,
    expires: input.now + roleLifeSeconds('root', false),
    roles: { root: quorumOf(keys, input.director.threshold), ...online },
  });
  const bytes = signDraft(
    draft,
    keys.map(({ signer }) => signer),
  );
  const root = { path: home.path('director/1.root.json'), bytes, mode: publicMode };
  await writeNewFiles([...keys.map(({ sealed }) => sealed), root], home.folder);
}

/** The first user, their one-time secret in a file of its own, and an API token so that the home works at once. */
async function makeAdministrator(home: Home, configFile: string, user: string): Promise<void> {
  const at = ['--config', configFile, '--user', user];
  const made = await askServerProgram(['administrator', ...at, '--roles', firstRoles.join(',')]);
  const secret = `${made.at('secret').text()}\n`;
  await writeFileAtomic(home.path(administratorSecretFile), secret, secretMode);
  const permissions = [...permissionsOf(firstRoles)].filter((permission) => permission !== 'users:write');
  const named = ['--name', homeTokenName, '--days', String(homeTokenDays)];
  const token = await askServerProgram(['token', ...at, ...named, '--permissions', permissions.join(',')]);
  await writeFileAtomic(home.path('token'), `${token.at('token').text()}\n`, secretMode);
}
