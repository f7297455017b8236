/** Two windows of one home sign one at a time, no number stands for two contents, and an old view is warned of. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readRole } from '@airlock/trust';
import { Home } from '../src/home.ts';
import { withLock } from '../src/lock.ts';
import { burnNumber, type SignerState } from '../src/signer.ts';
import { Stop } from '../src/stop.ts';
import {
  type Company,
  type Desk,
  makeCompany,
  now,
  passphrase,
  removeCompany,
  sitDown,
} from './support/company.ts';

const atPrompt = fileURLToPath(new URL('support/at-prompt.ts', import.meta.url));

let company: Company;
before(async () => {
  company = await makeCompany();
});
after(async () => {
  await removeCompany(company);
});

async function withRelease(desk: Desk, version: number): Promise<void> {
  await writeFile(join(desk.folder, 'image'), 'bytes of an image');
  const words = `--name 1.2.0 --compat hw:rev2 --change-record CR-1 --impact none --touches none --link CR-1 --regulatory letter --author bo`;
  const options = [...words.split(' '), '--image', 'rootfs=image'];
  const made = await desk.run('release', 'create', 'pump', String(version), ...options);
  assert.equal(made.status, 0, made.err);
}

/** A window of its own: `saw` waits until the process has said something. */
function openWindow(t: TestContext, desk: Desk, ...argv: string[]) {
  const child = spawn(process.execPath, [atPrompt, String(now), '--home', desk.home, ...argv], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += String(data)));
  // Whoever is refused reads nothing any more.
  child.stdin.on('error', () => undefined);
  const closed = once(child, 'close');
  t.after(() => child.kill('SIGKILL'));
  return {
    saw: async (text: string) => {
      while (!said.includes(text)) {
        assert.equal(child.exitCode, null, said);
        await sleep(20);
      }
    },
    type: (line: string) => child.stdin.write(`${line}\n`),
    kill: async () => {
      child.kill('SIGKILL');
      await closed;
    },
    end: async () => {
      await closed;
      return { status: child.exitCode, said };
    },
  };
}

const approve = (version: number) => ['release', 'approve', 'pump', String(version), '--as', 'quality'];

function published(desk: Desk) {
  const view = readRole(desk.server.roles.get('quality') ?? new Uint8Array());
  assert.ok(view.ok && view.value.kind === 'function');
  return { number: view.value.version, releases: view.value.releases.map(({ version }) => version) };
}

test('TEST-OTA-1042 REQ-OTA-POL-10: two windows of one home, one waits at its prompt: the other is refused and told who holds the home; killed, it holds nothing', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk, 5);
  await withRelease(desk, 6);
  const first = openWindow(t, desk, ...approve(5));
  await first.saw('type 5:');
  const other = openWindow(t, desk, ...approve(6));
  other.type('nothing');
  const second = await other.end();
  assert.equal(second.status, 1, second.said);
  assert.match(
    second.said,
    /^airlock: CLI_HOME_BUSY: the home .*home is in use by process \d+, .*approve pump 5/,
  );
  assert.equal(second.said.trim().split('\n').length, 1);
  // To look is not to sign.
  assert.equal((await desk.run('product', 'show', 'pump')).status, 0);
  first.type('5');
  first.type(passphrase);
  assert.equal((await first.end()).status, 0);
  assert.deepEqual(published(desk), { number: 2, releases: [5] });
  const killed = openWindow(t, desk, ...approve(6));
  await killed.saw('type 6:');
  await killed.kill();
  const again = await desk.run(...approve(6), '--yes');
  assert.equal(again.status, 0, again.err);
  assert.deepEqual(published(desk), { number: 3, releases: [5, 6] });
  assert.deepEqual(
    (await readdir(desk.home)).filter((name) => name.includes('.lock')),
    [],
  );
});

test('TEST-OTA-1043 REQ-OTA-POL-10: a signature that the server lost or hides, another act after it: its number is not used again', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk, 5);
  await withRelease(desk, 6);
  const { server } = desk;
  const files = server.remember();
  const role = server.roles.get('quality');
  const proposal = server.proposals.get('quality');
  assert.ok(role !== undefined && proposal !== undefined);
  assert.equal((await desk.run(...approve(5), '--yes')).status, 0);
  assert.equal(published(desk).number, 2);
  server.rollBack(files);
  server.roles.set('quality', role);
  server.proposals.set('quality', proposal);
  const other = await desk.run(...approve(6), '--yes');
  assert.equal(other.status, 0, other.err);
  assert.deepEqual(published(desk), { number: 3, releases: [6] });
});

test('TEST-OTA-1046 REQ-OTA-POL-10: a server that freezes the view, approving once more: the whole list and its age are shown, and an old view is warned of', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk, 5);
  await withRelease(desk, 6);
  const fresh = await desk.run(...approve(5), '--yes');
  assert.match(fresh.err, /^Then quality approves in all: 5$/m);
  assert.match(fresh.err, /^Seen as the server signed it at 2027-01-15T08:00:00Z, 0 min ago$/m);
  assert.ok(!fresh.err.includes('WARNING'));
  // A colleague withdraws 5; this machine is shown what it knows already.
  desk.server.now = now + 7200;
  const frozen = await desk.run(...approve(6), '--yes');
  assert.match(frozen.err, /^Then quality approves in all: 5, 6$/m);
  assert.match(
    frozen.err,
    /120 min ago\nWARNING: older than 60 min: the server may hide what others withdrew/,
  );
  desk.server.refresh();
  desk.server.now = now - 7200;
  const early = await desk.run('renew', 'pump', '--as', 'quality', '--yes');
  assert.match(early.err, /WARNING: that is in the future/);
});

const code = (wanted: string) => (error: unknown) => error instanceof Stop && error.failure.code === wanted;

test('TEST-OTA-1044 REQ-OTA-POL-10: a number taken by a command that was overtaken: a used number and an older view are refused, and nothing verified is put back', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk, 5);
  const home = new Home(desk.home);
  const read = async () => JSON.parse(await readFile(home.signerFile('pump'), 'utf8')) as SignerState;
  assert.equal((await desk.run('product', 'show', 'pump')).status, 0);
  const old = { signer: await read() };
  await burnNumber(home, old, 'quality', 2);
  assert.equal((await read()).signed['quality'], 2);
  await assert.rejects(burnNumber(home, old, 'quality', 2), code('CLI_HOME_CHANGED'));
  await assert.rejects(burnNumber(home, old, 'quality', 1), code('CLI_HOME_CHANGED'));
  assert.equal((await desk.run(...approve(5), '--yes')).status, 0);
  assert.equal((await desk.run('product', 'show', 'pump')).status, 0);
  const newer = await read();
  await assert.rejects(burnNumber(home, old, 'quality', 9), code('CLI_HOME_CHANGED'));
  assert.deepEqual(await read(), newer);
  await burnNumber(home, old, 'engineering', 2);
  assert.deepEqual(await read(), { ...newer, signed: { quality: 3, engineering: 2 } });
});

test('TEST-OTA-1045 REQ-OTA-POL-10: a lock left by a dead process, many find it at once: one at a time gets it', async (t) => {
  const desk = await sitDown(t, company);
  const home = new Home(desk.home);
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  const { pid } = child;
  await once(child, 'close');
  const holder = { id: 'a'.repeat(24), host: hostname(), since: '-', act: 'left' };
  const heir = `x.lock.${holder.id}`;
  const leftovers: [string, string][][] = [
    [['x.lock', JSON.stringify({ ...holder, pid, started: '' })]],
    // The number of the process came again: this very process has it now.
    [['x.lock', JSON.stringify({ ...holder, pid: process.pid, started: 'another boot:1' })]],
    [['x.lock', '']],
    // Killed while it cleared the lock of a dead one.
    [
      ['x.lock', JSON.stringify({ ...holder, pid, started: '' })],
      [heir, JSON.stringify({ ...holder, id: 'b'.repeat(24), pid, started: '' })],
    ],
  ];
  for (const files of leftovers) {
    for (const [name, text] of files) await writeFile(home.path(name), text);
    let inside = 0;
    let done = 0;
    const work = async () => {
      inside += 1;
      assert.equal(inside, 1);
      await sleep(5);
      inside -= 1;
      done += 1;
    };
    const lock = { name: 'x.lock', act: 'test', waitMs: 20_000 };
    await Promise.all(Array.from({ length: 8 }, () => withLock(home, lock, work)));
    assert.equal(done, 8);
    assert.deepEqual(
      (await readdir(desk.home)).filter((name) => name.startsWith('x.lock')),
      [],
    );
  }
  const elsewhere = { ...holder, pid: 1, started: '', host: 'another-machine' };
  await writeFile(home.path('x.lock'), JSON.stringify(elsewhere));
  const lock = { name: 'x.lock', act: 'test', waitMs: 0 };
  await assert.rejects(
    withLock(home, lock, () => Promise.resolve()),
    code('CLI_HOME_BUSY'),
  );
});
