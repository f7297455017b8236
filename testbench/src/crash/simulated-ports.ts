/**
 * The ports of one simulated boot, over the disk of the run: platform, clock, hooks, counter, server.
 *
 * They answer as the environment says, and hold against the agent what it must not do (`simulated-leave.ts`). What a
 * boot is, and when it is over, is `device.ts`'s.
 */
import type { AgentPorts, BootControl } from '@airlock/agent';
import type { GroupLetter } from '@airlock/trust';
import { seededSigner } from '../paper-company.ts';
import type { StepTold } from './agent-sources.ts';
import type { CrashDisk } from './crash-disk.ts';
import type { BootEnd, BootOptions, NodeState } from './boot-types.ts';
import { dataGuardOf } from './hooks.ts';
import { contentAt } from './medium.ts';
import { newest, recordCopies } from './reading.ts';
import { LeaveHeld } from './simulated-leave.ts';
import { transportOf } from './simulated-server.ts';
import { bootPath, slotPath, start } from './world.ts';

const logSigner = seededSigner('log key of the device');

/** One start of the kernel and what it runs on. */
export interface Life {
  readonly disk: CrashDisk;
  readonly boot: NonNullable<NodeState['boot']>;
  readonly serial: number;
  readonly tpm: { counter: number | undefined };
  /** Before the words of each step: whose it is, by the letters of docs/write-order.md. */
  readonly place: { step: string; proven: boolean };
}

export interface SimulatedClock {
  now(): number;
  monotonicMs(): number;
  pass(ms: number): void;
}

/** A boot is over within the life of a timestamp: one bucket of time for all of it. */
const tenYears = 10 * 365 * 24 * 3600;
const timeOf = {
  right: start + 10,
  'ten years ahead': start + tenYears,
  'ten years pass while images are proven': start + 10,
  '1970': 0,
} as const;

export function simulatedClock({ environment }: BootOptions, place: Life['place']): SimulatedClock {
  let monotonic = 0;
  const passed = (): number =>
    place.proven && environment.clock === 'ten years pass while images are proven' ? tenYears : 0;
  return {
    now: () => timeOf[environment.clock] + passed(),
    monotonicMs: () => monotonic + 1000 * passed(),
    pass: (ms) => {
      monotonic += ms;
    },
  };
}

interface PortsContext extends Life {
  readonly options: BootOptions;
  readonly clock: SimulatedClock;
  readonly leave: LeaveHeld;
  readonly end: (end: BootEnd) => void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export function portsOf(given: Omit<PortsContext, 'leave'>): AgentPorts & StepTold {
  const leave = new LeaveHeld(given.disk, given.options.world);
  const context = { ...given, leave };
  const { disk, boot, serial, options, clock, end, place } = context;
  const { environment, agent, world } = options;
  const { options: fixed } = world;
  const port = disk.port();
  let drawn = 0;
  const hung = Promise.withResolvers<void>();
  return {
    tellStep: (letters) => {
      place.step = letters === undefined ? '' : `${letters}: `;
      place.proven ||= letters === 'activate.a';
    },
    disk: port,
    bootControl: bootControlOf(
      agent.bootFileControl({ disk: port, path: bootPath, starts: fixed.confirmedStarts }),
      context,
    ),
    platform: {
      bootedGroup: boot.group,
      bootId: boot.id,
      reboot: async () => {
        leave.restarting(boot.group);
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
    interlock: interlockOf(context),
    selfTest: selfTestOf(context, hung.resolve),
    dataGuard: dataGuardOf(port, fixed.dataHooks, environment),
    floorStore: floorStoreOf(context),
    secureBoot: { trustedKeys: async () => undefined, bootloaderVersion: async () => 1 },
    transport: transportOf(options, leave),
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

function interlockOf({ options, leave }: PortsContext): AgentPorts['interlock'] {
  const { environment } = options;
  const asked = new Map<string, number>();
  return {
    allows: async (what) => {
      const times = (asked.get(what) ?? 0) + 1;
      asked.set(what, times);
      const { interlock } = environment;
      // Once before the group is armed, once after: what is asked the second and the third time in an activation.
      const takenBack = interlock === 'changes its mind' && what === 'reboot' && [2, 0].includes(times % 5);
      const allowed = interlock !== 'no' && !takenBack;
      leave.said(what, allowed);
      return allowed ? { allowed } : { allowed, reason: `busy: ${what}` };
    },
    consents: async () => {
      const given = environment.consent === 'given';
      leave.consented(given);
      return given ? { operator: 'nurse-1' } : undefined;
    },
    tell: async () => undefined,
  };
}

/** The counter of a TPM: each increment is durable at once, and a moment at which power may go. */
function floorStoreOf({ tpm, boot, disk, options, place }: PortsContext): AgentPorts['floorStore'] {
  if (tpm.counter === undefined) return { kind: 'record' };
  return {
    kind: 'tpm',
    read: async () => {
      if (options.environment.tpm !== 'works') throw new Error('the TPM does not answer');
      return tpm.counter ?? 0;
    },
    increment: async () => {
      if (options.environment.tpm !== 'works') throw new Error('the TPM does not answer');
      tpm.counter = (tpm.counter ?? 0) + 1;
      options.observe(`${place.step}increment of the counter`, {
        disk: disk.state(),
        boot,
        counter: tpm.counter,
      });
    },
  };
}

function bootControlOf(file: BootControl, { options, clock, leave }: PortsContext): BootControl {
  const { tries, armingSurvivesPowerOff } = options.world.options;
  return {
    ...file,
    tries,
    armingSurvivesPowerOff,
    arm: async (group, count) => {
      leave.arming(clock.now() < start + tenYears);
      await file.arm(group, count);
    },
  };
}

export function identify(disk: CrashDisk, component: string, group: GroupLetter) {
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
