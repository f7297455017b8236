/**
 * The part of the configuration about who says when: interlock, local sockets, consent.
 *
 * Keeps true: what could never be answered is refused here - an interlock over a socket that is not there, a consent
 * that nobody could give - since a device would otherwise wait for ever, on somebody's shelf.
 */
import { servicePermissions, type ServicePermission } from '@airlock/protocol';
import type { AgentConfig } from './agent-config.ts';
import type { ConfigField } from './config-field.ts';
import { consentSecondsDefault, consentSecondsMax } from './core/consent.ts';

type Service = NonNullable<AgentConfig['service']>;
type Consent = NonNullable<AgentConfig['consent']>;
type Interlock = AgentConfig['interlock'];

/** The largest id that Linux gives a user or group, but for the two that stand for nobody. */
const idMax = 2 ** 32 - 3;
const modes = { '600': 0o600, '660': 0o660, '666': 0o666 } as const;
/** That everybody on the device may read is a decision; that everybody may decide is none. */
const readOnly: ReadonlySet<ServicePermission> = new Set(['status', 'log']);

/** A device's own software answers a question at once, or is in no state to be restarted. */
const socketSecondsDefault = 10;
const socketSecondsMax = 60;

export function readService(service: ConfigField, path: (field: ConfigField) => string): Service {
  service.object(['folder', 'sockets']);
  const sockets: Partial<Record<ServicePermission, { uid: number; gid: number; mode: number }>> = {};
  const given = service.at('sockets').object(['status', 'log', 'install', 'consent', 'interlock']);
  for (const permission of servicePermissions) {
    const socket = given.optional(permission, (field) => readSocket(field, permission));
    if (socket !== undefined) sockets[permission] = socket;
  }
  return { folder: path(service.at('folder')), sockets };
}

/** Numbers, since Node resolves no names, and a name that means another user on the next image would be a hole. */
function readSocket(socket: ConfigField, permission: ServicePermission) {
  socket.object(['uid', 'gid', 'mode']);
  const mode = socket.at('mode').oneOf(readOnly.has(permission) ? ['600', '660', '666'] : ['600', '660']);
  return {
    uid: socket.at('uid').integer(0, idMax),
    gid: socket.at('gid').integer(0, idMax),
    mode: modes[mode],
  };
}

/** There is no default: that a device may restart at any moment is a decision that somebody has to write down. */
export function readInterlock(interlock: ConfigField, timeLimit: (field: ConfigField) => number): Interlock {
  if (interlock.is('none')) return 'none';
  // A text is a mistyped "none", or the template's place that nobody filled in.
  if (!interlock.isObject()) {
    interlock.refuse(
      '{"command": [PROGRAM, ...], "timeLimitSeconds": N} or {"socket": {}}, or "none" if the device may restart at any moment',
    );
  }
  interlock.object(['command', 'timeLimitSeconds', 'socket']);
  const socket = interlock.optional('socket', (field) => ({
    timeLimitSeconds:
      field
        .object(['timeLimitSeconds'])
        .optional('timeLimitSeconds', (entry) => entry.integer(1, socketSecondsMax, 'seconds')) ??
      socketSecondsDefault,
  }));
  if (socket !== undefined && !interlock.has('command')) {
    if (interlock.has('timeLimitSeconds'))
      interlock.at('timeLimitSeconds').refuse('nothing without a command');
    return { socket };
  }
  const program = { command: interlock.at('command').command(), timeLimitSeconds: timeLimit(interlock) };
  return socket === undefined ? program : { ...program, socket };
}

export function readConsent(consent: ConfigField): Consent {
  consent.object(['required', 'validSecondsMax']);
  return {
    required: consent.at('required').boolean(),
    validSecondsMax:
      consent.optional('validSecondsMax', (field) => field.integer(60, consentSecondsMax, 'seconds')) ??
      consentSecondsDefault,
  };
}

/** What each part says by itself may still not fit together. */
export function judgeService(
  config: ConfigField,
  read: {
    readonly service: Service | undefined;
    readonly interlock: Interlock;
    readonly consent: Consent | undefined;
  },
): void {
  const { service, interlock, consent } = read;
  const asked = interlock !== 'none' && 'socket' in interlock;
  const socket = service?.sockets.interlock !== undefined;
  if (asked && !socket)
    config.at('interlock').at('socket').refuse('the socket in service.sockets.interlock as well');
  if (!asked && socket)
    config
      .at('service')
      .at('sockets')
      .at('interlock')
      .refuse('"socket" in interlock as well: nobody is asked on it');
  const consents = service?.sockets.consent !== undefined || (interlock !== 'none' && 'command' in interlock);
  if (consent?.required === true && !consents)
    config
      .at('consent')
      .at('required')
      .refuse('somebody who can consent: service.sockets.consent, or an interlock program');
}
