/**
 * One boot of a simulated device: boot loader, kernel, the real agent over simulated ports, up to its restart or rest.
 *
 * A boot is a function of a node (what is durable, and whether the same boot goes on after the agent was killed), an
 * environment and whether the boot loader's count reaches the disk. Nothing but microtasks is waited for. After each
 * step that changes what a cut could leave, the observer is told.
 */
import type { AgentPorts, BootControl, PollOutcome } from '@airlock/agent';
import { decodeBootFile, encodeBootCopy, bootCopySpacingBytes, bootFileBytes } from '@airlock/agent';
import type { GroupLetter } from '@airlock/trust';
import { seededSigner } from '../paper-company.ts';
import { decideBoot } from '../virtual-device/boot-loader.ts';
import type { AgentModule } from './agent-module.ts';
import type { StepTold } from './agent-sources.ts';
import { CrashDisk, type DiskOptions, type DiskState } from './crash-disk.ts';
import { bytesOf, contentAt } from './medium.ts';
import type { Environment } from './environment.ts';
import { dataGuardOf } from './hooks.ts';
import { newest, recordCopies } from './reading.ts';
import { transportOf } from './simulated-server.ts';
import { bootPath, slotPath, start, stateFolder, type World } from './world.ts';

/** Everything from which a device goes on. */
export interface NodeState {
  readonly disk: DiskState;
  /** The boot that goes on, when only the agent was killed; undefined: the boot loader comes next. */
  readonly boot: { readonly group: GroupLetter; readonly id: string } | undefined;
  /** Counts boots and attempts, so that no id comes twice on one way through the graph. */
  readonly serial: number;
  /** The counter of the TPM; undefined where there is none. */
  readonly counter: number | undefined;
}

export type BootEnd =
  /** The agent restarted the device, or a watchdog did before the agent ran. */
  | { readonly kind: 'restart' }
  /** The agent was killed, and the same boot goes on. */
  | { readonly kind: 'killed' }
  /** Nothing more to do for now. */
  | { readonly kind: 'rest'; readonly outcome: PollOutcome };

export interface Boot {
  readonly end: BootEnd;
  /** As it is left when nothing was lost. */
  readonly after: NodeState;
}

/** What a cut or a kill at this moment is about. */
export interface Moment extends Pick<NodeState, 'boot' | 'counter'> {
  readonly disk: DiskState;
}

export interface BootOptions {
  readonly world: World;
  readonly agent: AgentModule;
  /** The agent that the target release brings; undefined: the same one. */
  readonly nextAgent?: AgentModule;
  readonly environment: Environment;
  /** Told after each step; `agentRuns`: a kill of the agent alone is possible now. */
  readonly observe: (step: string, now: Moment) => void;
  readonly fault?: DiskOptions['fault'];
}

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
const logSigner = seededSigner('log key of the device');

export async function bootOnce(node: NodeState, options: BootOptions): Promise<Boot> {
  const { world, agent, environment } = options;
  const fault = options.fault ?? recordFault(options);
  const slots = slotsOf(world, ['A', 'B']);
  let current: NodeState['boot'] = node.boot;
  const running = new Set<string>();
  const tpm = { counter: node.counter };
  const place = { step: 'boot loader: ' };
  const disk = new CrashDisk(node.disk, {
    agent,
    slots,
    running,
    observe: (step) =>
      options.observe(`${place.step}${step}`, { disk: disk.state(), boot: current, counter: tpm.counter }),
    fault,
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

/** The one fault of the medium that an environment has. */
function recordFault({ environment, agent }: BootOptions): NonNullable<DiskOptions['fault']> {
  const record = `${stateFolder}/record`;
  return (operation, path, disk) => {
    if (operation !== 'flush' || path !== record || environment.recordDisk === 'sound') return undefined;
    disk.loseWrites(path, () => false);
    throw new agent.DiskError('OTA_DISK_WRITE', path, 'the record takes no flush');
  };
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

/** One start of the kernel and what it runs on. */
interface Life {
  readonly disk: CrashDisk;
  readonly boot: NonNullable<NodeState['boot']>;
  readonly serial: number;
  readonly tpm: { counter: number | undefined };
  /** Before the words of each step: whose it is, by the letters of docs/write-order.md. */
  readonly place: { step: string };
}

async function live(given: Life, options: BootOptions): Promise<BootEnd> {
  const { world } = options;
  const { promise: ended, resolve: end } = Promise.withResolvers<BootEnd>();
  const clock = simulatedClock(options.environment);
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
    return { kind: 'rest', outcome };
  };
  return await Promise.race([life(), ended]);
}

interface SimulatedClock {
  now(): number;
  monotonicMs(): number;
  pass(ms: number): void;
}

/** A boot is over within the life of a timestamp: one bucket of time for all of it. */
const timeOf = { right: start + 10, 'ten years ahead': start + 10 * 365 * 24 * 3600, '1970': 0 } as const;

function simulatedClock(environment: Environment): SimulatedClock {
  let monotonic = 0;
  return {
    now: () => timeOf[environment.clock],
    monotonicMs: () => monotonic,
    pass: (ms) => {
      monotonic += ms;
    },
  };
}

/** Each group's image brings its own agent: from version `nextFrom` on it is the next one. */
function agentOf({ disk, boot }: Life, { agent, nextAgent, world }: BootOptions): AgentModule {
  if (nextAgent === undefined) return agent;
  const [component] = world.options.components;
  const version = identify(disk, component ?? '', boot.group)?.version ?? 0;
  return version >= world.target ? nextAgent : agent;
}

interface PortsContext extends Life {
  readonly options: BootOptions;
  readonly clock: SimulatedClock;
  readonly end: (end: BootEnd) => void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

function portsOf(context: PortsContext): AgentPorts & StepTold {
  const { disk, boot, serial, options, clock, end, place } = context;
  const { environment, agent, world } = options;
  const { options: fixed } = world;
  const port = disk.port();
  let drawn = 0;
  const hung = Promise.withResolvers<void>();
  const asked = new Map<string, number>();
  return {
    tellStep: (letters) => {
      place.step = letters === undefined ? '' : `${letters}: `;
    },
    disk: port,
    bootControl: bootControlOf(
      agent.bootFileControl({ disk: port, path: bootPath, starts: fixed.confirmedStarts }),
      world,
    ),
    platform: {
      bootedGroup: boot.group,
      bootId: boot.id,
      reboot: async () => {
        const { restart } = environment;
        if (restart === 'fails') throw new Error('the restart command failed');
        if (restart === 'works') end({ kind: 'restart' });
        else hung.resolve();
        return await never<never>();
      },
    },
    clock: {
      now: () => clock.now(),
      monotonicMs: () => clock.monotonicMs(),
      sleep: async (ms, signal) => {
        // With a signal it is a time limit: it is reached only where something hangs.
        if (signal !== undefined) await hung.promise;
        clock.pass(ms);
      },
    },
    random: {
      bytes: (count) => {
        drawn += 1;
        const view = new Uint8Array(count);
        new DataView(view.buffer).setUint32(0, serial);
        new DataView(view.buffer).setUint32(4, drawn);
        return view;
      },
      fraction: () => 0.5,
    },
    interlock: {
      allows: async (what) => {
        const times = (asked.get(what) ?? 0) + 1;
        asked.set(what, times);
        const { interlock } = environment;
        // Once before the group is armed, once after: what is asked the second and the third time in an activation.
        const takenBack = interlock === 'changes its mind' && what === 'reboot' && [2, 0].includes(times % 5);
        return interlock === 'no' || takenBack
          ? { allowed: false, reason: `busy: ${what}` }
          : { allowed: true };
      },
      consents: async () => ({ operator: 'nurse-1' }),
      tell: async () => undefined,
    },
    selfTest: selfTestOf(context, hung.resolve),
    dataGuard: dataGuardOf(port, fixed.dataHooks, environment),
    floorStore: floorStoreOf(context),
    secureBoot: { trustedKeys: async () => undefined, bootloaderVersion: async () => 1 },
    transport: transportOf(options),
    identity: { identify: async (component, group) => identify(disk, component, group) },
    logSigner,
  };
}

function selfTestOf({ disk, options, end }: PortsContext, hang: () => void): AgentPorts['selfTest'] {
  return {
    run: async () => {
      const { selfTest } = options.environment;
      // The trial's count is its first act: a self-test that kills the device must not run for ever.
      const record = newest(recordCopies(disk.state().durable));
      if (record?.state !== 'Trial')
        throw disk.wrong(`the self-test runs while the record says ${record?.state}`);
      if (selfTest === 'kill') end({ kind: 'killed' });
      if (selfTest === 'hang') hang();
      if (selfTest === 'hang' || selfTest === 'kill') return await never();
      return selfTest === 'pass'
        ? { passed: true, tests: [] }
        : { passed: false, tests: [], failed: 'motor', reason: 'it does not turn' };
    },
  };
}

/** The counter of a TPM: each increment is durable at once, and a moment at which power may go. */
function floorStoreOf({ tpm, boot, disk, options, place }: PortsContext): AgentPorts['floorStore'] {
  if (tpm.counter === undefined) return { kind: 'record' };
  return {
    kind: 'tpm',
    read: async () => tpm.counter ?? 0,
    increment: async () => {
      tpm.counter = (tpm.counter ?? 0) + 1;
      options.observe(`${place.step}increment of the counter`, {
        disk: disk.state(),
        boot,
        counter: tpm.counter,
      });
    },
  };
}

function bootControlOf(file: BootControl, { options }: World): BootControl {
  const { tries, armingSurvivesPowerOff } = options;
  return { ...file, tries, armingSurvivesPowerOff };
}

function identify(disk: CrashDisk, component: string, group: GroupLetter) {
  const content = contentAt(disk.live(), slotPath(component, group));
  const line =
    Buffer.from(content?.[0] ?? [])
      .toString('latin1')
      .split('\n')[0] ?? '';
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== 'object' || parsed === null || !('version' in parsed) || !('product' in parsed))
      return undefined;
    return { product: String(parsed.product), version: Number(parsed.version) };
  } catch {
    return undefined;
  }
}
