/**
 * The SelfTest port: the integrator's programs of the booted group, one after the other (REQ-OTA-VERIFY-01, -02).
 *
 * A test passes only by ending with exit code 0 within its time and within what is left of the whole run. All tests
 * run even after one has failed, so that service sees everything that is wrong. A critical test that the release
 * names and this device does not know is a failure, not an omission.
 * The built-in test that reaches the server is the core's own.
 */
import type { SelfTestResult } from '@airlock/protocol';
import type { Clock, SelfTest } from '../ports/platform.ts';
import { failureOf, runProgram } from './programs.ts';

export interface SelfTestProgram {
  readonly name: string;
  readonly command: readonly string[];
  /** A failed critical test rolls back; another one is only logged. */
  readonly critical: boolean;
  readonly timeLimitSeconds: number;
}

type TestResult = SelfTestResult['tests'][number] & { readonly reason?: string };

export function programSelfTest(programs: readonly SelfTestProgram[], clock: Clock): SelfTest {
  return {
    run: async ({ critical, timeLimitSeconds }) => {
      const deadlineMs = clock.monotonicMs() + timeLimitSeconds * 1000;
      const results: TestResult[] = [];
      for (const program of programs) {
        const isCritical = program.critical || critical.includes(program.name);
        results.push(await runOne({ ...program, critical: isCritical }, clock, deadlineMs));
      }
      for (const name of critical) {
        if (programs.some((program) => program.name === name)) continue;
        const reason = 'the release names this test as critical, and the device does not know it';
        results.push({ name, critical: true, outcome: 'missing', durationMs: 0, reason });
      }
      return summary(results);
    },
  };
}

async function runOne(test: SelfTestProgram, clock: Clock, deadlineMs: number): Promise<TestResult> {
  const begunMs = clock.monotonicMs();
  const leftSeconds = (deadlineMs - begunMs) / 1000;
  const { name, critical } = test;
  if (leftSeconds <= 0) {
    const reason = 'no time was left for it within the limit of the whole self-test';
    return { name, critical, outcome: 'timed-out', durationMs: 0, reason };
  }
  const timeLimitSeconds = Math.min(test.timeLimitSeconds, leftSeconds);
  const outcome = await runProgram({
    command: test.command,
    timeLimitSeconds,
    variables: { AIRLOCK_TEST: name },
  });
  const durationMs = Math.round(clock.monotonicMs() - begunMs);
  const reason = failureOf(outcome, timeLimitSeconds);
  if (reason === undefined) return { name, critical, outcome: 'passed', durationMs };
  const kind = outcome.kind === 'timed-out' || outcome.kind === 'missing' ? outcome.kind : 'failed';
  return { name, critical, outcome: kind, durationMs, reason };
}

function summary(results: readonly TestResult[]): SelfTestResult {
  const failed = results.find((result) => result.critical && result.outcome !== 'passed');
  const tests = results.map(({ name, critical, outcome, durationMs }) => ({
    name,
    critical,
    outcome,
    durationMs,
  }));
  if (failed === undefined) return { passed: true, tests };
  return { passed: false, failed: failed.name, reason: `${failed.name} ${failed.reason ?? 'failed'}`, tests };
}
