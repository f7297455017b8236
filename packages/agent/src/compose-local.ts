/**
 * Puts together who says when: the interlock by program and by socket, and the consent of the operator.
 *
 * It decides nothing: of two interlocks both must say yes, and a consent comes from the socket where there is one.
 */
import { everyInterlock, programInterlock } from './adapters/interlock.ts';
import { commandFor } from './adapters/programs.ts';
import { interlockClients, type InterlockClients } from './adapters/socket-interlock.ts';
import type { AgentConfig } from './config.ts';
import { consentSecondsDefault, type Moment } from './core/consent.ts';
import type { Interlock } from './ports/platform.ts';
import { systemClock } from './adapters/platform.ts';
import { consentDesk, type ConsentDesk } from './service-consent.ts';

export interface LocalParts {
  readonly clients: InterlockClients;
  readonly desk: ConsentDesk;
  /** The agent's reference time, once there is an agent. */
  setMoment(moment: () => Moment): void;
}

export function localParts({ interlock, consent }: AgentConfig): LocalParts {
  let moment = (): Moment => ({ now: systemClock.now(), monotonicMs: systemClock.monotonicMs() });
  return {
    clients: interlockClients(
      interlock !== 'none' && interlock.socket !== undefined ? interlock.socket.timeLimitSeconds : 0,
    ),
    desk: consentDesk(consent?.validSecondsMax ?? consentSecondsDefault, () => moment()),
    setMoment: (next) => {
      moment = next;
    },
  };
}

/** The interlock is the device's own: it does not come with a group, but `{group}` may stand in its command. */
export function interlockOf(config: AgentConfig, group: string, { clients, desk }: LocalParts): Interlock {
  const { interlock, service } = config;
  const program =
    interlock === 'none' || !('command' in interlock)
      ? undefined
      : programInterlock({
          command: commandFor(interlock.command, group),
          timeLimitSeconds: interlock.timeLimitSeconds,
        });
  const socket = interlock !== 'none' && interlock.socket !== undefined ? clients.interlock : undefined;
  const consenting = service?.sockets.consent === undefined ? (program ?? programInterlock('none')) : desk;
  // The socket last: its answer is there at once, and that of a program may be seconds old by then.
  const asked = [program, socket].flatMap((one) => (one === undefined ? [] : [one]));
  const every = asked.length === 0 ? programInterlock('none') : everyInterlock(asked);
  return {
    allows: async (what, release) => await every.allows(what, release),
    tell: async (news, release) => await every.tell(news, release),
    consents: async (release) => await consenting.consents(release),
  };
}

/** The longest that asking, or telling, may take. */
export function interlockSecondsOf(interlock: AgentConfig['interlock']): number {
  if (interlock === 'none') return 0;
  const program = 'command' in interlock ? interlock.timeLimitSeconds : 0;
  return program + (interlock.socket?.timeLimitSeconds ?? 0);
}
