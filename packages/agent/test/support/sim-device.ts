/**
 * A whole simulated device and its server: boot loader, disk, clock, programs - in domain verbs. Each boot gets fresh
 * ports and a fresh agent, as after a real restart; only the disk survives.
 */
import assert from 'node:assert/strict';
import type { LogEntry } from '@airlock/protocol';
import { newTrustState, parseManifest, type GroupLetter } from '@airlock/trust';
import {
  bootFileBytes,
  bootFileControl,
  createAgent,
  createBootFile,
  decodeBootFile,
  encodeBootFile,
  openEventLog,
  provisionState,
  recordStore,
  type Agent,
  type AgentPorts,
  type AgentSettings,
  type BootControl,
  type BootControlState,
  type DeviceState,
  type FloorStore,
  type PollOutcome,
} from '../../src/index.ts';
import { decodeLogCell } from '../../src/durable/log-cell.ts';
import { decodeRecord, recordCopyBytes } from '../../src/core/record-codec.ts';
import { device, imageOf, newSigner, product, start } from './sim-company.ts';
import { Power, SimDisk } from './sim-disk.ts';
import { SimTpm } from './sim-tpm.ts';
import { transportOf } from './sim-transport.ts';
import { World } from './sim-world.ts';

export { World } from './sim-world.ts';

export const bootPath = '/boot/control';
export const statePath = '/state';
export const slotPath = (component: string, group: GroupLetter): string => `/slots/${component}-${group}`;
const logSigner = newSigner();

export class SimDevice {
  readonly world: World;
  disk = new SimDisk();
  /** Survives boots and restored disks; undefined: the floor lives in the record alone. */
  tpm: SimTpm | undefined;
  power = new Power();
  agent: Agent | undefined;
  bootedGroup: GroupLetter = 'A';
  boots = 0;
  /** The agent that the booted group's image carries: another one where a test says so. */
  agentOf: (device: SimDevice) => typeof createAgent = () => createAgent;

  constructor(world: World = new World()) {
    this.world = world;
  }

  static async provisioned(world: World = new World()): Promise<SimDevice> {
    const made = new SimDevice(world);
    if (world.tpm) made.tpm = new SimTpm();
    const { company } = world;
    const disk = made.disk.port(new Power(), () => '');
    for (const component of ['app', 'rootfs']) {
      for (const group of ['A', 'B'] as const) {
        const slot = await disk.create(slotPath(component, group), 8192);
        if (group === 'A') await slot.write(0, imageOf(component, 1));
        await slot.flush();
      }
    }
    await disk.flushFolder('/slots');
    const manifestText = company.release(1);
    const manifest = parseManifest(new TextEncoder().encode(manifestText));
    const trust = newTrustState({
      identity: { product, device },
      imageRoot: company.imageRoot,
      directorRoot: company.directorRoot,
      deviceRecord: company.deviceRecord,
      builtAt: start,
    });
    assert.ok(manifest.ok && trust.ok);
    await provisionState(disk, {
      folder: statePath,
      group: 'A',
      trust: trust.value,
      manifest: manifest.value,
      manifestText,
      logCells: 64,
      floorStore: made.#floorStore(new Power()),
    });
    await createBootFile(disk, bootPath, 'A');
    made.disk.loseUnflushed();
    return made;
  }

  clone(world: World = this.world): SimDevice {
    const copy = new SimDevice(world);
    copy.disk = this.disk.clone();
    copy.tpm = this.tpm?.clone();
    copy.boots = this.boots;
    copy.agentOf = this.agentOf;
    return copy;
  }

  bootState(): BootControlState {
    const state = decodeBootFile(this.disk.bytes(bootPath) ?? new Uint8Array())?.state;
    assert.ok(state, 'the boot control is readable');
    return state;
  }

  setBootState(state: BootControlState): void {
    const bytes = this.disk.bytes(bootPath);
    assert.ok(bytes);
    const sequence = (decodeBootFile(bytes)?.sequence ?? 0) + 1;
    bytes.set(encodeBootFile({ sequence, state }), 0);
    this.disk.loseUnflushed();
    assert.equal(bytes.length, bootFileBytes);
  }

  async record(): Promise<DeviceState> {
    const held = await recordStore(
      this.disk.clone().port(new Power(), () => ''),
      statePath,
    ).read();
    assert.ok(held, 'a record is readable');
    return held.record;
  }

  async log(): Promise<readonly LogEntry[]> {
    const log = await openEventLog(
      this.disk.clone().port(new Power(), () => ''),
      statePath,
      64,
    );
    return await log.after(0, 1000);
  }

  async results(): Promise<readonly LogEntry[]> {
    return (await this.log()).filter((entry) => entry.facts?.['result'] === true);
  }

  /** The boot loader: counts down, then starts a group; the confirmed one when nothing is left. */
  startGroup(): void {
    const state = this.bootState();
    const group =
      state.order.find((entry) => (state.left[entry] ?? 0) > 0) ??
      state.order.find((entry) => entry !== state.trial);
    assert.ok(group, 'the boot loader finds a group to boot');
    const left = { ...state.left, [group]: Math.max(0, (state.left[group] ?? 0) - 1) };
    if (this.world.oneShot === undefined) this.setBootState({ ...state, left });
    else this.setBootState({ order: state.order.filter((entry) => entry !== state.trial), left });
    this.bootedGroup = group;
    this.boots += 1;
  }

  /**
   * One boot, up to its restart, its power cut, or rest after `polls` polls. `cutBefore` counts durable operations.
   * `goesOn`: only the agent starts again, in the boot that runs.
   */
  async boot(
    options: { cutBefore?: number; polls?: number; goesOn?: boolean } = {},
  ): Promise<'cut' | 'restart' | PollOutcome> {
    this.disk.loseUnflushed();
    if (options.goesOn !== true) this.startGroup();
    this.power = new Power(options.cutBefore, (name) => this.world.onStep(name));
    this.disk.running = ['app', 'rootfs'].map((component) => slotPath(component, this.bootedGroup));
    const { promise: restarted, resolve } = Promise.withResolvers<'restart'>();
    const ports = this.#ports(this.power, () => resolve('restart'));
    const agent = this.agentOf(this)({ ports, settings: this.#settings() });
    this.agent = agent;
    const life = async (): Promise<PollOutcome> => {
      await agent.boot();
      let outcome: PollOutcome = { kind: 'idle' };
      for (let poll = 0; poll < (options.polls ?? 2); poll += 1) outcome = await agent.poll();
      return outcome;
    };
    return await Promise.race([life(), this.power.lost, restarted]);
  }

  /** Boots until it comes to rest; fails when it does not within `bootsMax`. */
  async settle(bootsMax = 12): Promise<PollOutcome> {
    for (let boot = 0; boot < bootsMax; boot += 1) {
      const end = await this.boot();
      if (end !== 'restart' && end !== 'cut') return end;
    }
    return assert.fail(`no rest within ${bootsMax} boots`);
  }

  #settings(): AgentSettings {
    const components = Object.fromEntries(
      ['app', 'rootfs'].map((name) => [name, { A: slotPath(name, 'A'), B: slotPath(name, 'B') }]),
    );
    return {
      device,
      product,
      agentVersion: 'test',
      stateFolder: statePath,
      slots: { components },
      identityComponent: 'rootfs',
      fallbackAllowed: true,
      pollIntervalSeconds: 60,
      timeZone: this.world.windowTimeZone,
      attemptsPerReleaseMax: 3,
      silenceSecondsMax: 14 * 86_400,
      trialTries: 3,
      builtInTimeLimitSeconds: 20,
      ...this.world.settings,
      tuning: { logCellsMax: 64, pieceBytes: 4096, backoffSecondsMin: 0, ...this.world.settings.tuning },
    };
  }

  #floorStore(power: Power): FloorStore {
    return this.world.floorStore ?? this.tpm?.port(power) ?? { kind: 'record' };
  }

  #ports(power: Power, restart: () => void): AgentPorts {
    const { world } = this;
    const disk = this.disk.port(power, label);
    const bootId = `boot-${this.boots}`;
    const data = (name: string, answer: boolean) => async () => {
      await power.step(`data ${name}`);
      world.data.calls.push(name);
      return answer;
    };
    return {
      disk,
      bootControl: bootControlOf(world, bootFileControl({ disk, path: bootPath })),
      platform: {
        bootedGroup: this.bootedGroup,
        bootId,
        reboot: async () => {
          if (!world.restartWorks) throw new Error('the restart command failed');
          await power.step('restart');
          restart();
          // Nothing of this boot goes on.
          void power.cut();
          return await new Promise<never>(() => undefined);
        },
      },
      clock: {
        now: () => world.now,
        monotonicMs: () => world.monotonic,
        sleep: async (ms, signal) => {
          if (signal === undefined) world.monotonic += ms;
          else if (world.runWaits !== undefined) world.runWaits.push(ms);
          else if (world.limitsEnd) await endLimit(world, ms, signal);
          else await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        },
        ...clockSetOf(world),
      },
      random: { bytes: (count) => crypto.getRandomValues(new Uint8Array(count)), fraction: () => 0.5 },
      interlock: world.interlockPort ?? {
        allows: async (what) => {
          const answer = world.interlock(what);
          if (answer === 'hang') return await new Promise<never>(() => undefined);
          if (answer === 'crash') throw new Error('its program was ended by SIGSEGV');
          return answer ? { allowed: true } : { allowed: false, reason: `busy: ${what}` };
        },
        consents: async () => (world.consent ? { operator: 'nurse-1' } : undefined),
        tell: async (news, { version }) => {
          if (world.deaf) throw new Error('the interlock is deaf');
          world.told.push(`${news} ${version}`);
        },
      },
      selfTest: { run: () => world.selfTest() },
      ...(world.watchdog === undefined ? {} : { watchdog: world.watchdog }),
      dataGuard: {
        present: world.data.present,
        prepare: data('prepare', world.data.prepare),
        commit: data('commit', world.data.ends),
        revert: data('revert', world.data.ends),
      },
      floorStore: this.#floorStore(power),
      secureBoot: { trustedKeys: async () => world.secureBootKeys, bootloaderVersion: async () => 1 },
      transport: transportOf(world, power),
      identity: {
        identify: async (component, group) => {
          const bytes = this.disk.bytes(slotPath(component, group)) ?? new Uint8Array();
          const line = new TextDecoder('latin1').decode(bytes.subarray(0, bytes.indexOf(0x0a)));
          try {
            const parsed: unknown = JSON.parse(line);
            assert.ok(typeof parsed === 'object' && parsed !== null && 'version' in parsed);
            return { product, version: Number(parsed.version) };
          } catch {
            return undefined;
          }
        },
      },
      logSigner,
    };
  }
}

/** A limit ends once everything else has had its turn, as if so much time had passed. */
async function endLimit(world: World, ms: number, signal: AbortSignal): Promise<void> {
  for (let turn = 0; turn < 20 && !signal.aborted; turn += 1) await new Promise(setImmediate);
  if (!signal.aborted) world.monotonic += ms;
}

function bootControlOf(world: World, file: BootControl): BootControl {
  return {
    ...file,
    tries: world.oneShot === undefined ? 'counted' : 'one-shot',
    armingSurvivesPowerOff: world.oneShot?.survivesPowerOff ?? true,
    read: async () => {
      if (world.bootUnreadable) throw new Error('the boot control cannot be read');
      return await file.read();
    },
    disarm: async (group) => {
      if (world.disarmBroken) throw new Error('the boot control is read-only');
      await file.disarm(group);
    },
  };
}

function clockSetOf(world: World): Pick<AgentPorts['clock'], 'set'> {
  const { clockSets } = world;
  if (clockSets === undefined) return {};
  return {
    set: async (time) => {
      if (world.clockFails) throw new Error('the clock has no battery');
      clockSets.push(time);
      world.now = time;
    },
  };
}

/** Names a durable operation by what it means: the state of a record, the code of a log entry, the boot order. */
function label(op: string, path: string, bytes: Uint8Array): string {
  if (path === `${statePath}/record` && op === 'flush') {
    const copies = [0, recordCopyBytes].map((at) => decodeRecord(bytes.slice(at, at + recordCopyBytes)));
    const newest = copies.sort((a, b) => (b?.sequence ?? 0) - (a?.sequence ?? 0))[0];
    return `record ${newest?.record.state ?? 'none'}${floorMark(newest?.record)}`;
  }
  if (path === `${statePath}/log` && op === 'write')
    return `log ${decodeLogCell(bytes)?.entry.code ?? 'none'}`;
  if (path === bootPath && op === 'flush') {
    const state = decodeBootFile(bytes)?.state;
    return `boot ${state?.order.join('') ?? ''}${state?.trial === undefined ? '' : ` trial ${state.trial}`}`;
  }
  if (path.startsWith('/slots/')) return `${op} ${path}`;
  return `${op} ${path.replaceAll(/[0-9a-f]{64}/g, 'SHA')}`;
}

function floorMark(record: DeviceState | undefined): string {
  if (record?.state !== 'Confirming') return '';
  return record.floor >= (record.attempt?.version ?? 0) ? ' with floor' : '';
}
