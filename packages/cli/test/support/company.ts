/**
 * A company with one home, one product and a simulated server: made once per file of tests (its keys cost seconds),
 * copied for each test.
 */
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Identity, makeAuthority, makeServerCertificate } from '../../src/certificates.ts';
import { planCompany } from '../../src/core/company.ts';
import { publicMode, secretMode, writeFileAtomic, writeNewFiles } from '../../src/files.ts';
import { Home } from '../../src/home.ts';
import type { CliIo } from '../../src/io.ts';
import { KeyRing } from '../../src/keys.ts';
import { runAirlock } from '../../src/main.ts';
import { Passphrases } from '../../src/passphrases.ts';
import { makeProduct } from '../../src/product.ts';
import { SimulatedServer } from './simulated-server.ts';

export const passphrase = 'correct horse battery staple';
export const now = 1_800_000_000;

export interface Company {
  readonly folder: string;
  readonly authority: Identity;
  readonly snapshot: SimulatedServer;
}

/** What a command said, and how it ended. */
export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface Desk {
  readonly folder: string;
  readonly home: string;
  readonly server: SimulatedServer;
  run(...argv: readonly string[]): Promise<Outcome>;
  /** The same without the passphrase file, with a person who types these answers. */
  type(answers: readonly string[], ...argv: readonly string[]): Promise<Outcome>;
  /** Passphrase in the environment, with a person at the terminal all the same. */
  unattended(answers: readonly string[], ...argv: readonly string[]): Promise<Outcome>;
  /** One hash over every file of the home: equal hashes mean that nothing changed. */
  hashHome(): Promise<string>;
}

const settings = {
  schema: 'airlock-home/1',
  deviceUrl: 'https://localhost:1',
  authorityFile: 'tls/server-authority.pem',
  tokenFile: 'token',
} as const;

export interface CompanyOptions {
  readonly demo?: boolean;
  readonly functions?: readonly string[];
  readonly thresholds?: readonly string[];
  readonly safetyClass?: 'A' | 'C';
  readonly minimum?: readonly string[];
  readonly policy?: readonly string[];
  readonly emergency?: string;
}

/** Makes the company; `demo` is true unless said otherwise. */
export async function makeCompany(options: CompanyOptions = {}): Promise<Company> {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-cli-'));
  const home = new Home(join(folder, 'home'));
  await writeFile(join(folder, 'passphrase'), `${passphrase}\n`);
  const io = { ...quietIo(folder), env: { AIRLOCK_PASSPHRASE: passphrase } };
  const ring = new KeyRing(home, io, new Passphrases(io, undefined));
  const authority = await makeAuthority('test server authority', Math.floor(Date.now() / 1000));
  const server = new SimulatedServer(authority);
  const company = planCompany({
    product: 'pump',
    safetyClass: options.safetyClass ?? 'C',
    markets: ['us'],
    functions: options.functions ?? ['engineering=Bo Lind <bo>', 'quality=Dr. Ada Quill <ada>'],
    thresholds: options.thresholds ?? [],
    minimum: options.minimum ?? ['C=engineering,quality', 'us='],
    policy: options.policy ?? [],
    ...(options.emergency === undefined ? {} : { emergency: options.emergency }),
  });
  if (!company.ok) throw new Error(company.error.message);
  const { snapshot, timestamp } = server.onlineKeys;
  const files = await makeProduct(home, ring, {
    product: 'pump',
    safetyClass: options.safetyClass ?? 'C',
    udi: '(01)00844588003288',
    demo: options.demo ?? true,
    company: company.value,
    root: { keys: 1, threshold: 1 },
    targets: { keys: 1, threshold: 1 },
    provisioning: { keys: 1, threshold: 1 },
    keyType: 'ed25519',
    existing: new Map(),
    audit: server.log.identity,
    online: { snapshot: { keys: [snapshot], threshold: 1 }, timestamp: { keys: [timestamp], threshold: 1 } },
    now,
  });
  await writeNewFiles(files, home.folder);
  await writeFileAtomic(home.path('token'), 'token\n', secretMode);
  await writeFileAtomic(home.path('director/1.root.json'), '{}', publicMode);
  await writeFileAtomic(home.path('tls/server-authority.pem'), authority.certificate, publicMode);
  const deviceAuthority = await makeAuthority('test device authority', Math.floor(Date.now() / 1000));
  await writeFileAtomic(home.path('tls/device-authority.pem'), deviceAuthority.certificate, publicMode);
  const sealed = await ring.make('device-authority', 'p256', deviceAuthority.privateKey);
  await writeNewFiles([sealed.sealed], home.folder);
  return { folder, authority, snapshot: server };
}

export async function removeCompany(company: Company): Promise<void> {
  await rm(company.folder, { recursive: true, force: true });
}

function quietIo(cwd: string): CliIo {
  return { cwd, env: {}, out: () => undefined, err: () => undefined, bars: false, now: () => now };
}

/** A desk for one test: its own copy of the home and its own server, with everything published. */
export async function sitDown(context: TestContext, company: Company): Promise<Desk> {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-desk-'));
  await cp(company.folder, folder, { recursive: true });
  const home = new Home(join(folder, 'home'));
  const identity = await makeServerCertificate(
    company.authority,
    ['localhost'],
    Math.floor(Date.now() / 1000),
  );
  const server = new SimulatedServer(identity, company.snapshot);
  const apiUrl = await server.listen();
  await home.writeSettings({ ...settings, apiUrl });
  await publishAll(home, server);
  context.after(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  const run = async (
    argv: readonly string[],
    answers?: readonly string[],
    env: CliIo['env'] = {},
  ): Promise<Outcome> => {
    const said = { out: '', err: '' };
    const left = [...(answers ?? [])];
    const answer = (question: string) => {
      said.err += question;
      return Promise.resolve(left.shift() ?? '');
    };
    const io: CliIo = {
      ...quietIo(folder),
      env,
      out: (text) => {
        said.out += text;
      },
      err: (text) => {
        said.err += text;
      },
      now: () => server.now,
      ...(answers === undefined ? {} : { terminal: { ask: answer, askSecret: answer } }),
    };
    const status = await runAirlock(['--home', home.folder, ...argv], io);
    return { status, ...said };
  };
  return {
    folder,
    home: home.folder,
    server,
    run: (...argv) => run(['--passphrase-file', join(folder, 'passphrase'), ...argv]),
    type: (answers, ...argv) => run(argv, answers),
    unattended: (answers, ...argv) => run(argv, answers, { AIRLOCK_PASSPHRASE: passphrase }),
    hashHome: () => hashFolder(home.folder),
  };
}

async function publishAll(home: Home, server: SimulatedServer): Promise<void> {
  server.product = 'pump';
  server.now = now;
  const folder = home.path('products/pump');
  const policy = await readFile(join(folder, 'policy.json'));
  const sha256 = createHash('sha256').update(policy).digest('hex');
  server.files.set(`targets/${sha256}.policy.json`, policy);
  server.files.set('1.root.json', await readFile(join(folder, '1.root.json')));
  const functions = (await readdir(folder)).flatMap((name) => /^1\.([a-z-]+)\.json$/.exec(name)?.[1] ?? []);
  for (const role of ['targets', ...functions.filter((name) => name !== 'targets' && name !== 'root')]) {
    server.publish(role, await readFile(join(folder, `1.${role}.json`)));
  }
}

/** SHA-256 over names, modes aside, and bytes of every file below. */
export async function hashFolder(folder: string): Promise<string> {
  const hash = createHash('sha256');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  for (const name of names) {
    hash.update(`${name}\n`);
    const isFile = entries.some((entry) => join(entry.parentPath, entry.name) === name && entry.isFile());
    if (isFile) hash.update(await readFile(name));
  }
  return hash.digest('hex');
}
