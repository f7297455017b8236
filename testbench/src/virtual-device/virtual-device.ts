/**
 * Virtual device: plays power supply, boot loader and kernel around a real agent process.
 *
 * It keeps true what a device's own hardware would: the boot loader's decision is durable before the start, each boot
 * has an id of its own, the agent that runs is the one in the booted group's image. A kill of the agent keeps the
 * page cache and is called `agent killed`; only a device with a volatile disk can have a `power cut`.
 * In a trial nothing but the watchdog resets it when the agent hangs or ends (`virtual-watchdog.ts`); outside one an
 * agent that ended is started again by a reset, as an init would start it.
 * It leaves to others: what the agent does, provisioning, and reading the device's log (`device-view.ts`).
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GroupLetter } from '@airlock/trust';
import { type CutPlan, removeCutPlan, scratchVariable, writeCutPlan } from '../power-cut/cut-plan.ts';
import { settle, type Settled } from '../power-cut/settle.ts';
import { type Ended, killGroup, startProcess } from '../processes.ts';
import { waitUntil } from '../waiting.ts';
import { readBootFile, writeBootFile } from './boot-file.ts';
import { decideBoot } from './boot-loader.ts';
import { bootKernel } from './kernel.ts';
import type { DeviceFolder } from './device-folder.ts';
import { VirtualWatchdog, watchdogDefault, type WatchdogSeconds } from './virtual-watchdog.ts';

/** A device that restarts more often than this in one test is in a loop that nobody meant. */
const bootsMaxDefault = 80;

/** How the agent is struck down from outside: with the power, or alone. */
export type Strike =
  /** Power gone, what was not flushed is the seed's to decide. Volatile devices only. */
  | 'power-cut'
  /** SIGKILL; a service manager starts it again in the same boot, the boot loader is not asked. */
  | 'same-boot'
  /** SIGKILL, and nothing starts it again before the device is restarted by hand. */
  | 'next-boot';

/** How one run of the agent ended; the disk has settled. */
export interface AgentStop {
  readonly kind: 'restart' | 'ended' | 'killed' | 'power-cut';
  /** The same boot goes on: the agent is started again by itself. */
  readonly sameBoot: boolean;
}

export interface LifeHooks {
  /** The boot loader has decided, the agent has not started yet. */
  readonly onStart?: (group: GroupLetter) => Promise<void> | void;
  /** An agent has ended; nothing is started before the answer. What it throws ends the device. */
  readonly onStop?: (stop: AgentStop) => Promise<void> | void;
}

export interface VirtualDeviceOptions {
  readonly name: string;
  readonly folder: DeviceFolder;
  /** Gives the agent's writes to a volatile cache; the images must then carry the agent bundled for it. */
  readonly volatile: boolean;
  /** Decides what a power cut leaves; the next cut takes the next number. */
  readonly seed: number;
  /** Absent: its default. The agent's configuration must say the same timeout. */
  readonly watchdog?: WatchdogSeconds;
  /** One line for each thing that happens to the device. */
  readonly onLine?: (line: string) => void;
  readonly bootsMax?: number;
  readonly hooks?: LifeHooks;
}

/** One boot that reached a kernel, once it is over. */
export interface Life {
  readonly group: GroupLetter;
  readonly trial: boolean;
  readonly watchdogOpened: boolean;
  /** Why the watchdog ended it; undefined: something else did. */
  readonly bitten: string | undefined;
}

type How = Ended & Pick<Life, 'bitten'> & { readonly asked: boolean };

interface Started {
  readonly group: GroupLetter;
  readonly trial: boolean;
}

export class VirtualDevice {
  readonly name: string;
  readonly folder: DeviceFolder;
  /** What every power cut left, oldest first. */
  readonly cuts: Settled[] = [];
  /** Every boot that reached a kernel and is over, oldest first. */
  readonly lives: Life[] = [];
  readonly #options: VirtualDeviceOptions;
  readonly #scratch: string;
  #powered = false;
  #life: Promise<void> | undefined;
  #failure: Error | undefined;
  #boots = 0;
  #agentPid: number | undefined;
  readonly #plans: CutPlan[] = [];
  #cutWaits = false;
  #kill: (() => void) | undefined;
  #struck: Strike | undefined;

  constructor(options: VirtualDeviceOptions) {
    this.name = options.name;
    this.folder = options.folder;
    this.#options = options;
    this.#scratch = join(options.folder.root, 'scratch');
    mkdirSync(this.#scratch, { recursive: true });
  }

  /** Number of times the boot loader started a group. */
  get boots(): number {
    return this.#boots;
  }

  /** The agent that runs now; undefined between two boots. */
  get agentPid(): number | undefined {
    return this.#agentPid;
  }

  /** Switches the device on; it boots, and boots again whenever it restarts. */
  powerOn(): void {
    if (this.#powered) return;
    this.#powered = true;
    this.#life = this.#live().catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#powered = false;
    });
  }

  /** Kills the agent; the page cache is kept, so this is no power cut. */
  async killAgent(): Promise<void> {
    this.#powered = false;
    this.#kill?.();
    await this.#life;
    this.#say('agent killed');
  }

  /** Strikes the running agent; the device goes on by itself. Nothing happens between two runs of the agent. */
  strike(how: Strike): void {
    if (how === 'power-cut' && !this.#options.volatile)
      throw new Error(`${this.name} has no volatile disk: a kill is no power cut`);
    if (this.#agentPid === undefined || this.#struck !== undefined) return;
    this.#struck = how;
    this.#kill?.();
  }

  /** Power comes and goes before the agent's first instruction: only the boot loader ran. */
  async unplugBeforeAgentStarts(): Promise<GroupLetter | undefined> {
    if (this.#powered) throw new Error(`${this.name} is running`);
    const started = await this.#bootLoader();
    this.#say('unplugged before the agent started');
    return started?.group;
  }

  /**
   * The power goes at the operations that the plans name, one after the other, and comes back at once each time.
   * The next plan is in place before the device boots again. Volatile devices only.
   */
  planCuts(plans: readonly CutPlan[]): void {
    if (!this.#options.volatile) throw new Error(`${this.name} has no volatile disk: a kill is no power cut`);
    this.#plans.push(...plans);
    this.#placeNextPlan();
  }

  /** Only this cut, and none that was planned before; undefined: no cut. */
  planOneCut(plan: CutPlan | undefined): void {
    this.#plans.length = 0;
    this.#cutWaits = false;
    removeCutPlan(this.#scratch);
    if (plan !== undefined) this.planCuts([plan]);
  }

  /** Waits until so many cuts have happened; answers what the last of them left. */
  async waitForCut(count: number, limitMs: number): Promise<Settled> {
    return await this.waitFor(`power cut ${count}`, limitMs, () => this.cuts[count - 1]);
  }

  /** Asks until the answer is defined; fails at once when the device itself failed. */
  async waitFor<T>(
    words: string,
    limitMs: number,
    ask: () => Promise<T | undefined> | T | undefined,
  ): Promise<T> {
    return await waitUntil(`${this.name}: ${words}`, limitMs, async () => {
      if (this.#failure !== undefined) throw this.#failure;
      return await ask();
    });
  }

  async #live(): Promise<void> {
    while (this.#powered) {
      const started = await this.#bootLoader();
      if (started === undefined) throw new Error(`${this.name}: no group can be started`);
      const { group, trial } = started;
      const { volatile, watchdog: seconds = watchdogDefault } = this.#options;
      const openSecondsMax = trial ? seconds.openSecondsMax : undefined;
      const { slots } = this.folder;
      const booted = await bootKernel(slots[group], group, this.folder, volatile, openSecondsMax);
      if (booted === undefined) {
        this.#say(`group ${group} holds no image that can be started`);
        continue;
      }
      const watchdog = new VirtualWatchdog({ file: this.folder.watchdogFile, seconds, trial });
      const bitten = await this.#oneBoot(group, booted.agentProgram, watchdog);
      this.lives.push({ group, trial, watchdogOpened: watchdog.opened, bitten });
    }
  }

  /** The agent, as often as it is started in one boot; answers why the watchdog ended the boot, if it did. */
  async #oneBoot(
    group: GroupLetter,
    program: string,
    watchdog: VirtualWatchdog,
  ): Promise<string | undefined> {
    const { hooks } = this.#options;
    let bitten: string | undefined;
    for (let again = true; again && this.#powered; ) {
      await hooks?.onStart?.(group);
      this.#struck = undefined;
      watchdog.goOn();
      const how = await this.#runAgent(program, watchdog);
      ({ bitten } = how);
      const stop = this.#settleAfter(how);
      await hooks?.onStop?.(stop);
      again = stop.sameBoot;
    }
    return bitten;
  }

  /** The boot loader's part: decide, make the count durable, only then start. */
  async #bootLoader(): Promise<Started | undefined> {
    this.#boots += 1;
    const { bootsMax = bootsMaxDefault } = this.#options;
    if (this.#boots > bootsMax) throw new Error(`${this.name} was started ${bootsMax} times`);
    const before = await readBootFile(this.folder.bootFile);
    if (before === undefined) throw new Error(`${this.name}: no copy of the boot-control file can be read`);
    const decision = decideBoot(before);
    await writeBootFile(this.folder.bootFile, decision.after);
    this.#say(`boot loader: ${decision.words}`);
    const { group } = decision;
    return group === undefined ? undefined : { group, trial: group === before.trial };
  }

  async #runAgent(program: string, watchdog: VirtualWatchdog): Promise<How> {
    rmSync(this.folder.rebootFile, { force: true });
    const { child, ended } = startProcess({
      command: process.execPath,
      args: [program, 'run', '--config', this.folder.configFile],
      logFile: this.folder.consoleFile,
      env: this.#options.volatile ? { [scratchVariable]: this.#scratch } : {},
    });
    this.#kill = () => killGroup(child);
    this.#agentPid = child.pid;
    let over: Ended | undefined;
    const end = ended.then((how) => (over = how));
    // The limit is a whole run of the agent: until it asks for a restart, loses power, is reset, or ended for good.
    const why = await waitUntil('the agent to end', Number.POSITIVE_INFINITY, () => {
      const asked = existsSync(this.folder.rebootFile);
      const bitten = asked ? undefined : watchdog.bite();
      const cut = this.#cutWaits && over?.signal === 'SIGKILL';
      const ownEnd = over !== undefined && (cut || this.#struck !== undefined || !watchdog.runs);
      return asked || bitten !== undefined || ownEnd || !this.#powered ? { asked, bitten } : undefined;
    });
    this.#agentPid = undefined;
    killGroup(child);
    return { ...(await end), ...why };
  }

  /** After an orderly restart or a kill the kernel has written everything; after a cut the seed decides. */
  #settleAfter(how: How): AgentStop {
    const { asked, bitten } = how;
    const own = !asked && bitten === undefined;
    const planned = this.#cutWaits && this.#powered && own && how.signal === 'SIGKILL';
    if (this.#struck === 'power-cut' || (planned && this.#struck === undefined)) {
      this.#cut();
      return { kind: 'power-cut', sameBoot: false };
    }
    settle(this.#scratch, { kind: 'keep-all' });
    // A restart that was asked for takes place, whoever is killed meanwhile.
    if (asked) this.#say('restart asked for by the agent');
    else if (bitten !== undefined) this.#say(`reset: ${bitten}`);
    else if (this.#struck !== undefined) {
      this.#say(`agent killed${this.#struck === 'same-boot' ? ' and started again' : ''}`);
      return { kind: 'killed', sameBoot: this.#struck === 'same-boot' };
    } else if (this.#powered) this.#say(`agent ended by itself (${how.signal ?? how.code}); started again`);
    else return { kind: 'killed', sameBoot: false };
    return { kind: asked ? 'restart' : 'ended', sameBoot: false };
  }

  #cut(): void {
    removeCutPlan(this.#scratch);
    this.#cutWaits = false;
    this.#placeNextPlan();
    const left = settle(this.#scratch, { kind: 'power-cut', seed: this.#options.seed + this.cuts.length });
    this.cuts.push(left);
    this.#say(
      `power cut: ${left.kept} writes kept, ${left.lost} lost, ${left.torn} torn, ` +
        `${left.namesUndone} names undone`,
    );
  }

  #placeNextPlan(): void {
    if (this.#cutWaits) return;
    const next = this.#plans.shift();
    if (next === undefined) return;
    this.#cutWaits = true;
    writeCutPlan(this.#scratch, next);
  }

  #say(line: string): void {
    this.#options.onLine?.(line);
  }
}
