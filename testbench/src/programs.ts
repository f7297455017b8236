/**
 * Programs that the demo's images carry beside the agent: self-test, data hooks, and agents that fail on purpose.
 *
 * Texts, not files of the repository: they are part of an image, and the virtual device runs what the image holds.
 */
import { dataHookProgram, pumpTestProgram } from './virtual-device/device-config.ts';

const passingTest = `// Stands for a test of the pump's motor: passes.
console.log('motor turns at 120 rpm');
`;

const failingTest = `// Stands for a test of the pump's motor: this version's driver is broken.
console.error('motor does not turn');
process.exit(1);
`;

const stoppingTest = `// Stands for a driver that brings the whole system to a stand: the agent is never scheduled again.
process.kill(process.ppid, 'SIGSTOP');
`;

export type SelfTestKind = 'passes' | 'fails' | 'stops-agent';

const selfTests: Readonly<Record<SelfTestKind, string>> = {
  passes: passingTest,
  fails: failingTest,
  'stops-agent': stoppingTest,
};

/** Idempotent: says in one small file what the data is prepared for. */
const dataHook = `import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
const [, , act, folder] = process.argv;
writeFileSync(join(folder, 'application-data.json'), JSON.stringify({ act }) + '\\n');
`;

/** An "agent" that ends at once: nobody opens the watchdog that the boot loader armed. */
export const brokenAgent = new TextEncoder().encode(`console.error('cannot start');\nprocess.exit(70);\n`);

export function demoPrograms(selfTest: SelfTestKind): Readonly<Record<string, string>> {
  return {
    [pumpTestProgram]: selfTests[selfTest],
    [dataHookProgram]: dataHook,
  };
}
