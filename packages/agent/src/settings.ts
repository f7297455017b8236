/**
 * What `createAgent` is given: the ports to act through, and the settings that hold for a device's life.
 *
 * Plain values: the configuration's parser makes the settings, a test or the crash explorer writes them by hand.
 * Every default is argued where it stands.
 */
import type { Assignment, Signer } from '@airlock/trust';
import type { BootControl } from './ports/boot-control.ts';
import type { Disk } from './ports/disk.ts';
import type {
  Clock,
  DataGuard,
  FloorStore,
  Interlock,
  Platform,
  Random,
  SecureBoot,
  SelfTest,
  Transport,
  Watchdog,
} from './ports/platform.ts';
import type { ImageIdentity, SlotLayout } from './ports/slots.ts';

export interface AgentPorts {
  readonly disk: Disk;
  readonly bootControl: BootControl;
  readonly platform: Platform;
  readonly clock: Clock;
  readonly random: Random;
  readonly interlock: Interlock;
  readonly selfTest: SelfTest;
  /** Absent: nothing ends a trial whose agent hangs. */
  readonly watchdog?: Watchdog;
  readonly dataGuard: DataGuard;
  readonly floorStore: FloorStore;
  readonly secureBoot: SecureBoot;
  readonly transport: Transport;
  readonly identity: ImageIdentity;
  /** The device's log key: signs reports and log heads. */
  readonly logSigner: Signer;
}

export interface AgentSettings {
  readonly device: string;
  readonly product: string;
  /** Version text of this agent, for reports. */
  readonly agentVersion: string;
  readonly stateFolder: string;
  readonly slots: SlotLayout;
  /** Component whose image bears product and version; asked only when the record was lost. */
  readonly identityComponent: string;
  /** Whether the older group stays bootable after a confirmation. */
  readonly fallbackAllowed: boolean;
  readonly pollIntervalSeconds: number;
  readonly bytesPerSecondMax?: number;
  readonly window?: NonNullable<Assignment['window']>;
  /** IANA name; windows are read in it. */
  readonly timeZone: string;
  readonly attemptsPerReleaseMax: number;
  readonly silenceSecondsMax: number;
  readonly trialTries: number;
  readonly builtInTimeLimitSeconds: number;
  /** Whether the operator's consent is asked for whatever the assignment says. */
  readonly consentRequired?: boolean;
  /** How long the interlock may take, by its own limit; the port that hangs is given a little more. */
  readonly interlockSecondsMax?: number;
  /** How long a trial may take beside its self-tests before its watchdog is no longer fed. */
  readonly trialMarginSeconds?: number;
  /** Limits that a product rarely changes; see `tuningDefault`. */
  readonly tuning?: Partial<AgentTuning>;
}

export interface AgentTuning {
  /** How often an armed group that was never tried goes back to `Staged` before the attempt ends. */
  readonly notTriedMax: number;
  /** How often staged images that rotted are written again within one attempt. */
  readonly rotMax: number;
  /** Attempts in a row that were no release's fault are counted up to this, which slows down the next ones. */
  readonly wastedMax: number;
  /** After arming, the restart must come within this time, or the group is disarmed again. */
  readonly rebootSecondsMax: number;
  /** The last answer before the restart must come within this time, since the group is armed meanwhile. */
  readonly armedAskSecondsMax: number;
  /** How often what an attempt waits for is asked again between polls. */
  readonly waitingSecondsMax: number;
  /** Cells of the event log; each takes 4 KiB of the state partition. */
  readonly logCellsMax: number;
  readonly backoffSecondsMin: number;
  readonly backoffSecondsMax: number;
  /** Range requests for one image that may fail in a row, without one byte in between, before the attempt ends. */
  readonly downloadTriesMax: number;
  /** Bytes of one write to a slot; two such buffers are in memory. */
  readonly pieceBytes: number;
  /** Bytes written to a slot between two flushes: bounds what a cache may hold. */
  readonly flushBytes: number;
}

export const tuningDefault: AgentTuning = {
  // A technician may cycle the power by hand once or twice; three times without a boot is a broken boot control.
  notTriedMax: 3,
  // One rewrite cures a passing fault; a second rot is a failing medium.
  rotMax: 1,
  // The back-off has long reached its bound.
  wastedMax: 16,
  rebootSecondsMax: 60,
  // It answered a moment ago, before the group was armed. Power that is cut in this time starts the trial.
  armedAskSecondsMax: 10,
  // A window of a few minutes must not be slept through, and a device that is free now may be in use in an hour.
  waitingSecondsMax: 60,
  // 4 MiB of state partition: some fifty attempts with all their events.
  logCellsMax: 1024,
  backoffSecondsMin: 30,
  // Six hours: a fleet that lost its server comes back within a shift.
  backoffSecondsMax: 6 * 3600,
  // With back-off from half a minute this bridges some hours.
  downloadTriesMax: 8,
  // DESIGN: aligned pieces of 1 MiB; two of them are in memory.
  pieceBytes: 1024 * 1024,
  // An eighth of the smallest device's memory: no cache grows with the image, and no program of the device starves.
  flushBytes: 64 * 1024 * 1024,
};
