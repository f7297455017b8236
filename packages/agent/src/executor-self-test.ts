/**
 * The self-test of a trial: the integrator's programs, then the built-in test that reaches the server.
 *
 * Keeps true: a critical failure, a time-out, a hang or a crash of the tests fails the trial (REQ-OTA-VERIFY-02); a
 * release that cuts the device off is not confirmed (REQ-OTA-VERIFY-05), unless the server could not be reached
 * before the restart either - then the built-in test is waived and the waiver logged.
 */
import type { Manifest } from '@airlock/trust';
import type { MachineEvent } from './core/effects.ts';
import type { Attempt } from './core/record.ts';
import { backoffSeconds } from './core/schedule.ts';
import { messageOf } from './core/operating-error.ts';
import { TransportError } from './ports/platform.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

/** The port keeps the limit itself; a port that hangs is given so much more. */
export const hangSecondsMax = 30;
/** Between two tries to reach the server. */
const reachBackoff = { secondsMin: 1, secondsMax: 10 };

export interface SelfTestContext {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
  /** One conditional request to the server; throws TransportError. */
  reachServer(): Promise<void>;
  log(code: 'OTA_SELFTEST_WAIVED', reason: string): Promise<void>;
}

/** `passed` or `fail`. Throws nothing that a test does. */
export async function runSelfTest(
  context: SelfTestContext,
  attempt: Attempt,
  manifest: Manifest,
): Promise<MachineEvent> {
  const failure = (await runPrograms(context, manifest)) ?? (await runBuiltIn(context, attempt));
  return failure === undefined
    ? { kind: 'passed' }
    : { kind: 'fail', code: 'OTA_FAIL_SELFTEST', reason: failure };
}

async function runPrograms(context: SelfTestContext, manifest: Manifest): Promise<string | undefined> {
  const { clock, selfTest } = context.ports;
  const { timeLimitSeconds, critical } = manifest.selfTest;
  const calledOff = new AbortController();
  const hang = clock
    .sleep((timeLimitSeconds + hangSecondsMax) * 1000, calledOff.signal)
    .then(() => 'hung' as const);
  try {
    const result = await Promise.race([selfTest.run({ critical, timeLimitSeconds }), hang]);
    if (result === 'hung') return `the tests did not end within ${timeLimitSeconds} s`;
    if (result.passed) return undefined;
    return `test ${result.failed ?? 'unknown'}: ${result.reason ?? 'failed'}`;
  } catch (error) {
    return `the tests could not be run: ${messageOf(error)}`;
  } finally {
    calledOff.abort();
  }
}

async function runBuiltIn(context: SelfTestContext, attempt: Attempt): Promise<string | undefined> {
  const { clock, random } = context.ports;
  const limitMs = context.settings.builtInTimeLimitSeconds * 1000;
  const begunMs = clock.monotonicMs();
  let fault = '';
  for (let tries = 1; ; tries += 1) {
    try {
      await context.reachServer();
      return undefined;
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      fault = `${error.code}: ${error.message}`;
    }
    const leftMs = limitMs - (clock.monotonicMs() - begunMs);
    if (leftMs <= 0) break;
    // At least 0.1 s: full jitter may draw nothing, and a refused connection costs nothing either.
    const waitMs = Math.max(100, backoffSeconds(tries, reachBackoff, random.fraction()) * 1000);
    await clock.sleep(Math.min(waitMs, leftMs));
  }
  if (attempt.serverReached === false) {
    await context.log('OTA_SELFTEST_WAIVED', `built-in: ${fault}`);
    return undefined;
  }
  return `test built-in: the server was not reached: ${fault}`;
}
