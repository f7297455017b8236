/**
 * The agent's configuration, `airlock-agent-config/1`: one strict parser from bytes to a value.
 *
 * It keeps true: nothing is guessed, nothing unknown is ignored, and every refusal is one line with the file, the
 * field and what was expected. Defaults stand here and nowhere else. Paths are resolved against the folder of the
 * file. That the files named exist is left to those who open them.
 */
import { dirname, resolve } from 'node:path';
import { fail, ok, type Result } from '@airlock/trust';
import type { AgentConfig, AgentLimits } from './agent-config.ts';
import { trialTriesDefault } from './ports/boot-control.ts';
import { ConfigFault, ConfigField } from './config-field.ts';
import { judgeService, readConsent, readInterlock, readService } from './config-service.ts';

export type { AgentConfig };

/** A configuration names a few dozen paths and programs. */
export const configBytesMax = 256_000;
const slotsMax = 16;
const testsMax = 64;
/** A program of the integrator may take an hour at most; longer ones are hung. */
const programSecondsMax = 3600;
const programSecondsDefault = 60;
/** Three chances: one for a bad block, one for a power cut, one for bad luck. */
const attemptsPerReleaseDefault = 3;
/** Two weeks without a word are more than a holiday and less than the life of a director snapshot (30 days). */
const silenceSecondsDefault = 14 * 24 * 3600;
/** A TPM answers in milliseconds, and after a start in seconds. */
const tpmSecondsDefault = 10;
/** Below 4 s a busy start is taken for a hang; above 10 min a device stands still for too long before each try. */
const watchdogSeconds = { min: 4, max: 600 };
const daySeconds = 24 * 3600;

const deviceForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const nameForm = /^[a-z][a-z0-9-]{0,31}$/;
const nameExpected = 'a lower-case name such as rootfs (letters, digits, hyphens, at most 32)';

/** Parses a configuration. `file` is its path. Errors: `OTA_CONFIG`, the message begins with the file and the field. */
export function parseConfig(bytes: Uint8Array, file: string): Result<AgentConfig> {
  try {
    return ok(readConfig(new ConfigField(parseJson(bytes), ''), dirname(resolve(file))));
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    return fail('OTA_CONFIG', `${file}: ${error.field}: ${error.message}`, error.field);
  }
}

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length > configBytesMax) {
    throw new ConfigFault('the file', `expected at most ${configBytesMax} bytes, found ${bytes.length}`);
  }
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message.replaceAll(/\s+/g, ' ') : 'it cannot be read';
    throw new ConfigFault('the file', `expected JSON: ${reason}`);
  }
}

const fields = [
  'schema',
  'device',
  'product',
  'stateFolder',
  'server',
  'logKeyFile',
  'slots',
  'identity',
  'bootControl',
  'selfTest',
  'dataHooks',
  'interlock',
  'service',
  'consent',
  'clock',
  'timeZone',
  'poll',
  'limits',
  'secureBoot',
  'tpm',
  'watchdog',
  'bootloaderVersion',
  'fallbackAllowed',
  'reboot',
  'commandLineFile',
  'bootIdFile',
] as const;

function readConfig(config: ConfigField, folder: string): AgentConfig {
  const path = (field: ConfigField): string => resolve(folder, field.text('a path'));
  config.object([...fields]);
  config.at('schema').oneOf(['airlock-agent-config/1']);
  const slots = readSlots(config.at('slots'), path);
  const dataHooks = config.optional('dataHooks', readDataHooks);
  const clock = config.optional('clock', (field) => ({
    setCommand: field.object(['setCommand', 'timeLimitSeconds']).at('setCommand').command(),
    timeLimitSeconds: timeLimit(field),
  }));
  const secureBoot = config.optional('secureBoot', (field) => ({
    trustedKeys: field
      .object(['trustedKeys'])
      .at('trustedKeys')
      .list(64)
      .map((key) => key.text('a key id')),
  }));
  const tpm = config.optional('tpm', readTpm);
  const interlock = readInterlock(config.at('interlock'), timeLimit);
  const service = config.optional('service', (field) => readService(field, path));
  const consent = config.optional('consent', readConsent);
  judgeService(config, { service, interlock, consent });
  const watchdog = config.optional('watchdog', (field) => ({
    file: path(field.object(['file', 'timeoutSeconds']).at('file')),
    timeoutSeconds: field.at('timeoutSeconds').integer(watchdogSeconds.min, watchdogSeconds.max, 'seconds'),
  }));
  return {
    device: config.at('device').matching(deviceForm, 'a device id (letters, digits, . _ -, at most 64)'),
    product: config.at('product').matching(nameForm, nameExpected),
    stateFolder: path(config.at('stateFolder')),
    server: readServer(config.at('server'), path),
    logKeyFile: path(config.at('logKeyFile')),
    slots,
    identity: readIdentity(config.at('identity'), Object.keys(slots)),
    bootControl: readBootControl(config.at('bootControl'), path),
    selfTest: readSelfTest(config.at('selfTest')),
    ...(dataHooks === undefined ? {} : { dataHooks }),
    interlock,
    ...(service === undefined ? {} : { service }),
    ...(consent === undefined ? {} : { consent }),
    ...(clock === undefined ? {} : { clock }),
    timeZone: config.optional('timeZone', readTimeZone) ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    poll: {
      intervalSeconds: config
        .at('poll')
        .object(['intervalSeconds'])
        .at('intervalSeconds')
        .integer(1, daySeconds, 'seconds'),
    },
    limits: config.optional('limits', readLimits) ?? limitsDefault,
    ...(secureBoot === undefined ? {} : { secureBoot }),
    ...(tpm === undefined ? {} : { tpm }),
    ...(watchdog === undefined ? {} : { watchdog }),
    bootloaderVersion: config.at('bootloaderVersion').integer(0, 2 ** 31 - 1),
    fallbackAllowed: config.optional('fallbackAllowed', (field) => field.boolean()) ?? true,
    reboot: readReboot(config.at('reboot')),
    commandLineFile: config.optional('commandLineFile', path) ?? '/proc/cmdline',
    bootIdFile: config.optional('bootIdFile', path) ?? '/proc/sys/kernel/random/boot_id',
  };
}

function readServer(server: ConfigField, path: (field: ConfigField) => string): AgentConfig['server'] {
  server.object(['url', 'authorityFile', 'certificateFile', 'keyFile', 'tlsMin']);
  const url: ConfigField = server.at('url');
  const expected = 'an address such as https://updates.example.com:8443 with nothing behind the port';
  const text = url.text(expected);
  const parsed = URL.parse(text);
  const plain = text === parsed?.origin || text === `${parsed?.origin}/`;
  if (parsed === null || !plain || parsed.protocol !== 'https:') url.refuse(expected);
  return {
    url: parsed.origin,
    authorityFile: path(server.at('authorityFile')),
    certificateFile: path(server.at('certificateFile')),
    keyFile: path(server.at('keyFile')),
    tlsMin: server.optional('tlsMin', (field) => field.oneOf(['1.3', '1.2'])) ?? '1.3',
  };
}

function readSlots(slots: ConfigField, path: (field: ConfigField) => string): AgentConfig['slots'] {
  const taken = new Set<string>();
  return Object.fromEntries(
    slots.map(slotsMax).map(([component, pair]) => {
      if (!nameForm.test(component)) slots.refuse(`${nameExpected} as the name of each component`);
      pair.object(['A', 'B']);
      const letters = (['A', 'B'] as const).map((letter) => {
        const field = pair.at(letter);
        const place = path(field);
        // One file as two slots would make writing the other group overwrite the running one.
        if (taken.has(place)) field.refuse('a path that no other slot has');
        taken.add(place);
        return place;
      });
      return [component, { A: letters[0] ?? '', B: letters[1] ?? '' }];
    }),
  );
}

function readIdentity(identity: ConfigField, components: readonly string[]): AgentConfig['identity'] {
  identity.object(['kind', 'component', 'member']);
  return {
    kind: identity.at('kind').oneOf(['tar']),
    component: identity.at('component').oneOf(components),
    member: identity.at('member').text('the name of a member of the tar'),
  };
}

/** More than any boot loader counts; a larger number is a mistake. */
const confirmedStartsMax = 1000;

function readBootControl(
  control: ConfigField,
  path: (field: ConfigField) => string,
): AgentConfig['bootControl'] {
  const kind = control.at('kind').oneOf(['file', 'command']);
  if (kind === 'file') {
    control.object(['kind', 'file']);
    return { kind, file: path(control.at('file')) };
  }
  control.object([
    'kind',
    'command',
    'tries',
    'armingSurvivesPowerOff',
    'confirmedStarts',
    'timeLimitSeconds',
  ]);
  const starts = control.optional('confirmedStarts', (field) => field.integer(1, confirmedStartsMax));
  return {
    kind,
    command: control.at('command').command(),
    tries: control.at('tries').oneOf(['counted', 'one-shot']),
    armingSurvivesPowerOff: control.at('armingSurvivesPowerOff').boolean(),
    ...(starts === undefined ? {} : { confirmedStarts: starts }),
    timeLimitSeconds: timeLimit(control),
  };
}

function readSelfTest(selfTest: ConfigField): AgentConfig['selfTest'] {
  selfTest.object(['tests', 'builtInTimeLimitSeconds']);
  const names = new Set<string>();
  const tests = selfTest
    .at('tests')
    .list(testsMax)
    .map((test) => {
      test.object(['name', 'command', 'critical', 'timeLimitSeconds']);
      const name = test.at('name').matching(nameForm, nameExpected);
      if (names.has(name) || name === 'built-in') test.at('name').refuse('a name that no other test has');
      names.add(name);
      const critical = test.at('critical').boolean();
      return { name, command: test.at('command').command(), critical, timeLimitSeconds: timeLimit(test) };
    });
  const builtIn = selfTest.optional('builtInTimeLimitSeconds', (field) =>
    field.integer(1, programSecondsMax, 'seconds'),
  );
  return { tests, builtInTimeLimitSeconds: builtIn ?? programSecondsDefault };
}

function readDataHooks(hooks: ConfigField): NonNullable<AgentConfig['dataHooks']> {
  hooks.object(['prepare', 'commit', 'revert', 'timeLimitSeconds']);
  return {
    prepare: hooks.at('prepare').command(),
    commit: hooks.at('commit').command(),
    revert: hooks.at('revert').command(),
    timeLimitSeconds: timeLimit(hooks),
  };
}

function readTpm(tpm: ConfigField): NonNullable<AgentConfig['tpm']> {
  tpm.object(['index', 'tcti', 'timeLimitSeconds']);
  const limit = tpm.optional('timeLimitSeconds', (field) => field.integer(1, programSecondsMax, 'seconds'));
  const tcti = tpm.optional('tcti', (field) =>
    field.matching(
      /^[a-z][a-z0-9-]*(:[^\u0000-\u001f]{1,200})?$/,
      'a TCTI of tpm2-tools such as device:/dev/tpmrm0',
    ),
  );
  return {
    index: tpm
      .at('index')
      .matching(/^0x01[0-9a-f]{6}$/, 'an NV index such as 0x01800010 (0x01 and six digits)'),
    // With the kernel's resource manager other programs may use the TPM beside the agent.
    tcti: tcti ?? 'device:/dev/tpmrm0',
    timeLimitSeconds: limit ?? tpmSecondsDefault,
  };
}

/** There is no default, and none in the template: started by hand on a desk, the agent would restart that machine. */
function readReboot(reboot: ConfigField): AgentConfig['reboot'] {
  if (!reboot.isObject()) {
    reboot.refuse('{"command": [PROGRAM, ...]}, the program that restarts this device and no other machine');
  }
  return { command: reboot.object(['command']).at('command').command() };
}

/** Names only: `+01:00` knows no summer time, and a window would move by an hour for half of the year. */
function readTimeZone(field: ConfigField): string {
  const expected = 'the IANA name of a time zone such as Europe/Berlin';
  const name = field.matching(/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/, expected);
  try {
    // The one check that counts: the same library reads the windows.
    Intl.DateTimeFormat('en-US', { timeZone: name });
    return name;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return field.refuse(expected);
  }
}

function timeLimit(field: ConfigField): number {
  const limit = field.optional('timeLimitSeconds', (entry) => entry.integer(1, programSecondsMax, 'seconds'));
  return limit ?? programSecondsDefault;
}

const limitsDefault: AgentLimits = {
  attemptsPerReleaseMax: attemptsPerReleaseDefault,
  silenceSecondsMax: silenceSecondsDefault,
  trialTries: trialTriesDefault,
};

function readLimits(limits: ConfigField): AgentLimits {
  limits.object(['bytesPerSecondMax', 'window', 'attemptsPerReleaseMax', 'silenceSecondsMax', 'trialTries']);
  // Below 1 kB/s the smallest image would take days and every idle limit would strike first.
  const rate = limits.optional('bytesPerSecondMax', (field) =>
    field.integer(1000, 2 ** 40, 'bytes per second'),
  );
  const window = limits.optional('window', (field) => {
    field.object(['fromMinute', 'toMinute', 'days']);
    const days = field
      .at('days')
      .list(7)
      .map((day) => day.integer(0, 6));
    if (days.length === 0) field.at('days').refuse('at least one day, 0 (Sunday) to 6');
    const fromMinute = field.at('fromMinute').integer(0, 1439, 'minutes');
    const toMinute = field.at('toMinute').integer(0, 1440, 'minutes');
    // `[from, from)` never opens: a device that is never updated, and a mistake for "the whole day".
    if (toMinute === fromMinute) {
      field.at('toMinute').refuse('another minute than fromMinute (the whole day is 0 to 1440)');
    }
    return { fromMinute, toMinute, days };
  });
  const count = (name: string, max: number, unit = ''): number | undefined =>
    limits.optional(name, (field) => field.integer(1, max, unit));
  return {
    ...(rate === undefined ? {} : { bytesPerSecondMax: rate }),
    ...(window === undefined ? {} : { window }),
    attemptsPerReleaseMax: count('attemptsPerReleaseMax', 100) ?? limitsDefault.attemptsPerReleaseMax,
    silenceSecondsMax:
      count('silenceSecondsMax', 3660 * daySeconds, 'seconds') ?? limitsDefault.silenceSecondsMax,
    trialTries: count('trialTries', 16) ?? limitsDefault.trialTries,
  };
}
