/**
 * Which files and programs of the configuration are not there, each with its field.
 *
 * Provisioning refuses what is missing, since the factory can still mend it. A start only tells of it: an agent that
 * ended here could neither end a trial whose image lacks a self-test (the missing program fails it), nor ever take
 * the release that brings the program back.
 */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { GroupLetter } from '@airlock/trust';
import { commandFor, searchPath } from './adapters/programs.ts';
import type { AgentConfig } from './config.ts';

export interface Missing {
  /** One line: the field, the path, what was expected there. */
  readonly message: string;
  readonly field: string;
  /** The path depends on the group, so that it may come with an image that is not mounted yet. */
  readonly inGroup: boolean;
}

/** Slots, then programs. `group` is what `{group}` stands for. */
export async function missingFiles(config: AgentConfig, group: GroupLetter): Promise<readonly Missing[]> {
  const found: Missing[] = [];
  for (const [component, pair] of Object.entries(config.slots)) {
    for (const letter of ['A', 'B'] as const) {
      const why = await notASlot(pair[letter]);
      if (why === undefined) continue;
      const field = `slots.${component}.${letter}`;
      const message = `${field}: ${pair[letter]}: expected a block device or a file, ${why}`;
      found.push({ message, field, inGroup: false });
    }
  }
  for (const [field, command] of programsOf(config)) {
    const [template = ''] = command;
    const [program = ''] = commandFor([template], group);
    if (await isProgram(program)) continue;
    const message = `${field}: ${program}: expected a program that the agent may run, found none`;
    found.push({ message, field, inGroup: template.includes('{group}') });
  }
  return found;
}

function programsOf(config: AgentConfig): readonly (readonly [string, readonly string[]])[] {
  const { selfTest, dataHooks, interlock, clock, bootControl, reboot } = config;
  const programs: (readonly [string, readonly string[]])[] = selfTest.tests.map(
    ({ command }, index) => [`selfTest.tests[${index}].command`, command] as const,
  );
  if (dataHooks !== undefined) {
    for (const name of ['prepare', 'commit', 'revert'] as const) {
      programs.push([`dataHooks.${name}`, dataHooks[name]]);
    }
  }
  if (interlock !== 'none' && 'command' in interlock) programs.push(['interlock.command', interlock.command]);
  if (clock !== undefined) programs.push(['clock.setCommand', clock.setCommand]);
  if (bootControl.kind === 'command') programs.push(['bootControl.command', bootControl.command]);
  programs.push(['reboot.command', reboot.command]);
  return programs;
}

/** Why the path is no slot; nothing is opened, since a slot of the running group may be mounted. */
async function notASlot(path: string): Promise<string | undefined> {
  try {
    const facts = await stat(path);
    return facts.isFile() || facts.isBlockDevice() ? undefined : 'found something else';
  } catch (error) {
    return `found none (${error instanceof Error && 'code' in error ? String(error.code) : 'it cannot be read'})`;
  }
}

async function isProgram(program: string): Promise<boolean> {
  const places = program.includes('/') ? [program] : searchPath().map((folder) => join(folder, program));
  for (const place of places) {
    const usable = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (usable) return true;
  }
  return false;
}
