/**
 * The names of `airlock-agent-config/1`, for what an integrator gives to `device add`: pure.
 *
 * A misspelt field would be found by the agent, on a device that is registered by then and perhaps shipped. Only
 * names and nesting are judged here; the agent's own parser, which the CLI does not import, judges the values. A test
 * reads that parser's lists and compares them with these.
 */
import { fail, ok, type Result } from '@airlock/trust';

type Fields = Readonly<Record<string, unknown>>;

/** Known names by place; `*` stands for any name or position. */
export const agentConfigNames: Readonly<Record<string, readonly string[]>> = {
  '': [
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
  ],
  server: ['url', 'authorityFile', 'certificateFile', 'keyFile', 'tlsMin'],
  'slots.*': ['A', 'B'],
  identity: ['kind', 'component', 'member'],
  bootControl: [
    'kind',
    'file',
    'command',
    'tries',
    'armingSurvivesPowerOff',
    'confirmedStarts',
    'timeLimitSeconds',
  ],
  selfTest: ['tests', 'builtInTimeLimitSeconds'],
  'selfTest.tests.*': ['name', 'command', 'critical', 'timeLimitSeconds'],
  dataHooks: ['prepare', 'commit', 'revert', 'timeLimitSeconds'],
  interlock: ['command', 'timeLimitSeconds', 'socket'],
  'interlock.socket': ['timeLimitSeconds'],
  service: ['folder', 'sockets'],
  'service.sockets': ['status', 'log', 'install', 'consent', 'interlock'],
  'service.sockets.*': ['uid', 'gid', 'mode'],
  consent: ['required', 'validSecondsMax'],
  clock: ['setCommand', 'timeLimitSeconds'],
  poll: ['intervalSeconds'],
  limits: ['bytesPerSecondMax', 'window', 'attemptsPerReleaseMax', 'silenceSecondsMax', 'trialTries'],
  'limits.window': ['fromMinute', 'toMinute', 'days'],
  secureBoot: ['trustedKeys'],
  tpm: ['index', 'tcti', 'timeLimitSeconds'],
  watchdog: ['file', 'timeoutSeconds'],
  reboot: ['command'],
};

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

/** Everything that stands at a place, with its path. */
function valuesAt(value: unknown, parts: readonly string[], path = ''): (readonly [string, unknown])[] {
  const [part, ...rest] = parts;
  if (part === undefined) return [[path, value]];
  if (!isFields(value)) return [];
  const names = part === '*' ? Object.keys(value) : Object.hasOwn(value, part) ? [part] : [];
  return names.flatMap((name) => valuesAt(value[name], rest, path === '' ? name : `${path}.${name}`));
}

/** The fields of a configuration, or CLI_AGENT_CONFIG for one that the agent would refuse. `file` is its name. */
export function checkAgentConfig(value: unknown, file: string): Result<Fields> {
  if (!isFields(value) || Array.isArray(value)) {
    return fail('CLI_AGENT_CONFIG', `${file}: must be an object`, file);
  }
  for (const [place, known] of Object.entries(agentConfigNames)) {
    for (const [path, found] of valuesAt(value, place === '' ? [] : place.split('.'))) {
      if (path === 'interlock' && found === 'none') continue;
      if (!isFields(found) || Array.isArray(found)) {
        return fail('CLI_AGENT_CONFIG', `${file}: ${path} must be an object`, path);
      }
      const unknown = Object.keys(found).find((name) => !known.includes(name));
      if (unknown === undefined) continue;
      const field = path === '' ? unknown : `${path}.${unknown}`;
      const message = `${file}: ${field} is not a known field; known are ${known.join(', ')}`;
      return fail('CLI_AGENT_CONFIG', message, field);
    }
  }
  return ok(value);
}
