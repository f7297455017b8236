/** Programs of the integrator: time limits, process groups, output, and the ports that run them. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { programDataGuard } from '../src/adapters/data-hooks.ts';
import { InterlockError, programInterlock } from '../src/adapters/interlock.ts';
import {
  bootedGroupOf,
  PlatformError,
  programClock,
  readPlatform,
  systemClock,
  systemRandom,
} from '../src/adapters/platform.ts';
import { commandFor, firstLine, runProgram } from '../src/adapters/programs.ts';
import { programSelfTest } from '../src/adapters/self-test.ts';
import { lockStateFolder } from '../src/adapters/single-instance.ts';
import type { ReleaseBrief } from '../src/ports/platform.ts';
import { scratchFolder } from './support/scratch.ts';

const shell = (script: string, ...rest: string[]): string[] => ['/bin/sh', '-c', script, 'sh', ...rest];
const release: ReleaseBrief = {
  version: 12,
  name: 'Release "12"',
  manifestSha256: 'a'.repeat(64),
  urgency: { level: 'safety', deadline: '2026-11-05T00:00:00Z' },
};

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A killed child of a killed parent is a zombie until init takes it: both count as gone. */
async function isGone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (!isAlive(pid)) return true;
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'Z');
    if (/\) Z |^Z$/.test(status)) return true;
    await systemClock.sleep(10);
  }
  return false;
}

test('TEST-OTA-330 REQ-OTA-VERIFY-02: program, hanging with a child: killed whole at its time limit', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    const file = join(folder, 'child');
    const outcome = await runProgram({
      command: shell('sleep 600 & echo $! > "$1"; echo begun; wait', file),
      timeLimitSeconds: 1,
    });
    assert.equal(outcome.kind, 'timed-out');
    assert.ok(outcome.kind === 'timed-out' && outcome.stdout === 'begun\n');
    assert.ok(await isGone(Number(await readFile(file, 'utf8'))));
  } finally {
    await dispose();
  }
});

test('TEST-OTA-331 REQ-OTA-VERIFY-02: program, ended with a child in its group or out of it: answered at once', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    const file = join(folder, 'child');
    const inGroup = await runProgram({
      command: shell('sleep 600 & echo $! > "$1"; exit 4', file),
      timeLimitSeconds: 60,
    });
    assert.deepEqual([inGroup.kind, inGroup.kind === 'exited' && inGroup.code], ['exited', 4]);
    assert.ok(await isGone(Number(await readFile(file, 'utf8'))));
    // A daemon that left the group holds the pipe open; it must not hold the agent.
    const outside = await runProgram({
      command: shell(
        'setsid sh -c \'echo $$ > "$1"; exec sleep 600\' sh "$1" & while ! [ -s "$1" ]; do :; done',
        `${file}2`,
      ),
      timeLimitSeconds: 60,
    });
    assert.equal(outside.kind, 'exited');
    process.kill(Number(await readFile(`${file}2`, 'utf8')), 'SIGKILL');
  } finally {
    await dispose();
  }
});

test('TEST-OTA-332 REQ-OTA-NET-04: program, endless output and secrets in the environment: output bounded, environment clean', async () => {
  process.env['AIRLOCK_TEST_SECRET'] = 'hush';
  try {
    const much = await runProgram({
      command: shell('head -c 3000000 /dev/zero | tr "\\0" x; head -c 3000000 /dev/zero | tr "\\0" y >&2'),
      timeLimitSeconds: 60,
      outputBytesMax: 1000,
    });
    assert.ok(much.kind === 'exited' && much.code === 0);
    assert.equal(much.stdout, 'x'.repeat(1000));
    assert.equal(much.stderr, 'y'.repeat(1000));
    const clean = await runProgram({
      command: shell('env'),
      timeLimitSeconds: 60,
      variables: { AIRLOCK_TEST: 'a' },
    });
    assert.ok(clean.kind === 'exited' && clean.stdout.includes('AIRLOCK_TEST=a\n'));
    assert.ok(!clean.stdout.includes('hush'));
  } finally {
    delete process.env['AIRLOCK_TEST_SECRET'];
  }
});

test('TEST-OTA-333 REQ-OTA-VERIFY-02: program, missing, crashing, or with shell words as arguments: told apart, never a shell', async () => {
  const missing = await runProgram({ command: ['/nonexistent/program'], timeLimitSeconds: 5 });
  assert.equal(missing.kind, 'missing');
  const crashed = await runProgram({ command: shell('kill -SEGV $$'), timeLimitSeconds: 5 });
  assert.deepEqual([crashed.kind, crashed.kind === 'crashed' && crashed.signal], ['crashed', 'SIGSEGV']);
  const quoted = await runProgram({ command: ['/bin/echo', '$(id); `id` | x'], timeLimitSeconds: 5 });
  assert.ok(quoted.kind === 'exited' && quoted.stdout === '$(id); `id` | x\n');
  assert.deepEqual(commandFor(['/run/{group}/test', '{group}'], 'B'), ['/run/B/test', 'B']);
  assert.equal(firstLine('\n \u001b[31m alarm\u0007 \nrest'), '[31m alarm');
});

test('TEST-OTA-334 REQ-OTA-VERIFY-02: self-test, a critical one failing, hanging, missing or crashing: not passed, and all are run', async () => {
  const ok = { name: 'sensor', command: ['/bin/true'], critical: true, timeLimitSeconds: 5 };
  const run = async (
    ...tests: Parameters<typeof programSelfTest>[0]
  ): Promise<Awaited<ReturnType<ReturnType<typeof programSelfTest>['run']>>> =>
    await programSelfTest(tests, systemClock).run({ critical: [], timeLimitSeconds: 60 });
  assert.equal((await run(ok)).passed, true);
  const failing = await run({ ...ok, name: 'pump', command: shell('echo motor stuck; exit 1') }, ok);
  assert.equal(failing.passed, false);
  assert.equal(failing.failed, 'pump');
  assert.match(failing.reason ?? '', /motor stuck/);
  assert.deepEqual(
    failing.tests.map((each) => each.outcome),
    ['failed', 'passed'],
  );
  const hanging = await run({ ...ok, command: ['/bin/sleep', '60'], timeLimitSeconds: 1 });
  assert.deepEqual([hanging.passed, hanging.tests[0]?.outcome], [false, 'timed-out']);
  const missing = await run({ ...ok, command: ['/nonexistent/test'] });
  assert.deepEqual([missing.passed, missing.tests[0]?.outcome], [false, 'missing']);
  const crashing = await run({ ...ok, command: shell('kill -ABRT $$') });
  assert.deepEqual([crashing.passed, crashing.tests[0]?.outcome], [false, 'failed']);
  const harmless = await run({ ...ok, critical: false, command: ['/bin/false'] }, { ...ok, name: 'other' });
  assert.deepEqual([harmless.passed, harmless.tests[0]?.outcome], [true, 'failed']);
});

test('TEST-OTA-335 REQ-OTA-VERIFY-02: self-test, made critical by the release or out of time as a whole: counts as critical', async () => {
  const lenient = { name: 'pump', command: ['/bin/false'], critical: false, timeLimitSeconds: 5 };
  const selfTest = programSelfTest([lenient], systemClock);
  const raised = await selfTest.run({ critical: ['pump'], timeLimitSeconds: 60 });
  assert.deepEqual([raised.passed, raised.failed], [false, 'pump']);
  const unknown = await selfTest.run({ critical: ['valve'], timeLimitSeconds: 60 });
  assert.deepEqual([unknown.passed, unknown.failed], [false, 'valve']);
  const slow = { name: 'slow', command: ['/bin/sleep', '60'], critical: true, timeLimitSeconds: 60 };
  const late = { ...slow, name: 'late', command: ['/bin/true'] };
  const outOfTime = await programSelfTest([slow, late], systemClock).run({
    critical: [],
    timeLimitSeconds: 1,
  });
  assert.deepEqual(
    outOfTime.tests.map((each) => each.outcome),
    ['timed-out', 'timed-out'],
  );
  assert.equal(outOfTime.passed, false);
});

test('TEST-OTA-336 REQ-OTA-POL-06: interlock, every answer but exit code 0: no, with a reason', async () => {
  const interlock = (command: string[], timeLimitSeconds = 5): ReturnType<typeof programInterlock> =>
    programInterlock({ command, timeLimitSeconds });
  const yes = interlock(shell('test "$1 $2 $3" = "activate 12 Release \\"12\\""'));
  const by = 'interlock program';
  assert.deepEqual(await yes.allows('activate', release), { allowed: true, by });
  assert.equal((await yes.allows('reboot', release)).allowed, false);
  const clinical = await interlock(shell('echo patient connected; exit 1')).allows('fetch', release);
  assert.deepEqual(clinical, { allowed: false, by, reason: 'interlock: exit code 1: patient connected' });
  assert.equal((await interlock(['/bin/sleep', '60'], 0.3).allows('reboot', release)).allowed, false);
  assert.equal((await interlock(['/nonexistent']).allows('reboot', release)).allowed, false);
  assert.equal((await interlock(shell('kill -KILL $$')).allows('reboot', release)).allowed, false);
  const told = '"$1 $AIRLOCK_MANIFEST_SHA256 $AIRLOCK_URGENCY $AIRLOCK_DEADLINE"';
  const wanted = `consent ${release.manifestSha256} safety 2026-11-05T00:00:00Z`;
  const asked = interlock(shell(`test ${told} = "${wanted}" && echo nurse-17`));
  assert.deepEqual(await asked.consents(release), { operator: 'nurse-17', by });
  // A yes that names nobody is nobody's.
  for (const says of ['', 'two words', '-x', 'a'.repeat(65)])
    assert.equal(await interlock(shell(`echo '${says}'`)).consents(release), undefined);
  assert.equal(await interlock(shell('echo nurse-17; exit 1')).consents(release), undefined);
  assert.equal(await interlock(shell('echo nurse-17; kill -KILL $$')).consents(release), undefined);
  assert.equal(
    await interlock(shell('echo nurse-17; sleep 60'), 0.3).consents(release),
    undefined,
    'it hangs after its word',
  );
  assert.equal((await programInterlock('none').allows('reboot', release)).allowed, true);
  assert.equal(await programInterlock('none').consents(release), undefined);
});

test('TEST-OTA-337 REQ-OTA-APPLY-08: data hooks, succeeding, failing, absent: yes, no with a line, yes', async () => {
  const lines: string[] = [];
  const context = { attempt: 'f00d', fromVersion: 3, toVersion: 4 };
  const good = shell('test "$1 $2 $3" = "f00d 3 4"');
  const guard = programDataGuard(
    { prepare: good, commit: shell('echo disk is odd >&2; exit 9'), revert: good, timeLimitSeconds: 5 },
    (line) => lines.push(line),
  );
  assert.equal(guard.present, true);
  assert.equal(await guard.prepare(context), true);
  assert.equal(await guard.commit(context), false);
  assert.deepEqual(lines, ['data hook commit exit code 9: disk is odd']);
  assert.equal(await guard.revert({ ...context, toVersion: 5 }), false);
  const absent = programDataGuard(undefined, () => assert.fail());
  assert.equal(absent.present, false);
  assert.equal(await absent.commit(context), true);
});

test('TEST-OTA-338 REQ-OTA-APPLY-01: booted group, from the kernel command line: exactly one letter, or an error that names the file', async () => {
  assert.equal(bootedGroupOf('quiet airlock.group=B ro\n', 'cmdline'), 'B');
  assert.equal(bootedGroupOf('airlock.group=A airlock.group=A', 'cmdline'), 'A');
  for (const line of ['', 'airlock.group=C', 'xairlock.group=A', 'airlock.group=A airlock.group=B']) {
    assert.throws(() => bootedGroupOf(line, '/proc/cmdline'), /\/proc\/cmdline: expected exactly one/);
  }
  const { folder, dispose } = await scratchFolder();
  try {
    const files = { commandLineFile: join(folder, 'cmdline'), bootIdFile: join(folder, 'boot-id') };
    const options = { ...files, rebootCommand: ['/bin/false'] };
    await assert.rejects(readPlatform(options), PlatformError);
    await writeFile(files.commandLineFile, 'airlock.group=A');
    await writeFile(files.bootIdFile, 'no');
    await assert.rejects(readPlatform(options), /boot-id: expected the random id/);
    await writeFile(files.bootIdFile, '0d9f1c66-3c1e-4e0a-9d38-1f7a1c7e9a11\n');
    const platform = await readPlatform(options);
    assert.equal(platform.bootedGroup, 'A');
    assert.equal(platform.bootId, '0d9f1c66-3c1e-4e0a-9d38-1f7a1c7e9a11');
    await assert.rejects(platform.reboot(), /the restart command exit code 1/);
  } finally {
    await dispose();
  }
});

test('TEST-OTA-339 REQ-OTA-APPLY-07: state folder, locked twice and by a killed process: one holder, and no stale lock', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    const first = await lockStateFolder(folder);
    assert.ok(first !== undefined);
    assert.equal(await lockStateFolder(`${folder}/.`), undefined);
    await first.release();
    const module = new URL('../src/adapters/single-instance.ts', import.meta.url).href;
    const script = `const { lockStateFolder } = await import(${JSON.stringify(module)});
      await lockStateFolder(${JSON.stringify(folder)}); process.kill(process.pid, 'SIGKILL');`;
    const killed = await runProgram({
      command: [process.execPath, '--input-type=module', '-e', script],
      timeLimitSeconds: 30,
    });
    assert.deepEqual([killed.kind, killed.kind === 'crashed' && killed.signal], ['crashed', 'SIGKILL']);
    const again = await lockStateFolder(folder);
    assert.ok(again !== undefined);
    await again.release();
  } finally {
    await dispose();
  }
});

test('TEST-OTA-340 REQ-OTA-LIMIT-02: clock and randomness of the system, a sleep called off and many fractions: ends early, and within [0, 1)', async () => {
  const controller = new AbortController();
  const before = systemClock.monotonicMs();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort();
  await sleeping;
  assert.ok(systemClock.monotonicMs() - before < 30_000);
  assert.ok(Math.abs(systemClock.now() - Date.now() / 1000) < 2);
  const fractions = Array.from({ length: 200 }, () => systemRandom.fraction());
  assert.ok(fractions.every((value) => value >= 0 && value < 1));
  assert.ok(new Set(fractions).size > 190);
  assert.equal(systemRandom.bytes(32).length, 32);
});

test('TEST-OTA-772 REQ-OTA-POL-06: interlock, told of a trial and its end: called with the word, version and name; anything but exit code 0 is an error', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    const file = join(folder, 'told');
    const command = shell('echo "$2 $3 $4" >> "$1"', file);
    const interlock = programInterlock({ command, timeLimitSeconds: 5 });
    for (const news of ['trial', 'confirmed', 'rolled-back'] as const) await interlock.tell(news, release);
    const name = '12 Release "12"';
    assert.equal(await readFile(file, 'utf8'), `trial ${name}\nconfirmed ${name}\nrolled-back ${name}\n`);
    const deaf = programInterlock({ command: shell('echo no such word; exit 3'), timeLimitSeconds: 5 });
    await assert.rejects(deaf.tell('trial', release), (error) => {
      assert.ok(error instanceof InterlockError);
      assert.equal(error.message, 'the interlock exit code 3: no such word');
      return true;
    });
    const hung = programInterlock({ command: ['/bin/sleep', '60'], timeLimitSeconds: 0.3 });
    await assert.rejects(hung.tell('confirmed', release), InterlockError);
    await programInterlock('none').tell('trial', release);
  } finally {
    await dispose();
  }
});

test('TEST-OTA-774 REQ-OTA-ROLL-06: the program that sets the clock, good or failing: given the time as seconds and as an instant; a failure is an error', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    const file = join(folder, 'set');
    const setCommand = shell('echo "$2 $3" > "$1"', file, '@{time}', '{instant}');
    const clock = programClock({ setCommand, timeLimitSeconds: 5 });
    await clock.set?.(1_793_491_200);
    assert.equal(await readFile(file, 'utf8'), '@1793491200 2026-11-01T00:00:00Z\n');
    assert.ok(Math.abs(clock.now() - Date.now() / 1000) < 2, 'it reads the system clock');
    const broken = programClock({ setCommand: ['/bin/false'], timeLimitSeconds: 5 });
    await assert.rejects(async () => await broken.set?.(1), PlatformError);
    assert.ok(!('set' in systemClock), 'without a program nothing is set');
  } finally {
    await dispose();
  }
});
