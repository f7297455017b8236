/** The program as a person meets it: commands, exit codes, one line for each error, and nothing changed by a refusal. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { lockStateFolder } from '../src/adapters/single-instance.ts';
import { compose, loadConfig } from '../src/compose.ts';
import { agentVersion } from '../src/version.ts';
import { programFile, runAgent, testDevice } from './support/provisioned.ts';
import { json, withServer } from './support/tls-server.ts';

/** One line, no stack, naming what is expected. */
function assertOneLine(stderr: string, expected: RegExp): void {
  assert.match(stderr, expected);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
}

test('TEST-OTA-355 REQ-OTA-OPS-01: airlock-agent, wrong command lines and files: one line, exit code 2, nothing written', async () => {
  const device = await testDevice();
  try {
    const cases: [string[], RegExp][] = [
      [['status'], /--config/],
      [['status', '--config', '/nonexistent'], /\/nonexistent: expected a configuration/],
      [['dance'], /unknown command/],
      [['log', '--config', device.config, '--entries', '0'], /expected an integer from 1/],
      [[...device.provisionWords.slice(0, 3), '--group', 'C'], /Allowed choices are A, B/],
      [
        [...device.provisionWords, '--installed', join(device.folder, 'nothing')],
        /nothing: expected the manifest/,
      ],
      [[...device.provisionWords, '--built-at', 'yesterday'], /expected a time such as/],
    ];
    for (const [words, expected] of cases) {
      const { code, stdout, stderr } = await runAgent(words);
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, expected);
    }
    await device.configure({ interlock: undefined });
    const strict = await runAgent(device.provisionWords);
    assert.equal(strict.code, 2);
    assertOneLine(strict.stderr, /agent\.json: interlock: expected .* or "none"/);
    assert.ok(!(await readdir(device.folder)).includes('state'));
    const help = await runAgent(['--help'], programFile);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /Exit codes:/);
    const version = await runAgent(['--version']);
    assert.equal(version.stdout, `${agentVersion}\n`);
    const manifest = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    assert.equal(manifest.version, agentVersion);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-356 REQ-OTA-APPLY-07, REQ-OTA-SIGN-07: provision, of foreign papers, then right, then again: refused, done once, never over a state', async () => {
  const device = await testDevice();
  try {
    const other = await testDevice();
    const foreign = await readFile(join(other.folder, 'record.json'));
    await other.dispose();
    const recordFile = join(device.folder, 'record.json');
    const own = await readFile(recordFile);
    await writeFile(recordFile, foreign);
    const refused = await runAgent(device.provisionWords);
    assert.equal(refused.code, 1, refused.stderr);
    assertOneLine(refused.stderr, /OTA_/);
    assert.ok(!(await readdir(device.folder)).includes('state'));
    await writeFile(recordFile, own);

    const made = await runAgent(device.provisionWords);
    assert.equal(made.code, 0, made.stderr);
    assert.equal(made.stdout, 'pump-1 is provisioned: group A holds version 1, which is its floor\n');
    const before = await readFile(join(device.folder, 'state/record'));
    const again = await runAgent(device.provisionWords);
    assert.equal(again.code, 1);
    assertOneLine(again.stderr, /OTA_PROVISIONED: .*expected no state of a device yet/);
    // A device that lost its record is not made new: that would lower its floor.
    await rm(join(device.folder, 'state/record'));
    assert.equal((await runAgent(device.provisionWords)).code, 1);
    await writeFile(join(device.folder, 'state/record'), before);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1073 REQ-OTA-APPLY-05: provision, of a manifest that was written again in another layout: refused, its file named', async () => {
  const device = await testDevice();
  try {
    const at = device.provisionWords.indexOf('--installed');
    const bytes = await readFile(device.provisionWords[at + 1] ?? '', 'utf8');
    const file = join(device.folder, 'reformatted.json');
    await writeFile(file, `${JSON.stringify(JSON.parse(bytes), undefined, 2)}\n`);
    const refused = await runAgent([...device.provisionWords, '--installed', file]);
    assert.notEqual(refused.code, 0);
    assertOneLine(refused.stderr, /reformatted\.json: /);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-778 REQ-OTA-APPLY-05, REQ-OTA-ROLL-01: provision, of a group that holds another image, a shorter slot or none: OTA_NOT_INSTALLED, the slot named, nothing written', async () => {
  const device = await testDevice();
  try {
    const slot = join(device.folder, 'slots/a');
    const own = await readFile(slot);
    const changed = Buffer.from(own);
    changed[700] = (changed[700] ?? 0) ^ 1;
    for (const content of [changed, own.subarray(0, 100), undefined]) {
      await rm(slot);
      if (content !== undefined) await writeFile(slot, content);
      const refused = await runAgent(device.provisionWords);
      assert.equal(refused.code, 1, refused.stderr);
      assertOneLine(refused.stderr, /OTA_NOT_INSTALLED: group A, rootfs: .*slots\/a/);
      const names = await readdir(device.folder);
      assert.ok(!names.includes('state') && !names.includes('boot'));
    }
    await writeFile(slot, own);
    // What lies behind the image in its slot is not the release's.
    await writeFile(slot, Buffer.concat([own, Buffer.alloc(512, 7)]));
    const made = await runAgent(device.provisionWords);
    assert.equal(made.code, 0, made.stderr);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-357 REQ-OTA-LOG-02: status and log, offline, beside a running agent and on a read-only disk: readable, nothing changed', async () => {
  const device = await testDevice();
  try {
    const absent = await runAgent(['status', '--config', device.config]);
    assert.equal(absent.code, 0, absent.stderr);
    assert.match(absent.stdout, /never provisioned/);
    assert.equal((await runAgent(['log', '--config', device.config])).code, 1);
    assert.equal((await runAgent(device.provisionWords)).code, 0);
    const recordFile = join(device.folder, 'state/record');
    const damaged = await readFile(recordFile);
    damaged.fill(0xff, 0, 100);
    await writeFile(recordFile, damaged);
    const lock = await lockStateFolder(join(device.folder, 'state'));
    const status = await runAgent(['status', '--config', device.config]);
    assert.match(status.stdout, /confirmed +version 1 in group A/);
    assert.match(status.stdout, /agent +0\.1\.0, running/);
    assert.match(status.stdout, /boot order +A \(confirmed, 16 left\)/);
    const asJson = await runAgent(['status', '--config', device.config, '--json']);
    const parsed = JSON.parse(asJson.stdout) as Record<string, unknown>;
    assert.deepEqual([parsed['device'], parsed['running'], parsed['bootedGroup']], ['pump-1', true, 'A']);
    assert.deepEqual(await readFile(recordFile), damaged, 'status repaired the record');
    const log = await runAgent(['log', '--config', device.config]);
    assert.deepEqual([log.code, log.stdout], [0, 'the log is empty\n']);
    const second = await runAgent(['run', '--config', device.config]);
    assert.equal(second.code, 4);
    assertOneLine(second.stderr, /another agent works on/);
    await lock?.release();
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-358 REQ-OTA-POL-01: check, of an approved and of an unapproved release: the verdict in words, nothing installed or kept', async () => {
  let files: Record<string, string> = {};
  await withServer(
    { answer: (_request, response) => json(response, { etag: 'e', files }) },
    async (_transport, seen, url) => {
      const device = await testDevice(url);
      try {
        const never = await runAgent(['check', '--config', device.config]);
        assert.equal(never.code, 1);
        assertOneLine(never.stderr, /OTA_STATE_LOST/);
        assert.equal((await runAgent(device.provisionWords)).code, 0);
        const state = await readFile(join(device.folder, 'state/trust-1'));
        files = device.factory.checkIn({ quality: true });
        const approved = await runAgent(['check', '--config', device.config]);
        assert.equal(approved.code, 0, approved.stderr);
        assert.match(
          approved.stdout,
          /^version 2 \(Release 2\) is approved by engineering \(1\), quality \(1\) until .*, and fits group B\n$/,
        );
        files = device.factory.checkIn({ quality: false });
        await chmod(join(device.folder, 'log.key.pem'), 0o600);
        await chmod(join(device.folder, 'tls/device.key.pem'), 0o644);
        const refused = await runAgent(['check', '--config', device.config, '--json']);
        assert.equal(refused.code, 1);
        const answer = JSON.parse(refused.stdout) as Record<string, unknown>;
        assert.deepEqual([answer['verdict'], answer['code']], ['refused', 'OTA_NOT_APPROVED']);
        assert.match(refused.stderr, /a private key that other users can read \(mode 644, expected 600\)/);
        assert.deepEqual(await readFile(join(device.folder, 'state/trust-1')), state);
        assert.equal(seen.length, 2);
        assert.deepEqual(await readFile(join(device.folder, 'slots/b')), Buffer.alloc(8192));
      } finally {
        await device.dispose();
      }
    },
  );
});

test('TEST-OTA-359 REQ-OTA-OPS-01, REQ-OTA-SIGN-06: keys and server, broken or away: the file or address named, no secret shown', async () => {
  const device = await testDevice();
  try {
    assert.equal((await runAgent(device.provisionWords)).code, 0);
    const away = await runAgent(['check', '--config', device.config]);
    assert.equal(away.code, 3);
    assertOneLine(away.stderr, /OTA_SERVER_UNREACHABLE: https:\/\/localhost:1/);
    const keyFile = join(device.folder, 'log.key.pem');
    const key = await readFile(keyFile, 'utf8');
    await writeFile(keyFile, key.replace('PRIVATE KEY', 'PRIVATE CHEESE'));
    const broken = await runAgent(['run', '--config', device.config]);
    assert.equal(broken.code, 2);
    assertOneLine(broken.stderr, /log\.key\.pem: expected an Ed25519 or P-256 private key/);
    assert.ok(!broken.stderr.includes(key.split('\n')[1] ?? '?'));
    await writeFile(join(device.folder, 'tls/device.pem'), 'no certificate');
    const tls = await runAgent(['check', '--config', device.config]);
    assert.equal(tls.code, 2);
    assertOneLine(tls.stderr, /device\.pem/);
    await writeFile(join(device.folder, 'cmdline'), 'quiet');
    const lost = await runAgent(['run', '--config', device.config]);
    assert.equal(lost.code, 2);
    assertOneLine(lost.stderr, /cmdline: expected exactly one of airlock\.group=A/);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-777 REQ-OTA-POL-06, REQ-OTA-ROLL-06, REQ-OTA-LIMIT-01: run, with an interlock, a clock program and a time zone configured: the clock set to the build time, the interlock told what runs, windows read there', async () => {
  const device = await testDevice();
  try {
    const told = join(device.folder, 'told');
    const set = join(device.folder, 'set');
    const writer = (script: string, ...words: string[]): string[] => [
      '/bin/sh',
      '-c',
      script,
      'sh',
      ...words,
    ];
    await device.configure({
      interlock: { command: writer('echo "$2 $3 $4" >> "$1"', told) },
      clock: { setCommand: writer('echo "$2" > "$1"', set, '{group} {time}') },
      timeZone: 'Asia/Tokyo',
    });
    const config = await loadConfig(device.config);
    assert.ok(config.ok);
    const composed = await compose(config.value, () => undefined);
    assert.ok(composed.ok);
    assert.equal(composed.value.settings.timeZone, 'Asia/Tokyo');
    composed.value.transport.close();
    assert.equal((await runAgent([...device.provisionWords, '--built-at', '2099-01-01T00:00:00Z'])).code, 0);
    const child = spawn(process.execPath, [programFile, 'run', '--config', device.config], {
      stdio: 'ignore',
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    try {
      while (child.exitCode === null && !(await readFile(told, 'utf8').catch(() => '')).endsWith('\n'))
        await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      child.kill('SIGTERM');
    }
    assert.equal(await ended, 0);
    assert.equal(await readFile(told, 'utf8'), 'confirmed 1 Release 1\n');
    assert.equal(await readFile(set, 'utf8'), `A ${Date.parse('2099-01-01T00:00:00Z') / 1000}\n`);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-308 REQ-OTA-APPLY-03: run, ended by SIGTERM: polls, ends by itself with 0, and holds no lock any more', async () => {
  await withServer(
    { answer: (_request, response) => json(response, {}, 503) },
    async (_transport, seen, url) => {
      const device = await testDevice(url);
      try {
        assert.equal((await runAgent(device.provisionWords)).code, 0);
        const child = spawn(process.execPath, [programFile, 'run', '--config', device.config, '--json'], {
          stdio: ['ignore', 'ignore', 'pipe'],
        });
        let said = '';
        child.stderr.on('data', (piece: Buffer) => {
          said += piece.toString('utf8');
        });
        const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
        while (seen.length === 0 && child.exitCode === null)
          await new Promise((resolve) => setTimeout(resolve, 20));
        const commandLine = await readFile(`/proc/${child.pid}/cmdline`, 'utf8');
        child.kill('SIGTERM');
        assert.equal(await ended, 0, said);
        assert.match(commandLine, /--max-semi-space-size=1/);
        for (const line of said.trim().split('\n'))
          assert.equal(typeof (JSON.parse(line) as { text: unknown }).text, 'string');
        assert.match(said, /stopping \(SIGTERM\)/);
        const lock = await lockStateFolder(join(device.folder, 'state'));
        assert.ok(lock !== undefined);
        await lock.release();
      } finally {
        await device.dispose();
      }
    },
  );
});
