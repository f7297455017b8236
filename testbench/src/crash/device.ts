/**
 * One boot of a simulated device: boot loader, kernel, the real agent over simulated ports, up to its restart or rest.
 *
 * A boot is a function of a node (what is durable, and whether the same boot goes on after the agent was killed), an
 * environment and whether the boot loader's count reaches the disk. Nothing but microtasks is waited for. After each
 * step that changes what a cut could leave, the observer is told.
 */
import type { PollOutcome } from '@airlock/agent';
import { decodeBootFile, encodeBootCopy, bootCopySpacingBytes, bootFileBytes } from '@airlock/agent';
import type { GroupLetter } from '@airlock/trust';
import { decideBoot } from '../virtual-device/boot-loader.ts';
import type { AgentModule } from './agent-module.ts';
import { CrashDisk, type DiskOperation } from './crash-disk.ts';
import { bytesOf, contentAt } from './medium.ts';
import { identify, type Life, portsOf, simulatedClock } from './simulated-ports.ts';
import type { Boot, BootEnd, BootOptions, NodeState } from './boot-types.ts';
import { bootPath, slotPath, stateFolder, type World } from './world.ts';

/** A device that can boot nothing: the worst that may happen. */
export class NothingBoots extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NothingBoots';
  }
}

/** Polls of one boot: the first may begin, the second activate, one more shows that it rests. */
const pollsMax = 3;
/** Between two polls: longer than any back-off. */
const pollMs = 7 * 3600 * 1000;

export async function bootOnce(node: NodeState, options: BootOptions): Promise<Boot> {
  const { world, agent, environment } = options;
  const slots = slotsOf(world, ['A', 'B']);
  let current: NodeState['boot'] = node.boot;
  const running = new Set<string>();
  const tpm = { counter: node.counter };
  const place = { step: 'boot loader: ', proven: false };
  const disk = new CrashDisk(node.disk, {
    agent,
    slots,
    running,
    observe: (step) =>
      options.observe(`${place.step}${step}`, { disk: disk.state(), boot: current, counter: tpm.counter }),
    fault: (operation, path, of) => {
      // The boot loader's writes are its own affair; a medium that takes none of the agent's is one environment.
      if (current !== undefined) environmentFault(options, operation, path, of);
      return options.fault?.(operation, path, of, place.step);
    },
  });
  const boot = node.boot ?? (await startGroup(disk, node.serial, options));
  place.step = '';
  const leave = (end: BootEnd, goesOn: boolean): Boot => {
    if (disk.wrongUse !== undefined) throw disk.wrongUse;
    return {
      end,
      after: {
        disk: disk.state(),
        boot: goesOn ? boot : undefined,
        serial: node.serial + 1,
        counter: tpm.counter,
      },
    };
  };
  // Only where a trial is under way: nothing else asks whether it starts.
  if (trialOf(disk) === boot.group && !environment.trialStarts) return leave({ kind: 'restart' }, false);
  current = boot;
  for (const slot of slotsOf(world, [boot.group])) running.add(slot);
  const end = await live({ disk, boot, serial: node.serial, tpm, place }, options);
  return leave(end, end.kind === 'killed');
}

/** What an environment has of a medium that fails, all through a boot. Throws what the medium answers. */
function environmentFault(
  { environment, agent }: BootOptions,
  operation: DiskOperation,
  path: string,
  disk: CrashDisk,
): void {
  const refused = (words: string): Error => new agent.DiskError('OTA_DISK_WRITE', path, words);
  if (operation === 'flush' && path === `${stateFolder}/record` && environment.recordDisk !== 'sound') {
    disk.loseWrites(path, () => false);
    throw refused('the record takes no flush');
  }
  if (operation === 'write' && path === bootPath && environment.bootDisk !== 'sound')
    throw refused('the boot control takes no write');
  const isLog = path === `${stateFolder}/log` && (operation === 'write' || operation === 'create');
  if (isLog && environment.logDisk !== 'sound') throw refused('the log takes no write');
}

function slotsOf(world: World, groups: readonly GroupLetter[]): Set<string> {
  return new Set(world.options.components.flatMap((name) => groups.map((group) => slotPath(name, group))));
}

function bootStateOf(disk: CrashDisk) {
  const content = contentAt(disk.live(), bootPath);
  return content === undefined ? undefined : decodeBootFile(bytesOf(content, 0, bootFileBytes));
}

function trialOf(disk: CrashDisk): GroupLetter | undefined {
  return bootStateOf(disk)?.state.trial;
}

/** The boot loader: chooses, counts, and writes its count into one copy after the other, as the agent does. */
async function startGroup(disk: CrashDisk, serial: number, options: BootOptions) {
  const held = bootStateOf(disk);
  if (held === undefined) throw new NothingBoots('no copy of the boot control can be read');
  const counted = options.world.options.tries === 'counted';
  const { group, after, words } = counted ? decideBoot(held.state) : oneShot(held.state);
  if (group === undefined) throw new NothingBoots(words);
  const changed = JSON.stringify(after) !== JSON.stringify(held.state);
  if (changed && options.environment.count === 'kept') {
    const bytes = encodeBootCopy({ sequence: held.sequence + 1, state: after });
    const file = await disk.port().open(bootPath);
    const places =
      held.copies[0]?.sequence === held.sequence ? [bootCopySpacingBytes, 0] : [0, bootCopySpacingBytes];
    for (const place of places) {
      await file?.write(place, bytes);
      await file?.flush();
    }
  }
  return { group, id: `boot-${serial}` };
}

/** A boot loader that starts an armed group once and forgets it. */
function oneShot(state: NonNullable<ReturnType<typeof bootStateOf>>['state']) {
  const [group] = state.order;
  const { trial, ...rest } = state;
  const after = trial === undefined ? state : { ...rest, order: state.order.filter((one) => one !== trial) };
  return { group, after, words: 'no group is in the boot order' };
}

async function live(given: Life, options: BootOptions): Promise<BootEnd> {
  const { world } = options;
  const { promise: ended, resolve: end } = Promise.withResolvers<BootEnd>();
  const clock = simulatedClock(options, given.place);
  const ports = portsOf({ ...given, options, clock, end });
  const device = agentOf(given, options).createAgent({ ports, settings: world.settings() });
  const life = async (): Promise<BootEnd> => {
    await device.boot();
    let outcome: PollOutcome = { kind: 'idle' };
    for (let poll = 0; poll < pollsMax; poll += 1) {
      outcome = await device.poll();
      if (poll > 0 && (outcome.kind === 'idle' || outcome.kind === 'refused')) break;
      clock.pass(pollMs);
    }
    return { kind: 'rest', outcome, group: given.boot.group };
  };
  return await Promise.race([life(), ended]);
}

/** Each group's image brings its own agent: from version `nextFrom` on it is the next one. */
function agentOf({ disk, boot }: Life, { agent, nextAgent, world }: BootOptions): AgentModule {
  if (nextAgent === undefined) return agent;
  const [component] = world.options.components;
  const version = identify(disk, component ?? '', boot.group)?.version ?? 0;
  return version >= world.target ? nextAgent : agent;
}
