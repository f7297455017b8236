/**
 * The operator's consent over the local socket: checked, logged with who gave it, kept for as long as it was given.
 *
 * Keeps true: it is taken only for the release that is assigned and approved now, by its manifest's hash, so that
 * nobody consents to what they were not shown; it is logged, and counted, with the operator's id. That the id is the
 * operator's is the word of the program that may use the socket.
 */
import { fail, formatInstant, ok, type Result, type UtcSeconds } from '@airlock/trust';
import type { Agent } from './agent.ts';
import { consentSecondsDefault, type Consent, ConsentBook, type Moment } from './core/consent.ts';
import type { Interlock } from './ports/platform.ts';

export interface ConsentDesk {
  readonly consents: Interlock['consents'];
  held(manifestSha256: string): Consent | undefined;
  give(
    agent: Agent,
    given: { readonly operator: string; readonly manifestSha256: string; readonly validSeconds?: number },
  ): Promise<Result<{ readonly until: UtcSeconds }>>;
  withdraw(agent: Agent, operator: string): Promise<{ readonly withdrawn: boolean }>;
}

/** `moment`: of the agent, whose lower bound no clock that is set back goes below. */
export function consentDesk(secondsMax: number, moment: () => Moment): ConsentDesk {
  const book = new ConsentBook();
  const held = (manifestSha256: string): Consent | undefined => book.held(manifestSha256, moment());
  return {
    held,
    consents: async ({ manifestSha256 }) => {
      const consent = held(manifestSha256);
      return consent === undefined ? undefined : { operator: consent.operator, by: 'consent socket' };
    },
    async give(agent, { operator, manifestSha256, validSeconds }) {
      const seconds = validSeconds ?? Math.min(consentSecondsDefault, secondsMax);
      if (seconds > secondsMax) {
        const message = `validSeconds: expected at most ${secondsMax} s, found ${seconds}`;
        return fail('OTA_SERVICE_REQUEST', message, 'validSeconds');
      }
      const release = agent.release();
      if (release?.manifestSha256 !== manifestSha256) {
        const found = release === undefined ? 'none is assigned' : `assigned is ${release.manifestSha256}`;
        const message = `manifestSha256: expected that of the release that is assigned now; ${found}`;
        return fail('OTA_SERVICE_NOT_NOW', message, 'manifestSha256');
      }
      const consent = book.give({ operator, manifestSha256 }, seconds, moment());
      const until = formatInstant(consent.until);
      const reason = `operator ${operator} consents to version ${release.version} until ${until}`;
      await agent.note('OTA_CONSENT', reason, { operator, answer: 'yes', manifestSha256 });
      agent.wake();
      return ok({ until: consent.until });
    },
    async withdraw(agent, operator) {
      const consent = book.withdraw();
      if (consent === undefined) return { withdrawn: false };
      const { operator: giver, manifestSha256 } = consent;
      const reason = `operator ${operator} takes back the consent of ${giver}`;
      await agent.note('OTA_CONSENT', reason, { operator, answer: 'no', manifestSha256 });
      return { withdrawn: true };
    },
  };
}
