/**
 * Codes that a device logs and reports beside those of trust: events, results of attempts, and faults.
 *
 * Runs in a browser. A check compares this table with docs/errors.md and with the functions it names.
 */
import type { TrustCode } from '@airlock/trust/errors';
import type { ErrorTable } from '@airlock/trust';

export const deviceCodes = {
  OTA_BOOT: {
    summary: 'The agent started after a boot.',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/core/moves.ts#trialBoot',
  },
  OTA_ATTEMPT_BEGUN: {
    summary: 'An attempt to install a release began.',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/core/moves.ts#beginAttempt',
  },
  OTA_EMERGENCY: {
    summary:
      'A release that its manifest marks as an emergency is about to be installed; the reason says which approvals it had.',
    remedy: 'Nothing to do; compare the approvals with the change record of the release.',
    decidedIn: 'packages/agent/src/core/emergency.ts#emergencyNote',
  },
  OTA_STAGED: {
    summary: 'All images are written to the other group and read back.',
    remedy: 'Nothing to do; activation waits for the interlock and the window.',
    decidedIn: 'packages/agent/src/core/transitions.ts#markStaged',
  },
  OTA_WAITING: {
    summary: 'The attempt waits; the reason says for what.',
    remedy: 'See the reason: interlock, window, consent or back-off.',
    decidedIn: 'packages/agent/src/executor-waiting.ts#Waiting',
  },
  OTA_ALLOWED: {
    summary: 'Fetching, or activating and restarting, is allowed now; the reason says by what and by whom.',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/executor-waiting.ts#Waiting',
  },
  OTA_CONSENT: {
    summary: "An operator's consent to one release was given, or taken back.",
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/service-consent.ts#consentDesk',
  },
  OTA_DEFERRED_PAST_DEADLINE: {
    summary:
      'Window, interlock or operator defer a release past the deadline that its manifest names. It is not forced.',
    remedy:
      'Find out at the device why it is deferred, and let it be updated: the reason names who or what says no.',
    decidedIn: 'packages/agent/src/executor-waiting.ts#Waiting',
  },
  OTA_ACTIVATING: {
    summary: 'The other group is armed and the device restarts into it.',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/core/moves.ts#restartForTrial',
  },
  OTA_TRIAL_BEGUN: {
    summary: 'The new group was booted for the first time.',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/core/moves.ts#trialBoot',
  },
  OTA_NOT_TRIED: {
    summary: 'The armed group was never booted; the attempt goes back to staged.',
    remedy: 'If it recurs, check the boot control adapter.',
    decidedIn: 'packages/agent/src/core/transitions-ending.ts#notTried',
  },
  OTA_SELFTEST_WAIVED: {
    summary: 'The built-in test could not reach the server, and could not before the update either.',
    remedy: 'Check the network.',
    decidedIn: 'packages/agent/src/executor-self-test.ts#runBuiltIn',
  },
  OTA_CONFIRMED: {
    summary: 'The release is confirmed (result).',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/core/moves.ts#confirmDone',
  },
  OTA_REPAIRED: {
    summary: 'The confirmed release was written again and confirmed (result).',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/core/moves.ts#confirmDone',
  },
  OTA_FAIL_SELFTEST: {
    summary: 'A critical self-test failed, hung or crashed; rolled back (result).',
    remedy: 'See the test named; correct it under a higher version.',
    decidedIn: 'packages/agent/src/executor-self-test.ts#runSelfTest',
  },
  OTA_FAIL_BOOT: {
    summary: 'The new group did not boot within its tries; rolled back (result).',
    remedy: "Check the image's boot chain; publish a higher version.",
    decidedIn: 'packages/agent/src/core/transitions-ending.ts#didNotBoot',
  },
  OTA_FAIL_TRIES: {
    summary: 'The trial was not confirmed within its tries; rolled back (result).',
    remedy: 'See the log of the trial boots.',
    decidedIn: 'packages/agent/src/core/rows.ts#triesGone',
  },
  OTA_FAIL_DOWNLOAD: {
    summary: 'The images could not be fetched (result).',
    remedy: 'Check the network and the server; the attempt is made again later.',
    decidedIn: 'packages/agent/src/executor-images.ts#writeImages',
  },
  OTA_FAIL_HASH: {
    summary: 'The bytes fetched do not have the hash that the manifest gives (result).',
    remedy:
      'The blob at the server or the path to it is damaged; upload the image again. The device tries on, at growing intervals.',
    decidedIn: 'packages/agent/src/durable/slot-writer.ts#writeSlot',
  },
  OTA_FAIL_WRITE: {
    summary: 'The slot could not be written or flushed (result).',
    remedy: 'Check the storage; replace a worn device.',
    decidedIn: 'packages/agent/src/durable/slot-writer.ts#writeSlot',
  },
  OTA_FAIL_READBACK: {
    summary: 'The slot does not hold what was written, or this cannot be proven (result).',
    remedy: 'Check the storage; a slot may not lie on tmpfs.',
    decidedIn: 'packages/agent/src/durable/slot-writer.ts#proveSlot',
  },
  OTA_FAIL_BOOT_CONTROL: {
    summary: 'The boot control could not be read or written (result).',
    remedy: 'Check the boot control adapter and its storage.',
    decidedIn: 'packages/agent/src/executor-boot.ts#bootControlDo',
  },
  OTA_FAIL_DATA: {
    summary: 'A data hook failed (result).',
    remedy: "See the hook's own log; correct it under a higher version.",
    decidedIn: 'packages/agent/src/executor-effects.ts#EffectRunner',
  },
  OTA_FAIL_STATE: {
    summary: "The agent's state could not be written (result).",
    remedy: 'Check the state partition.',
    decidedIn: 'packages/agent/src/executor-effects.ts#EffectRunner',
  },
  OTA_FAIL_ROT: {
    summary: 'The staged images changed before activation (result).',
    remedy: 'Check the storage.',
    decidedIn: 'packages/agent/src/core/transitions.ts#rottedAgain',
  },
  OTA_CANCELLED: {
    summary: 'The assignment was taken back before activation (result).',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/agent/src/executor-judge.ts#judgeAttempt',
  },
  OTA_ATTEMPTS_EXHAUSTED: {
    summary: 'The release failed on this device as often as is allowed.',
    remedy: 'Publish a corrected release under a higher version.',
    decidedIn: 'packages/agent/src/executor-poll.ts#PollingAgent',
  },
  OTA_FALLBACK: {
    summary: 'The device runs an older confirmed group outside a trial.',
    remedy: 'The agent repairs the confirmed release or installs a higher one.',
    decidedIn: 'packages/agent/src/core/transitions.ts#idleBoot',
  },
  OTA_STATE_LOST: {
    summary: 'No copy of the record could be read; the device stays on what it runs.',
    remedy: 'Find out how the state partition was lost; the floor is the highest version found.',
    decidedIn: 'packages/agent/src/executor-load.ts#loadAgent',
  },
  OTA_STATE_RESTORED: {
    summary:
      'The record is not sealed with the counter of the TPM: the disk was restored from an older copy, or the counter replaced.',
    remedy:
      'What runs stays, and nothing is installed. Find out what happened; then sign a device record that names the floor and the counter: `airlock device record`.',
    decidedIn: 'packages/agent/src/executor-load.ts#loadAgent',
  },
  OTA_FLOOR_NAMED: {
    summary: 'A device record named the floor of a restored device; its record is sealed anew.',
    remedy: 'Nothing to do; updates go on.',
    decidedIn: 'packages/agent/src/executor.ts#floorPlan',
  },
  OTA_FLOOR_REFUSED: {
    summary:
      'A device record names the floor of a restored device for another value of its counter, or for none; it does not count.',
    remedy:
      'Sign one with a higher number that names the counter which `airlock-agent status` or `airlock device show` says.',
    decidedIn: 'packages/agent/src/executor.ts#floorPlan',
  },
  OTA_FAIL_FLOOR: {
    summary:
      'The counter of the TPM that seals the floor could not be read or incremented; nothing is installed.',
    remedy: 'Check the TPM, its device file, tpm2-tools and `tpm` in the configuration; what runs stays.',
    decidedIn: 'packages/agent/src/executor-floor.ts#settleCounter',
  },
  OTA_STATE_REPAIRED: {
    summary: 'One copy of the stored state was damaged and was written again from another.',
    remedy: 'If it recurs, check the storage.',
    decidedIn: 'packages/agent/src/executor-load.ts#repaired',
  },
  OTA_FREEZE_SUSPECTED: {
    summary: 'Nothing valid was heard from the server for longer than configured.',
    remedy: "Check the network and whether the server's roles are renewed.",
    decidedIn: 'packages/agent/src/executor-time.ts#TimeTold',
  },
  OTA_TIME_SIGNED: {
    summary: 'The signed time is used until the next boot, or until a root changes.',
    remedy: "Check the device's clock.",
    decidedIn: 'packages/agent/src/executor-time.ts#TimeTold',
  },
  OTA_CLOCK_NOT_SET: {
    summary: 'The system clock is behind what the device knows to be past, and could not be set.',
    remedy: 'Check the `clock` program of the configuration; updates do not depend on it.',
    decidedIn: 'packages/agent/src/executor-load.ts#setClock',
  },
  OTA_INTERLOCK_NOT_TOLD: {
    summary: 'The interlock could not be told of a trial or of its end; nothing waits for it.',
    remedy: 'Check the interlock: it decides whether clinical use may begin.',
    decidedIn: 'packages/agent/src/executor-interlock.ts#tellInterlock',
  },
  OTA_WATCHDOG: {
    summary: 'In a trial the watchdog could not be opened, fed or stopped; the reason says which file.',
    remedy: 'Check `watchdog` of the configuration, its device file and driver; nowayout must not be set.',
    decidedIn: 'packages/agent/src/executor-effects.ts#EffectRunner',
  },
  OTA_NOT_INSTALLED: {
    summary: 'At provisioning, a slot does not hold the image of the manifest that was given as installed.',
    remedy: 'Write the images of that release into the group, or give the manifest of what it holds.',
    decidedIn: 'packages/agent/src/provision.ts#verifyInstalled',
  },
  OTA_LOG_GAP: {
    summary: 'Entries were dropped to keep the log within its size, or lost with their medium.',
    remedy: 'Nothing to do, the gap is signed; if the log was lost, check the storage.',
    decidedIn: 'packages/agent/src/durable/event-log.ts#writeGap',
  },
  OTA_CONFIG: {
    summary: "The agent's configuration file has a field that is not as expected.",
    remedy: 'Correct the field that the message names; nothing was changed.',
    decidedIn: 'packages/agent/src/config.ts#parseConfig',
  },
  OTA_USAGE: {
    summary: 'The command line of the agent is wrong.',
    remedy: 'See `airlock-agent --help`; nothing was changed.',
    decidedIn: 'packages/agent/src/main.ts#failureFrom',
  },
  OTA_AGENT_RUNNING: {
    summary: 'Another agent works on this state folder.',
    remedy: 'Let the running one do it, or stop it first.',
    decidedIn: 'packages/agent/src/provision.ts#writeLocked',
  },
  OTA_PROVISIONED: {
    summary: 'There is state of a device already, so nothing was provisioned.',
    remedy:
      'A device is provisioned once. In the factory, empty the state folder that an interruption left behind.',
    decidedIn: 'packages/agent/src/provision.ts#refuseExisting',
  },
  OTA_SERVICE_REQUEST: {
    summary:
      "A line on one of the agent's local sockets is no request, or has a field that is not as expected.",
    remedy: 'Correct the field that the message names; nothing was changed.',
    decidedIn: 'packages/agent/src/service.ts#parseRequest',
  },
  OTA_SERVICE_FORBIDDEN: {
    summary: 'This is not asked on this socket: each has one permission.',
    remedy: 'Use the socket of that permission; the configuration says who may open it.',
    decidedIn: 'packages/agent/src/service.ts#answerTo',
  },
  OTA_SERVICE_NOT_NOW: {
    summary:
      'The request is understood and cannot be done now, such as a consent to a release that is not assigned.',
    remedy: 'Ask for the status, show what it says, and ask again.',
    decidedIn: 'packages/agent/src/service-consent.ts#consentDesk',
  },
  OTA_SERVICE_CLOSED: {
    summary: "The agent's local socket cannot be opened, or was closed.",
    remedy: 'Check that the agent runs and that your user or group may open the socket.',
    decidedIn: 'packages/agent/src/service-commands.ts#withAgent',
  },
  OTA_SERVICE_ANSWER: {
    summary: "What answers on the socket does not speak the agent's language.",
    remedy: 'Check the folder, and that client and agent fit together.',
    decidedIn: 'packages/agent/src/client/index.ts#connectAgent',
  },
  OTA_AGENT_BROKEN: {
    summary: 'The agent ended on an error that it should have handled.',
    remedy: 'Report it with the message; what was installed is not affected.',
    decidedIn: 'packages/agent/src/main.ts#failureFrom',
  },
  OTA_DISK_FULL: {
    summary: 'No space is left where the agent must write.',
    remedy: 'Free space on the state partition.',
    decidedIn: 'packages/agent/src/adapters/node-disk.ts#diskErrorFrom',
  },
  OTA_DISK_READ: {
    summary: 'Reading from the medium failed.',
    remedy: 'Check the storage.',
    decidedIn: 'packages/agent/src/adapters/node-disk.ts#diskErrorFrom',
  },
  OTA_DISK_WRITE: {
    summary: 'Writing to the medium or flushing it failed.',
    remedy: 'Check the storage.',
    decidedIn: 'packages/agent/src/adapters/node-disk.ts#diskErrorFrom',
  },
  OTA_DISK_BUSY: {
    summary: "A slot's device is in use, for instance mounted.",
    remedy: "Never mount a slot's device read-write.",
    decidedIn: 'packages/agent/src/adapters/node-disk.ts#diskErrorFrom',
  },
  OTA_READBACK_UNPROVEN: {
    summary: 'The platform cannot show that bytes were read from the medium.',
    remedy: 'Put slots on a disk that takes O_DIRECT.',
    decidedIn: 'packages/agent/src/adapters/read-medium.ts#unproven',
  },
  OTA_SERVER_UNREACHABLE: {
    summary: 'The server did not answer.',
    remedy: 'Check the network, the address and the server.',
    decidedIn: 'packages/agent/src/adapters/tls-errors.ts#transportErrorFrom',
  },
  OTA_SERVER_CERTIFICATE: {
    summary: "The server's certificate is not from the provisioned authority or not for its name.",
    remedy: "Check the server's certificate; suspect an interposed proxy.",
    decidedIn: 'packages/agent/src/adapters/tls-errors.ts#transportErrorFrom',
  },
  OTA_SERVER_REFUSED: {
    summary: 'The server closed the connection without an answer.',
    remedy: 'Check that the device is registered and its certificate not revoked.',
    decidedIn: 'packages/agent/src/adapters/tls-errors.ts#transportErrorFrom',
  },
  OTA_SERVER_ANSWER: {
    summary: "The server's answer does not have the form that was expected.",
    remedy: 'Check that server and agent versions fit together.',
    decidedIn: 'packages/agent/src/adapters/http-answer.ts#expectStatus',
  },
  OTA_ANSWER_TOO_LARGE: {
    summary: "The server's answer is longer than its limit.",
    remedy: 'Suspect the server; nothing of the answer was used.',
    decidedIn: 'packages/agent/src/adapters/http-answer.ts#readBody',
  },
} as const satisfies ErrorTable;

/** Every code that may stand in a log entry or a result. */
/** The others of trust are about key files, of which a device has none. */
export type DeviceCode = Extract<keyof typeof deviceCodes | TrustCode, WrittenCode>;

/** A code that was written down: of these tables, or of a newer agent's that ran here before it was rolled back. */
export type WrittenCode = `OTA_${string}`;

/** The form that every code has, in this version and in all later ones; the wire refuses any other. */
export const codePattern = '^OTA_[A-Z0-9_]{1,40}$';
const codeForm = new RegExp(codePattern);

/** By its form alone: an older agent passes on what it does not know, and never looks it up. */
export function isWrittenCode(value: unknown): value is WrittenCode {
  return typeof value === 'string' && codeForm.test(value);
}
