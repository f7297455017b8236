/**
 * Two people approve two releases in the same function at the same moment, a hundred times: the real commands of two
 * homes against a real server in this process, whose steps are mixed at random. The seed is printed.
 *
 * In every other round the server holds no lock between requests, as two servers on one store would: then only its
 * transactions keep order. A person who is refused reads what is said and runs the command again.
 */
import assert from 'node:assert/strict';
import crypto, { randomInt } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { readStatementUnverified } from '@airlock/audit';
import { runAirlock } from '@airlock/cli';
import { type RunningServer, readConfig, type ServerOptions, startServer } from '@airlock/server';
import { encodeManifest, readRole, sha256Hex } from '@airlock/trust';
import { plainManifest } from '../src/paper-company.ts';
import { cleanUp, removeAtEnd } from '../src/processes.ts';
import { seededRandom } from '../src/random.ts';
import { Company, product } from '../src/world/company.ts';
import { manage } from './support/light-device.ts';

const rounds = 100;
const triesMax = 20;
/** Turns of the event loop: a command takes some thousand of them, a step of the server a few. */
const startTurnsMax = 4000;
const stepTurnsMax = 40;
const seed = randomInt(2 ** 31);
const random = seededRandom(seed);
/** What a person may be told who was not alone. */
const collisions = new Set([
  'API_RESERVED',
  'API_RACED',
  'API_VERSION_USED',
  'API_PRECONDITION',
  'CLI_UNEXPECTED_CHANGE',
  'CLI_PROPOSAL_VERSION',
]);

let folder = '';
let company: Company;
let server: RunningServer;
const mixing = { locks: true };

type Who = 'ada' | 'eve';
/** Each takes a quarter of the rounds, so that no list grows to two hundred lines, which all are verified each time. */
const functions = ['engineering', 'quality', 'regulatory-us', 'security'] as const;
type FunctionName = (typeof functions)[number];
/** Ada's people and Eve's people: one holder each in every function. */
const holderOf = (who: Who, name: FunctionName): string => `${who}-${name}`;
const homeOf = (who: Who): string => (who === 'ada' ? company.home : join(folder, 'eve'));

/** A key is opened some hundred times, a third of a second each by design: the same question gets the same answer. */
function rememberDerivations(): void {
  const { scryptSync } = crypto;
  const known = new Map<string, Buffer>();
  crypto.scryptSync = (password, salt, length, options) => {
    assert.ok(typeof password === 'string' && salt instanceof Uint8Array);
    const name = `${password} ${Buffer.from(salt).toString('hex')}`;
    const found = known.get(name) ?? scryptSync(password, salt, length, options);
    known.set(name, found);
    return Buffer.from(found);
  };
  syncBuiltinESMExports();
}

/** Lets everything else go first, up to so many times. */
async function pause(turnsMax: number): Promise<void> {
  for (let turn = random.below(turnsMax); turn > 0; turn -= 1) await setImmediate();
}

/** The same server, which lets others go first at random before each step on its store. */
const mixed: ServerOptions['adapt'] = (context) => ({
  ...context,
  locks: {
    run: async (name, act) => (mixing.locks ? await context.locks.run(name, act) : await act()),
  },
  store: {
    ...context.store,
    async transaction(work) {
      await pause(stepTurnsMax);
      return await context.store.transaction(work);
    },
    async currentRoles(owner) {
      await pause(stepTurnsMax);
      return await context.store.currentRoles(owner);
    },
    async proposal(name, role) {
      await pause(stepTurnsMax);
      return await context.store.proposal(name, role);
    },
    async usedNumber(name, role, version) {
      await pause(stepTurnsMax);
      return await context.store.usedNumber(name, role, version);
    },
    async reservation(name, role) {
      await pause(stepTurnsMax);
      return await context.store.reservation(name, role);
    },
  },
});

interface Said {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function run(who: Who, args: readonly string[]): Promise<Said> {
  const said = { out: '', err: '' };
  const status = await runAirlock(
    [...args, '--home', homeOf(who), '--passphrase-file', company.passphraseFile, '--json'],
    {
      cwd: folder,
      env: {},
      out: (text) => void (said.out += text),
      err: (text) => void (said.err += text),
      bars: false,
      now: () => Math.floor(Date.now() / 1000),
    },
  );
  return { status, ...said };
}

before(async () => {
  rememberDerivations();
  folder = mkdtempSync(join(tmpdir(), 'airlock-at-once-'));
  removeAtEnd(folder);
  company = new Company(folder);
  await company.airlock(
    [
      [
        'init',
        '--demo',
        '--product',
        product,
        '--class',
        'C',
        '--market',
        'us',
        '--udi',
        '(01)00844588003288',
      ],
      ...(['ada', 'eve'] as const).flatMap((who) =>
        functions.map((name) => ['--function', `${name}=${who} of ${name} <${holderOf(who, name)}>`]),
      ),
      ['--minimum', `C=${functions.join(',')}`, '--minimum', 'us='],
    ].flat(),
  );
  const config = await readConfig(join(company.home, 'server', 'config.json'));
  assert.ok(config.ok);
  const quiet = { info: () => undefined, error: () => undefined };
  const started = await startServer(config.value, { adapt: mixed, logger: quiet });
  assert.ok(started.ok, JSON.stringify(started));
  server = started.value;
  const keys = readdirSync(join(company.home, 'keys')).filter((file) =>
    functions.some((name) => file.includes(name)),
  );
  assert.equal(keys.length, 2 * functions.length);
  const { apiUrl } = company.paths();
  const joined = await run(
    'eve',
    [
      ['join', apiUrl, '--authority', `${company.home}/tls/server-authority.pem`],
      ['--token-file', `${company.home}/token`],
      ...keys.map((name) => ['--key', join(company.home, 'keys', name)]),
    ].flat(),
  );
  assert.equal(joined.status, 0, joined.err);
  const root = `${company.home}/products/${product}/1.root.json`;
  const pinned = await run('eve', ['policy', 'show', product, '--root', root]);
  assert.equal(pinned.status, 0, pinned.err);
  writeFileSync(join(folder, 'image'), image);
});
after(async () => {
  await server.close();
  cleanUp();
});

const codeIn = (err: string): string => /"code":"([A-Z_]+)"/.exec(err)?.[1] ?? err;

const image = Buffer.from('an image');

/** The first by its command, which uploads the image; the others name the same one. */
async function makeRelease(version: number): Promise<void> {
  if (version === 1) {
    const made = await run(
      'ada',
      [
        ['release', 'create', product, '1', '--name', 'v1', '--compat', 'hw:rev2'],
        ['--image', 'rootfs=image', '--change-record', 'CR-1', '--impact', 'none', '--author', 'cy'],
        ['--touches', 'none', '--link', 'https://qms.example/CR-1'],
        ['--regulatory', 'letter to file', '--regulatory-reference', 'RA-1'],
      ].flat(),
    );
    assert.equal(made.status, 0, made.err);
    return;
  }
  const images = [{ component: 'rootfs', len: image.length, hash: sha256Hex(image) }];
  const bytes = encodeManifest({ ...plainManifest(product, version), images });
  const manifest = Buffer.from(bytes).toString();
  const { status, body } = await manage(company, 'POST', `/products/${product}/releases`, { manifest });
  assert.equal(status, 201, body);
}

/** Everything that a person was shown of what the signature changes, as `Approves release 5`. */
function shownActs(err: string): string[] {
  const [, shown = ''] = /This signature changes:\n(.*)Then [a-z-]+ approves/s.exec(err) ?? [];
  return shown.match(/(?:Approves|Withdraws|Changes the manifest of) release \d+/g) ?? [];
}

/** Runs the command until it is done, as a person does who reads what is said. Answers what got in the way. */
async function approve(who: Who, name: FunctionName, version: number): Promise<string[]> {
  const met: string[] = [];
  let number: string | undefined;
  for (let turn = 0; turn < triesMax; turn += 1) {
    await pause(startTurnsMax);
    const words = ['release', 'approve', product, String(version), '--as', name, '--yes'];
    const named = number === undefined ? [] : ['--number', number];
    const said = await run(who, [...words, '--holder', holderOf(who, name), ...named]);
    assert.ok(
      shownActs(said.err).every((act) => act === `Approves release ${version}`),
      said.err,
    );
    if (said.status === 0) return met;
    const code = codeIn(said.err);
    // The answer to the request was lost in a race that it won in the end.
    if (code === 'CLI_APPROVED_ALREADY') return met;
    assert.ok(collisions.has(code), `seed ${seed}: ${said.err}`);
    met.push(code);
    number = /the next number is (\d+)/.exec(said.err)?.[1];
  }
  throw new Error(`seed ${seed}: ${who} was refused ${triesMax} times: ${met.join(' ')}`);
}

/** Every signature that was ever made: its statement was kept before it left the machine. */
function signed(who: Who) {
  const path = join(homeOf(who), 'statements');
  return readdirSync(path).map((name) => {
    const statement = readStatementUnverified(readFileSync(join(path, name)));
    assert.ok(statement.ok);
    return { ...statement.value, who };
  });
}

async function published(name: FunctionName, version: number): Promise<number[] | undefined> {
  const { status, body } = await manage(company, 'GET', `/products/${product}/tuf/${version}.${name}.json`);
  if (status === 404) return undefined;
  const view = readRole(Buffer.from(body));
  assert.ok(view.ok && view.value.kind === 'function');
  return view.value.releases.map((entry) => entry.version).toSorted((a, b) => a - b);
}

test('TEST-OTA-1270 REQ-OTA-POL-10, REQ-OTA-POL-04, REQ-OTA-OPS-03: two people approve two releases in the same function at the same moment, 100 times at random: nothing is lost, nothing signed that was not shown, no number signed twice', async (t) => {
  t.diagnostic(`seed ${seed}`);
  const met: string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    mixing.locks = Math.floor(round / functions.length) % 2 === 0;
    const name = functions[round % functions.length] ?? 'quality';
    const [first, second] = [2 * round + 1, 2 * round + 2];
    for (const version of [first, second]) await makeRelease(version);
    const got = await Promise.all([approve('ada', name, first), approve('eve', name, second)]);
    met.push(...got.flat());
  }
  const counts = [...collisions].map((code) => `${code} ${met.filter((one) => one === code).length}`);
  t.diagnostic(`refused: ${counts.join(', ')}`);
  assert.ok(met.length >= rounds / 4, `hardly ever at the same moment: ${counts.join(', ')}`);

  const all = [...signed('ada'), ...signed('eve')];
  for (const name of functions) {
    const own = all.filter((entry) => entry.function === name);
    await checkFunction(name, own);
  }
});

/** Every number at most once, every step exactly the act that its signer was shown, and nothing gone. */
async function checkFunction(name: FunctionName, own: ReturnType<typeof signed>): Promise<void> {
  const contents = new Map<number, string>();
  for (const { roleVersion, signedSha256, release, who } of own) {
    assert.ok(!contents.has(roleVersion), `seed ${seed}: number ${roleVersion} of ${name} was signed twice`);
    contents.set(roleVersion, signedSha256);
    // Ada's releases have odd numbers, Eve's even ones: nobody signed the other's.
    assert.equal((release?.version ?? 0) % 2, who === 'ada' ? 1 : 0, `seed ${seed}`);
  }
  let list = (await published(name, 1)) ?? [];
  for (let version = 2; version <= Math.max(...contents.keys()); version += 1) {
    const next = await published(name, version);
    if (next === undefined) continue;
    const said = own.find(({ roleVersion }) => roleVersion === version);
    assert.deepEqual(
      next,
      [...list, said?.release?.version ?? 0].toSorted((a, b) => a - b),
      `seed ${seed}`,
    );
    list = next;
  }
  const turn = functions.indexOf(name);
  const expected = Array.from({ length: 2 * rounds }, (_, at) => at + 1).filter(
    (version) => Math.floor((version - 1) / 2) % functions.length === turn,
  );
  assert.deepEqual(list, expected, `seed ${seed}: ${name} lost something`);
}

interface QueueSaid {
  readonly products: readonly {
    readonly unverified: string | null;
    readonly functions: readonly {
      readonly function: string;
      readonly proposal?: {
        readonly verified: boolean;
        readonly number: number;
        readonly changes: readonly string[];
        readonly signedBy: readonly { holder: string }[];
        readonly missing: readonly { holder: string }[];
        readonly needed: number;
      };
      readonly releases: readonly { version: number }[];
      readonly term: { readonly due: boolean };
    }[];
  }[];
}

async function well(who: Who, args: readonly string[]): Promise<Said> {
  const said = await run(who, args);
  assert.equal(said.status, 0, said.err);
  return said;
}

async function queueOf(who: Who) {
  const said = await well(who, ['queue', product, '--as', 'quality']);
  const [found] = (JSON.parse(said.out) as QueueSaid).products;
  assert.ok(found?.unverified === null);
  const [quality] = found.functions;
  assert.ok(quality !== undefined && found.functions.length === 1);
  return quality;
}

test('TEST-OTA-1273 REQ-OTA-POL-10, REQ-OTA-POL-04, REQ-OTA-OPS-01: airlock queue, for a function whose threshold was raised: the other sees what the proposal does, who signed, who is missing; taken away, its number is skipped only by who names it', async () => {
  mixing.locks = true;
  const version = 2 * rounds + 1;
  await makeRelease(version);
  const file = join(folder, 'threshold.json');
  const args = ['policy', 'set', product, file, '--threshold', 'quality=2', '--reason', 'two pairs of eyes'];
  await well('ada', args);
  await well('ada', ['keys', 'ceremony', 'sign', file, '--yes']);
  await well('ada', ['keys', 'ceremony', 'finish', file]);
  assert.equal((await queueOf('eve')).releases[0]?.version, version, 'the newest that waits');
  const approveAs = (who: Who, more: readonly string[] = []) => {
    const act = ['release', 'approve', product, String(version), '--as', 'quality', '--yes'];
    return run(who, [...act, '--holder', holderOf(who, 'quality'), ...more]);
  };
  assert.equal((await approveAs('ada')).status, 0);
  const { proposal, term } = await queueOf('eve');
  assert.equal(term.due, false);
  assert.ok(proposal?.verified === true);
  assert.ok(proposal.changes.some((words) => words.startsWith(`Approves release ${version}: `)));
  assert.deepEqual(
    proposal.signedBy.map(({ holder }) => holder),
    ['ada-quality'],
  );
  assert.deepEqual([proposal.missing.map(({ holder }) => holder), proposal.needed], [['eve-quality'], 1]);
  const status = await well('ada', ['status']);
  assert.match(status.out, /"renewFrom": "[0-9TZ:-]+",\s+"due": false/);

  const blank = await run('eve', ['proposal', 'remove', product, 'quality', '--reason', ' ']);
  assert.match(blank.err, /CLI_USAGE/);
  await well('eve', ['proposal', 'remove', product, 'quality', '--reason', 'wrong release']);
  const gone = await run('eve', ['proposal', 'remove', product, 'quality', '--reason', 'again']);
  assert.match(gone.err, /CLI_NO_PROPOSAL/);
  assert.equal((await queueOf('ada')).proposal, undefined);
  // Ada's machine knows the number that she signed; Eve's is told of it and takes none unasked.
  const unaware = await approveAs('eve');
  assert.match(unaware.err, /API_VERSION_USED.*the next number is/);
  assert.equal((await approveAs('ada')).status, 0);
  const skipped = await approveAs('eve');
  assert.match(skipped.err, /CLI_PROPOSAL_VERSION/);
  const named = String(proposal.number + 1);
  const done = await approveAs('eve', ['--number', named]);
  assert.equal(done.status, 0, done.err);
  assert.match(done.out, /"state": "published"/);
});
