/** The configuration's parser: what is good, and one clear line for everything else (REQ-OTA-OPS-01). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AgentConfig, configBytesMax, parseConfig } from '../src/config.ts';
import { exampleConfig } from './support/example-config.ts';

const file = '/etc/airlock/agent.json';

function parsed(value: unknown): ReturnType<typeof parseConfig> {
  return parseConfig(
    new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)),
    file,
  );
}

function messageOf(value: unknown): string {
  const result = parsed(value);
  if (result.ok) return '';
  assert.equal(result.error.code, 'OTA_CONFIG');
  return result.error.message;
}

/** The example with the value at a dotted path replaced, or removed when undefined. */
function withField(path: string, value: unknown): unknown {
  const config = structuredClone(exampleConfig) as Record<string, unknown>;
  const names = path.split('.');
  let object = config;
  for (const name of names.slice(0, -1)) object = object[name] as Record<string, unknown>;
  const last = names.at(-1) ?? '';
  if (value === undefined) Reflect.deleteProperty(object, last);
  else object[last] = value;
  return config;
}

test('TEST-OTA-352 REQ-OTA-OPS-01: configuration, complete or with every default: parsed, paths beside the file', () => {
  const result = parsed(exampleConfig);
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  const config: AgentConfig = result.value;
  assert.equal(config.stateFolder, '/etc/airlock/state');
  assert.equal(config.server.url, 'https://localhost:8443');
  assert.equal(config.server.tlsMin, '1.3');
  assert.deepEqual(config.slots, { rootfs: { A: '/etc/airlock/slots/a', B: '/dev/disk/by-partlabel/b' } });
  assert.deepEqual(config.limits, {
    attemptsPerReleaseMax: 3,
    silenceSecondsMax: 14 * 24 * 3600,
    trialTries: 3,
  });
  assert.equal(config.fallbackAllowed, true);
  assert.equal(config.commandLineFile, '/proc/cmdline');
  assert.equal(config.secureBoot, undefined);
});

test('TEST-OTA-353 REQ-OTA-OPS-01: configuration, any field wrong: one line with the file, the field and what was expected', () => {
  const command = { kind: 'command', command: ['/b'], tries: 'counted', armingSurvivesPowerOff: true };
  const wrong: [string, unknown, RegExp][] = [
    ['schema', 'airlock-agent-config/2', /schema: expected "airlock-agent-config\/1"/],
    ['device', '../x', /device: expected a device id/],
    ['device', undefined, /device: .*it is missing/],
    ['product', 'Pump', /product: expected a lower-case name/],
    ['colour', 'blue', /colour: is not a field/],
    ['stateFolder', '', /stateFolder: expected a path/],
    ['stateFolder', 'a\u0000b', /stateFolder: expected a path/],
    ['server.url', 'http://localhost:1', /server\.url: expected an address/],
    ['server.url', 'https://user:pw@localhost', /server\.url/],
    ['server.url', 'https://localhost/path', /server\.url/],
    ['server.url', 'not an address', /server\.url/],
    ['server.tlsMin', '1.1', /server\.tlsMin: expected "1.3" or "1.2"/],
    ['server.password', 'x', /server\.password: is not a field/],
    [
      'limits',
      { window: { fromMinute: 60, toMinute: 60, days: [0] } },
      /limits\.window\.toMinute: expected another minute than fromMinute/,
    ],
    ['slots', {}, /slots: expected 1 to 16 entries/],
    ['slots', { 'Root FS': { A: 'a', B: 'b' } }, /slots: expected a lower-case name/],
    ['slots.rootfs.C', 'c', /slots\.rootfs\.C: is not a field/],
    ['slots.rootfs.B', './slots/a', /slots\.rootfs\.B: expected a path that no other slot has/],
    ['identity.component', 'app', /identity\.component: expected "rootfs"/],
    ['bootControl.kind', 'grub', /bootControl\.kind: expected "file" or "command"/],
    ['bootControl', { ...command, command: [] }, /bootControl\.command/],
    [
      'bootControl',
      { ...command, command: ['./boot'] },
      /bootControl\.command\[0\]: expected an absolute path/,
    ],
    ['bootControl', { ...command, tries: 3 }, /bootControl\.tries/],
    [
      'bootControl',
      { ...command, timeLimitSeconds: 0 },
      /bootControl\.timeLimitSeconds: expected an integer from 1/,
    ],
    ['selfTest.tests', [{ name: 'a', command: ['/a'] }], /selfTest\.tests\[0\]\.critical/],
    [
      'selfTest.tests',
      [0, 1].map(() => ({ name: 'a', command: ['/a'], critical: true })),
      /tests\[1\]\.name/,
    ],
    ['selfTest.tests', [{ name: 'built-in', command: ['/a'], critical: true }], /tests\[0\]\.name/],
    ['dataHooks', { prepare: ['/p'], commit: ['/c'] }, /dataHooks\.revert/],
    ['interlock', undefined, /interlock: expected \{"command".* or "none" .*, it is missing/],
    ['interlock', 'nnone', /interlock: expected \{"command".* or "none" .*, found "nnone"/],
    ['interlock', null, /interlock: expected .* or "none"/],
    [
      'poll.intervalSeconds',
      0,
      /poll\.intervalSeconds: expected an integer from 1 to 86400 seconds, found 0/,
    ],
    ['poll.intervalSeconds', 1.5, /poll\.intervalSeconds/],
    ['limits', { trialTries: 0 }, /limits\.trialTries/],
    ['limits', { bytesPerSecondMax: 10 }, /limits\.bytesPerSecondMax/],
    ['limits', { window: { fromMinute: 0, toMinute: 60, days: [] } }, /limits\.window\.days/],
    ['limits', { window: { fromMinute: 0, toMinute: 60, days: [7] } }, /limits\.window\.days\[0\]/],
    ['secureBoot', { keys: [] }, /secureBoot\.keys: is not a field/],
    ['bootloaderVersion', '1', /bootloaderVersion: expected an integer/],
    ['fallbackAllowed', 'yes', /fallbackAllowed: expected true or false, found "yes"/],
    ['reboot', '(fill in)', /reboot: expected \{"command": .*restarts this device.*, found "\(fill in\)"/],
    ['reboot.command', 'reboot', /reboot\.command: expected a list/],
  ];
  for (const [path, value, expected] of wrong) {
    const message = messageOf(withField(path, value));
    assert.match(message, expected);
    assert.ok(message.startsWith(`${file}: `), message);
    assert.ok(!message.includes('\n'));
  }
});

test('TEST-OTA-354 REQ-OTA-OPS-01: configuration, no JSON, too long or any value at all: refused in one line, never thrown', () => {
  assert.match(messageOf('{"schema": '), /the file: expected JSON/);
  assert.match(messageOf('[]'), /the file: expected an object/);
  assert.match(messageOf(`"${'x'.repeat(configBytesMax)}"`), /the file: expected at most/);
  assert.ok(!parseConfig(new Uint8Array([0xff, 0xfe]), file).ok);
  const names = [
    'schema',
    'server.url',
    'slots',
    'slots.rootfs',
    'bootControl',
    'selfTest',
    'limits',
    'interlock',
  ];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.jsonValue(), (path, value) => {
      const message = messageOf(withField(path, value));
      assert.ok(message === '' || message.startsWith(`${file}: ${path.split('.')[0]}`), message);
    }),
    { numRuns: 300 },
  );
});

test("TEST-OTA-775 REQ-OTA-LIMIT-01, REQ-OTA-ROLL-06: time zone and clock, named, absent or wrong: read, the system's and none, or one line that names the field", () => {
  const read = (path: string, value: unknown): AgentConfig => {
    const result = parsed(withField(path, value));
    assert.ok(result.ok, result.ok ? '' : result.error.message);
    return result.value;
  };
  const system = read('device', 'pump-1');
  assert.equal(system.timeZone, Intl.DateTimeFormat().resolvedOptions().timeZone);
  assert.equal(system.clock, undefined);
  assert.equal(read('timeZone', 'Asia/Tokyo').timeZone, 'Asia/Tokyo');
  const setCommand = ['/bin/date', '-u', '-s', '@{time}'];
  assert.deepEqual(read('clock', { setCommand }).clock, { setCommand, timeLimitSeconds: 60 });
  assert.equal(read('clock', { setCommand, timeLimitSeconds: 5 }).clock?.timeLimitSeconds, 5);
  for (const name of ['Mars/Olympus', '+01:00', '', 7, null, 'Europe/Berlin\n'])
    assert.match(messageOf(withField('timeZone', name)), /timeZone: expected the IANA name of a time zone/);
  assert.match(messageOf(withField('clock', {})), /clock\.setCommand: expected a list/);
  assert.match(messageOf(withField('clock', { setCommand: ['date'], set: 1 })), /clock\.set: is not a field/);
  assert.match(
    messageOf(withField('clock', { setCommand, timeLimitSeconds: 0 })),
    /clock\.timeLimitSeconds: expected an integer from 1/,
  );
});
