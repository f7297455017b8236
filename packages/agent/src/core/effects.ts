/**
 * What goes into the state machine and what comes out: events, facts and effects, as plain values.
 *
 * An effect is one thing to do through a port; a list of them is done in order, and the first that fails ends the
 * list with an event. `step` is the letter of DESIGN "Order of durable steps" - traces and tests use the same ones.
 */
import type { DeviceCode, WrittenCode } from '@airlock/protocol';
import type { GroupLetter } from '@airlock/trust';
import type { BootControlState } from '../ports/boot-control.ts';
import type { Attempt, DeviceState } from './record.ts';

export type MachineEvent =
  /** The agent goes on from the record: after a boot, or after an effect could not be carried out. */
  | { readonly kind: 'booted' }
  /** An approved and applicable release is to be installed. */
  | {
      readonly kind: 'begin';
      readonly attempt: Pick<Attempt, 'id' | 'kind' | 'manifestSha256' | 'version' | 'fromVersion' | 'group'>;
    }
  /** After a restart: the release is still wanted, and fetching is allowed now. */
  | { readonly kind: 'fetch' }
  /** Every image was written, flushed and read back. */
  | { readonly kind: 'staged' }
  /** Interlock, window and consent allow activating and restarting now. */
  | { readonly kind: 'ready'; readonly serverReached: boolean }
  /** Staged images no longer have their hash. */
  | { readonly kind: 'rotted' }
  /** Images proven, verdict good, data prepared. */
  | { readonly kind: 'activate'; readonly serverReached: boolean }
  /** Armed, and the restart did not come in time. */
  | { readonly kind: 'not-now'; readonly reason: string }
  /** Every critical self-test passed. */
  | { readonly kind: 'passed' }
  /** The boot control holds the new group as confirmed. */
  | { readonly kind: 'boot-confirmed' }
  /** The result of the attempt is durable in the log. */
  | { readonly kind: 'settled' }
  | { readonly kind: 'fail'; readonly code: DeviceCode; readonly reason: string };

export type EventKind = MachineEvent['kind'];

export const eventKinds: readonly EventKind[] = [
  'booted',
  'begin',
  'fetch',
  'staged',
  'ready',
  'rotted',
  'activate',
  'not-now',
  'passed',
  'boot-confirmed',
  'settled',
  'fail',
];

/** What the platform says and what the settings limit; none of it from the record. */
export interface Facts {
  readonly bootedGroup: GroupLetter;
  readonly bootId: string;
  /** undefined when no copy of the boot control can be read. */
  readonly boot: BootControlState | undefined;
  readonly tries: 'counted' | 'one-shot';
  readonly armingSurvivesPowerOff: boolean;
  readonly trialTries: number;
  readonly notTriedMax: number;
  readonly rotMax: number;
  /** Attempts that were no release's fault are counted up to this. */
  readonly wastedMax: number;
  readonly fallbackAllowed: boolean;
  /** Whether the floor is sealed with a counter of a TPM. */
  readonly sealed: boolean;
}

/** Letters of DESIGN "Order of durable steps". */
export type Step =
  | `begin.${'a' | 'b' | 'cd' | 'e'}`
  | `activate.${'a' | 'b' | 'c' | 'd' | 'e'}`
  | 'trial.a'
  | `confirm.${'a' | 'b' | 'c' | 'd' | 'e' | 'f'}`
  | `fail.${'a' | 'b' | 'c' | 'd' | 'e' | 'f'}`
  | 'back.a'
  | 'back.b'
  | `seal.${'a' | 'b'}`;

export type Effect =
  | { readonly kind: 'write-record'; readonly step: Step; readonly record: DeviceState }
  /**
   * When it cannot be done, however often, it answers `fail`. `go on`: the list goes on, the boot loader's tries must
   * run out instead; `wait`: the attempt stays where it is, until the next poll or start.
   */
  | {
      readonly kind: 'disarm';
      readonly step: Step;
      readonly group: GroupLetter;
      readonly onFault?: 'fail' | 'go on' | 'wait';
    }
  /** Tells the log of a loss. A log that takes no entry ends the list, or the record would be new without a word. */
  | {
      readonly kind: 'tell-loss';
      readonly code: 'OTA_STATE_LOST' | 'OTA_STATE_RESTORED';
      readonly reason: string;
    }
  /** Writes, flushes and reads back every image of the attempt; answers `staged` or `fail`. */
  | { readonly kind: 'write-slots'; readonly step: Step }
  /** Reads every image back again; answers `rotted` when one is not what it was. */
  | { readonly kind: 'prove-slots'; readonly step: Step }
  /** Computes the verdict again; ends the list silently when it must wait, answers `fail` when it is a no. */
  | { readonly kind: 'judge'; readonly step: Step }
  /** Answers `activate`, or `fail`. */
  | { readonly kind: 'prepare-data'; readonly step: Step; readonly serverReached: boolean }
  | { readonly kind: 'arm'; readonly step: Step; readonly group: GroupLetter; readonly tries: number }
  /** Restarts into the armed group if the interlock still allows it; answers `not-now` if the restart does not come. */
  | { readonly kind: 'restart-into-trial'; readonly step: Step }
  /** Ends a failed trial; nobody is asked. */
  | { readonly kind: 'restart-out-of-trial'; readonly step: Step }
  /** Gives a group that runs outside any trial its starts back. `untold`: a failure is told by the next one. */
  | { readonly kind: 'restore-starts'; readonly group: GroupLetter; readonly untold?: true }
  /** Tells the device's own software; a failure of it is logged and ends nothing. */
  | { readonly kind: 'tell-interlock'; readonly news: 'trial' | 'rolled-back' }
  /** Answers `passed` or `fail`. */
  | { readonly kind: 'self-test' }
  /** Answers `boot-confirmed`, or `fail`. */
  | { readonly kind: 'boot-confirm'; readonly step: Step; readonly group: GroupLetter }
  /**
   * Makes the counter what the record is sealed with: increments it if it is one behind, and only then. Answers `fail`
   * when the record is that of a restored disk, or the counter cannot be read or incremented.
   */
  | { readonly kind: 'settle-seal'; readonly step: Step }
  | { readonly kind: 'commit-data'; readonly step: Step }
  | { readonly kind: 'revert-data'; readonly step: Step }
  | { readonly kind: 'log'; readonly code: DeviceCode; readonly reason: string }
  /** Logs the one result of the attempt, if it is not in the log already; answers `settled`. */
  | { readonly kind: 'log-result'; readonly step: Step; readonly code: WrittenCode; readonly reason: string };

export interface Move {
  /** Name of the arrow taken: a row of the table. */
  readonly arrow: string;
  /** The record that the arrow leads to; durable only once its `write-record` is done. */
  readonly record: DeviceState;
  readonly effects: readonly Effect[];
}
