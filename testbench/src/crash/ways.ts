/**
 * What must hold on every way from one durable state to the next, and under what the world does meanwhile.
 *
 * The numbers are those of DESIGN "What always holds". Ways are taken from the state a boot began in to each that a cut
 * may leave, and from each that is durable to the next: an attempt that came and went in between must not be missed.
 */
import type { DeviceState } from '@airlock/agent';
import { isBehind, manifestSha256, type Violation } from './invariants.ts';
import { lastHook } from './hooks.ts';
import type { Medium } from './medium.ts';
import { bootCopies, type Copies, newest, readLog, recordCopies, trustCopies } from './reading.ts';

/** Breaks that only the way from one durable state to the next shows. */
export function brokenBetween(before: Medium, after: Medium): Violation | undefined {
  const from = newest(recordCopies(before));
  const to = newest(recordCopies(after));
  if (from === undefined || to === undefined) return lostWithoutWord(from, to, before, after);
  return (
    wrongFloor(from, to, after) ??
    lostResult(from, to, after) ??
    restoredWithoutWord(from, to, before, after) ??
    wrongData(before, after, from, to) ??
    rotUncounted(from, to) ??
    begunBelow(from, to) ??
    forgottenTrust(before, after, from, to)
  );
}

/** What was prepared is committed by what confirms, and reverted by what does not. */
function wrongData(before: Medium, after: Medium, from: DeviceState, to: DeviceState): Violation | undefined {
  const { attempt } = from;
  const said = to.lastResult;
  if (attempt === undefined || said?.attempt !== attempt.id || to.attempt !== undefined) return undefined;
  if (lastHook(before) !== 'prepare') return undefined;
  const owed = said.code === 'OTA_CONFIRMED' || said.code === 'OTA_REPAIRED' ? 'commit' : 'revert';
  const done = lastHook(after);
  return done === owed || done === undefined || said.code === 'OTA_STATE_RESTORED'
    ? undefined
    : `hooks: an attempt ended as ${said.code}, and the last of its hooks was ${done}`;
}

/** Staged images that rotted are written again a bounded number of times: each is counted. */
function rotUncounted({ state, attempt }: DeviceState, to: DeviceState): Violation | undefined {
  const again = state === 'Staged' && to.state === 'Fetching' && to.attempt?.id === attempt?.id;
  return again && to.attempt?.rotted !== (attempt?.rotted ?? 0) + 1
    ? 'VERIFY-04: rotted images are written again, and nobody counts it'
    : undefined;
}

/** REQ-OTA-ROLL-01: above the floor, but for the very release that was confirmed, to which a repair goes back. */
function begunBelow(from: DeviceState, to: DeviceState): Violation | undefined {
  const { attempt } = to;
  if (attempt === undefined || from.attempt !== undefined || attempt.version > from.floor) return undefined;
  return attempt.kind === 'repair' && attempt.manifestSha256 === from.confirmed.manifestSha256
    ? undefined
    : `3: an attempt at version ${attempt.version} began, and the floor is ${from.floor}`;
}

/**
 * REQ-OTA-ROLL-04: what a record says that is behind the counter begins nothing. `counter`: before the attempt.
 */
export function begunOnRestored(
  before: Medium,
  after: Medium,
  counter: number | undefined,
): Violation | undefined {
  const from = newest(recordCopies(before));
  const to = newest(recordCopies(after));
  if (from === undefined || to?.attempt === undefined || from.attempt !== undefined) return undefined;
  return isBehind(from, counter) || from.restored !== undefined
    ? 'ROLL-04: an attempt began on the record of a restored disk'
    : undefined;
}

/** DESIGN "State": told once, before the record is written; and no trial becomes confirmed by it. */
function lostWithoutWord(
  from: DeviceState | undefined,
  to: DeviceState | undefined,
  before: Medium,
  after: Medium,
): Violation | undefined {
  if (to === undefined && from !== undefined) return '5: both copies of the record are lost';
  const [was, is] = [readLog(before), readLog(after)];
  const told = is.stateLost - was.stateLost;
  if (told > (was.newestLoss === 'OTA_STATE_LOST' ? 0 : 1)) return '5: one loss of the state was told twice';
  if (to === undefined) return undefined;
  if (is.stateLost === 0) return '5: the state was lost, and a new record was written without OTA_STATE_LOST';
  return newest(bootCopies(before))?.trial === to.confirmed.group
    ? `4: the record was lost, and group ${to.confirmed.group}, which was in trial, counts as confirmed`
    : undefined;
}

function restoredWithoutWord(
  from: DeviceState,
  to: DeviceState,
  before: Medium,
  after: Medium,
): Violation | undefined {
  if (to.restored === undefined || from.restored !== undefined) return undefined;
  const [was, is] = [readLog(before), readLog(after)];
  const told = is.stateRestored - was.stateRestored;
  return told === (was.newestLoss === 'OTA_STATE_RESTORED' ? 0 : 1)
    ? undefined
    : `5: a restored disk was told ${told} times`;
}

/** REQ-OTA-ROLL-02: what was verified is remembered; and an attempt begins only on a verdict that was kept. */
function forgottenTrust(
  before: Medium,
  after: Medium,
  from: DeviceState,
  to: DeviceState,
): Violation | undefined {
  const older = newest(trustCopies(before));
  const newer = newest(trustCopies(after));
  if (older === undefined) return undefined;
  if (newer === undefined) return 'ROLL-02: the trust state was lost';
  for (const repository of ['image', 'director'] as const) {
    for (const [role, { version }] of Object.entries(older[repository].memory)) {
      const now = newer[repository].memory[role]?.version ?? 0;
      if (now < version) return `ROLL-02: ${repository} ${role} fell from version ${version} to ${now}`;
    }
  }
  const begun = from.attempt === undefined ? to.attempt : undefined;
  if (begun === undefined || to.state !== 'Fetching') return undefined;
  return newer.manifest !== undefined && manifestSha256(newer.manifest) === begun.manifestSha256
    ? undefined
    : 'ROLL-02: an attempt began on a verdict that was not kept';
}

/** What the loss of one copy may change while nobody writes: nothing. */
export function lostWithCopy(before: Medium, after: Medium): Violation | undefined {
  const alike = <T>(of: (medium: Medium) => Copies<T>): boolean =>
    newest(of(before)) === newest(of(after)) ||
    JSON.stringify(newest(of(before))) === JSON.stringify(newest(of(after)));
  if (!alike(recordCopies)) return '5: the loss of one copy changed the record';
  if (!alike(bootCopies)) return '4: the loss of one copy changed the boot control';
  return alike(trustCopies) ? undefined : 'ROLL-02: the loss of one copy changed the trust state';
}

function wrongFloor(from: DeviceState, to: DeviceState, after: Medium): Violation | undefined {
  if (to.floor < from.floor) return `3: the floor fell from ${from.floor} to ${to.floor}`;
  // Of a restored disk the floor is the highest version found, confirmed or not.
  if (to.floor === from.floor || to.restored !== undefined) return undefined;
  const boot = newest(bootCopies(after));
  const { group, version } = to.confirmed;
  const confirmed = boot?.order[0] === group && boot.trial === undefined && version === to.floor;
  return confirmed
    ? undefined
    : `3: the floor rose to ${to.floor} before the boot control confirmed group ${group}`;
}

function lostResult(from: DeviceState, to: DeviceState, after: Medium): Violation | undefined {
  const { attempt } = from;
  if (attempt === undefined || to.attempt?.id === attempt.id) return undefined;
  const results = readLog(after).results.filter((result) => result.attempt === attempt.id);
  if (results.length !== 1) return `5: an attempt ended with ${results.length} results in the log`;
  const said = to.lastResult;
  if (said?.attempt === attempt.id && said.code !== results[0]?.code)
    return `5: the record says ${said.code} and the log ${results[0]?.code}`;
  return undefined;
}

/** Where a boot goes on, in words of its environment: what it forbids. */
export interface Under {
  readonly selfTest: string;
  readonly serverAnswers: boolean;
  readonly tpmAnswers: boolean;
}

/**
 * What an environment forbids: a version is not confirmed in a boot whose self-test did not pass, in which the server
 * could not be reached although it could before, or in which nobody can tell whether the disk is a restored one.
 */
export function brokenUnder(under: Under, before: Medium, after: Medium): Violation | undefined {
  const from = newest(recordCopies(before));
  const to = newest(recordCopies(after));
  if (from === undefined || to === undefined || from.state === 'Confirming') return undefined;
  if (from.restored !== undefined || to.restored !== undefined) return undefined;
  if (to.floor === from.floor && to.state !== 'Confirming') return undefined;
  if (under.selfTest !== 'pass') return 'VERIFY-01: confirmed in a boot whose self-test did not pass';
  if (!under.serverAnswers && from.attempt?.serverReached === true)
    return 'VERIFY-05: confirmed, and the server that could be reached before cannot be';
  return under.tpmAnswers || from.counter === undefined
    ? undefined
    : 'ROLL-04: confirmed while the counter of the TPM cannot be read';
}
