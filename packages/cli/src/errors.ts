/**
 * Codes of the CLI: every reason for which a command stops that is its own.
 *
 * What trust or the server refuses is shown under their codes. A check compares this table with docs/errors.md and
 * with the functions it names.
 */
import type { ErrorTable } from '@airlock/trust';

export const cliErrors = {
  CLI_USAGE: {
    summary: 'A command, option or argument is missing, unknown or of another form.',
    remedy: 'See the command with --help; the message names what is wrong.',
    decidedIn: 'packages/cli/src/main.ts#commandLineFault',
  },
  CLI_NUMBER: {
    summary: 'A number is not a whole number in its range.',
    remedy: 'Give digits only, such as 12.',
    decidedIn: 'packages/cli/src/command.ts#wholeNumber',
  },
  CLI_NO_HOME: {
    summary: 'The folder is not an Airlock home.',
    remedy: 'Give --home or AIRLOCK_HOME, or make a home with airlock init.',
    decidedIn: 'packages/cli/src/home.ts#settings',
  },
  CLI_HOME_DAMAGED: {
    summary: 'A file of the home does not have the form that it was written with.',
    remedy: 'Restore the file named from a backup.',
    decidedIn: 'packages/cli/src/home.ts#settings',
  },
  CLI_HOME_BUSY: {
    summary: 'Another command is signing or verifying with this home.',
    remedy: 'Finish or stop the command that the message names, then run this one again.',
    decidedIn: 'packages/cli/src/lock.ts#refuse',
  },
  CLI_HOME_CHANGED: {
    summary: 'What this home verified or signed changed while the command waited.',
    remedy: 'Nothing was signed; run the command again and read what it shows now.',
    decidedIn: 'packages/cli/src/signer.ts#burnNumber',
  },
  CLI_AUDIT_LOG: {
    summary: 'The policy names no audit log, or there is nothing in its memory to give up.',
    remedy: 'Publish a policy that names the log of the server (auditKey, auditOrigin); then sign.',
    decidedIn: 'packages/cli/src/audit-memory.ts#logOfPolicy',
  },
  CLI_HOLDER: {
    summary: 'The policy does not say whose the key is that would sign.',
    remedy:
      'Publish a policy that names the holder of the key; a signature without a name counts for nothing.',
    decidedIn: 'packages/cli/src/stating.ts#prepareStatement',
  },
  CLI_NO_SERVER: {
    summary: 'The command needs the server of this home, and it has none.',
    remedy: 'Run it on the machine where airlock init was run.',
    decidedIn: 'packages/cli/src/commands/product.ts#serverConfig',
  },
  CLI_EXISTS: {
    summary: 'Something is there already and is never overwritten.',
    remedy: 'Choose another name or folder, or move the old one away.',
    decidedIn: 'packages/cli/src/files.ts#writeNewFiles',
  },
  CLI_FILE_MISSING: {
    summary: 'A file is not there.',
    remedy: 'Check the path; it is meant from the folder where the command runs.',
    decidedIn: 'packages/cli/src/files.ts#readFailure',
  },
  CLI_FILE_READ: {
    summary: 'A file cannot be read, or is not what was expected.',
    remedy: 'Check its kind, size and permissions.',
    decidedIn: 'packages/cli/src/files.ts#readFailure',
  },
  CLI_FILE_WRITE: {
    summary: 'A file cannot be written.',
    remedy: 'Check the folder and its permissions; nothing was changed.',
    decidedIn: 'packages/cli/src/files.ts#writeFailure',
  },
  CLI_FILE_CHANGED: {
    summary: 'An image changed while it was read or sent.',
    remedy: 'Wait until the build has ended and try again.',
    decidedIn: 'packages/cli/src/images.ts#hashFile',
  },
  CLI_DISK_FULL: {
    summary: 'No space is left on the disk.',
    remedy: 'Free space and try again; nothing was changed.',
    decidedIn: 'packages/cli/src/files.ts#writeFailure',
  },
  CLI_JSON: {
    summary: 'A file is not valid JSON.',
    remedy: 'Correct it at the place named.',
    decidedIn: 'packages/cli/src/files.ts#parseJson',
  },
  CLI_MANIFEST_FIELD: {
    summary: 'A manifest file has a field that is unknown, of another form, or at odds with the command.',
    remedy: 'Correct the field named; image lengths and hashes are computed, not written.',
    decidedIn: 'packages/cli/src/core/manifest-input.ts#readManifestFile',
  },
  CLI_IMAGE_OPTION: {
    summary: 'An image was not given as COMPONENT=FILE.',
    remedy: 'Write it as rootfs=build/rootfs.img.',
    decidedIn: 'packages/cli/src/core/manifest-input.ts#parseImageOption',
  },
  CLI_IMAGE_EMPTY: {
    summary: 'An image is empty.',
    remedy: 'Check the build; an image has at least one byte.',
    decidedIn: 'packages/cli/src/images.ts#imageLength',
  },
  CLI_PASSPHRASE_NEEDED: {
    summary: 'A passphrase is needed and nobody is there to type it.',
    remedy: 'Run the command at a terminal, or give --passphrase-file where that is allowed.',
    decidedIn: 'packages/cli/src/passphrases.ts#Passphrases',
  },
  CLI_PASSPHRASE_SHORT: {
    summary: 'A new passphrase is too short.',
    remedy: 'Choose a longer one; several random words are good.',
    decidedIn: 'packages/cli/src/passphrases.ts#longEnough',
  },
  CLI_PASSPHRASE_DIFFERS: {
    summary: 'The two entries of a new passphrase are not the same.',
    remedy: 'Run the command again; nothing was made.',
    decidedIn: 'packages/cli/src/passphrases.ts#Passphrases',
  },
  CLI_UNATTENDED: {
    summary: 'A passphrase from a file or variable is not accepted for this product.',
    remedy: 'Type it at a terminal; only a root that says demo accepts unattended ones for class B and C.',
    decidedIn: 'packages/cli/src/passphrases.ts#requireAttended',
  },
  CLI_TOKEN: {
    summary: 'A token (PKCS#11) or its key is not there, is of another form, or refuses.',
    remedy: 'Check that the token is plugged in, and module, labels and key as the message names them.',
    decidedIn: 'packages/cli/src/token.ts#refused',
  },
  CLI_TOKEN_PIN: {
    summary: 'A token refuses the PIN.',
    remedy: 'Do not guess: a token locks itself after a few wrong PINs; its administrator can unlock it.',
    decidedIn: 'packages/cli/src/token.ts#refused',
  },
  CLI_KEY_MISSING: {
    summary: 'This home does not hold the keys that must sign.',
    remedy: 'Run the command where the key is, or bring the sealed key file into keys/.',
    decidedIn: 'packages/cli/src/keys.ts#KeyRing',
  },
  CLI_KEY_SHARED: {
    summary: 'One key or one person is given for two places that must be separate.',
    remedy: 'Give each function holders and keys of its own.',
    decidedIn: 'packages/cli/src/core/company.ts#checkHolders',
  },
  CLI_FUNCTION: {
    summary: 'A function is unknown, or not given as FUNCTION=NAME <ID>.',
    remedy:
      'airlock product show lists the functions that exist; a new one is written as quality="Dr. Ada Quill <ada>".',
    decidedIn: 'packages/cli/src/core/company.ts#parseHolder',
  },
  CLI_THRESHOLD: {
    summary: 'A threshold cannot be reached, or is lower than is allowed.',
    remedy: 'Name more holders or keys, or another threshold.',
    decidedIn: 'packages/cli/src/core/company.ts#groupFunctions',
  },
  CLI_SET: {
    summary: 'Who must approve was not given as SUBJECT=FUNCTIONS.',
    remedy: 'Write it as C=engineering,quality:2 or us=regulatory-us.',
    decidedIn: 'packages/cli/src/core/company.ts#parseSets',
  },
  CLI_DEMAND: {
    summary: 'What class or market ask for is missing, too little, or cannot be met.',
    remedy: 'Ask at least two functions for a class, each of which somebody holds.',
    decidedIn: 'packages/cli/src/core/company.ts#checkDemand',
  },
  CLI_PORT_TAKEN: {
    summary: 'A port that the server is to listen on is taken.',
    remedy:
      'Stop the other program. airlock init takes other ports by --device-port and --people-port; those of a home that is there stand in its server/config.json and airlock.json.',
    decidedIn: 'packages/cli/src/setup.ts#choosePort',
  },
  CLI_PRODUCT_UNKNOWN: {
    summary: 'This home knows no such product.',
    remedy: "Check the name; on a new signer's machine pin its root with --root FILE.",
    decidedIn: 'packages/cli/src/home.ts#product',
  },
  CLI_DEVICE: {
    summary: "The device's class or market is not known to the product.",
    remedy: 'Use one that root minimum and policy both name, or add it to both.',
    decidedIn: 'packages/cli/src/device.ts#checkDevice',
  },
  CLI_AGENT_CONFIG: {
    summary: "A field of the agent's configuration is unknown or of another form.",
    remedy: 'Correct the field named; nothing was registered. docs/formats.md lists the fields.',
    decidedIn: 'packages/cli/src/core/agent-config.ts#checkAgentConfig',
  },
  CLI_DEVICE_UNKNOWN: {
    summary: 'The server knows no such device.',
    remedy: 'Check the id with airlock device list.',
    decidedIn: 'packages/cli/src/commands/fleet.ts#knownDevice',
  },
  CLI_DEVICE_REVOKED: {
    summary: 'The device is revoked and gets nothing.',
    remedy:
      'Nothing can be assigned to it; a device that is to be used again is added anew under another id.',
    decidedIn: 'packages/cli/src/commands/fleet.ts#runAssign',
  },
  CLI_RELEASE_UNKNOWN: {
    summary: 'There is no such release.',
    remedy: 'Check the version with airlock release list.',
    decidedIn: 'packages/cli/src/commands/release.ts#fetchRelease',
  },
  CLI_RELEASE_CHANGED: {
    summary: 'One release number stands for two contents.',
    remedy: 'Do not sign; find out who changed the release, and suspect the server.',
    decidedIn: 'packages/cli/src/core/signing.ts#applyAct',
  },
  CLI_VERSION_USED: {
    summary: 'The version number is used already, or is below one that is.',
    remedy: 'Take a number above the highest one, or say --below-highest; numbers are never used again.',
    decidedIn: 'packages/cli/src/commands/release.ts#refuseUsed',
  },
  CLI_NOT_ASSIGNED: {
    summary: 'Nothing is assigned to the device.',
    remedy: 'Nothing to do.',
    decidedIn: 'packages/cli/src/commands/fleet.ts#runUnassign',
  },
  CLI_NO_PROPOSAL: {
    summary: 'The role has no open proposal.',
    remedy: 'airlock queue shows those that are open.',
    decidedIn: 'packages/cli/src/commands/queue.ts#runRemove',
  },
  CLI_APPROVED_ALREADY: {
    summary: 'The function approves this release already.',
    remedy: "Nothing to do; to extend the role's life use airlock renew.",
    decidedIn: 'packages/cli/src/core/signing.ts#applyAct',
  },
  CLI_NOT_APPROVED: {
    summary: 'The function does not approve this release.',
    remedy: 'Check function and version with airlock product show.',
    decidedIn: 'packages/cli/src/core/signing.ts#applyAct',
  },
  CLI_SIGNED_ALREADY: {
    summary: 'This key has signed the open proposal already.',
    remedy: 'Have another holder of the function sign.',
    decidedIn: 'packages/cli/src/core/signing.ts#planOffered',
  },
  CLI_UNEXPECTED_CHANGE: {
    summary: 'The server offers a proposal that does something else than the act named.',
    remedy:
      'Do not sign; if the other change is wanted, finish or withdraw it first, otherwise suspect the server.',
    decidedIn: 'packages/cli/src/core/signing.ts#refuseChange',
  },
  CLI_PROPOSAL_VERSION: {
    summary: 'A proposal has a number that was used, or that jumps too far.',
    remedy: 'Do not sign; have the proposal made again, and suspect the server.',
    decidedIn: 'packages/cli/src/core/signing.ts#checkTerm',
  },
  CLI_PROPOSAL_EXPIRY: {
    summary: 'A proposal would be valid for too short or too long.',
    remedy: 'Have the proposal made again; check the clocks of both machines.',
    decidedIn: 'packages/cli/src/core/signing.ts#checkTerm',
  },
  CLI_CEREMONY_FILE: {
    summary: 'A ceremony file has a field that is missing, unknown or of another form.',
    remedy: 'Ask whoever handed it on for the file as it was; files are not edited by hand.',
    decidedIn: 'packages/cli/src/core/ceremony-file.ts#readCeremony',
  },
  CLI_CEREMONY_ACT: {
    summary: 'What a ceremony is to do cannot be done on the roles as they stand.',
    remedy: 'Look at airlock keys list, and name keys, holders and thresholds that fit.',
    decidedIn: 'packages/cli/src/core/ceremony.ts#refuse',
  },
  CLI_CEREMONY_OPEN: {
    summary: 'A ceremony is not finished: signatures are missing, or the server holds it back.',
    remedy: 'Hand the file to the holders that the message names; finish can be repeated.',
    decidedIn: 'packages/cli/src/ceremony.ts#requireEnough',
  },
  CLI_CEREMONY_OVER: {
    summary: 'A ceremony is in force already, at least in part.',
    remedy: 'Run airlock keys ceremony finish; there is nothing more to sign.',
    decidedIn: 'packages/cli/src/ceremony.ts#signCeremony',
  },
  CLI_KEY_PLAN: {
    summary: 'A key plan has a wrong field, or its steps are in an order that cannot be right.',
    remedy: 'Correct the step named: trust before use, use of the new key before the old one goes.',
    decidedIn: 'packages/cli/src/core/key-plan.ts#checkPlanOrder',
  },
  CLI_KEY_NEEDED: {
    summary: 'A key cannot go yet, or went too early: devices still need it.',
    remedy: 'Bring the devices named to where the plan wants them, or revoke those that are gone.',
    decidedIn: 'packages/cli/src/core/key-plan.ts#permitStep',
  },
  CLI_ROOT_SIGNED: {
    summary: 'Another root of this number was signed here before.',
    remedy: 'Two roots of one number split the fleet: destroy the other file everywhere, then say --instead.',
    decidedIn: 'packages/cli/src/ceremony.ts#refuseTwice',
  },
  CLI_CONFIRMATION: {
    summary: 'Nobody is there to confirm what would be signed.',
    remedy: 'Run the command at a terminal, or give --yes after reading what is shown.',
    decidedIn: 'packages/cli/src/acts.ts#confirmSigning',
  },
  CLI_DECLINED: {
    summary: 'The person stopped the command or did not confirm.',
    remedy: 'Nothing was changed; run it again when it is wanted.',
    decidedIn: 'packages/cli/src/acts.ts#confirmSigning',
  },
  CLI_SIGNED_OUT: {
    summary: 'Nobody is signed in at this home, and it has no API token.',
    remedy: 'Run airlock login.',
    decidedIn: 'packages/cli/src/session-file.ts#credentialOf',
  },
  CLI_SIGN_IN: {
    summary: 'A sign-in at the identity provider did not come to its end.',
    remedy: 'Run airlock login again; where the message has a code, see what it means.',
    decidedIn: 'packages/cli/src/loopback.ts#openLoopback',
  },
  CLI_SERVER_UNREACHABLE: {
    summary: 'The server does not answer.',
    remedy: 'Start it with airlock server, or check address and network.',
    decidedIn: 'packages/cli/src/api.ts#Api',
  },
  CLI_SERVER_CERTIFICATE: {
    summary: "The server's certificate is not from this home's authority, or not for its name.",
    remedy: 'Check whom you are talking to; suspect an interposed proxy.',
    decidedIn: 'packages/cli/src/api.ts#Api',
  },
  CLI_SERVER_ANSWER: {
    summary: "The server's answer does not have the form that was expected.",
    remedy: 'Check that the versions of server and CLI fit together.',
    decidedIn: 'packages/cli/src/api.ts#readAnswer',
  },
  CLI_SERVER_PROGRAM: {
    summary: "The server's program could not be run or refused.",
    remedy: 'See the line that it said; check server/config.json in the home.',
    decidedIn: 'packages/cli/src/server-program.ts#refused',
  },
} as const satisfies ErrorTable;

export type CliCode = keyof typeof cliErrors;

/** Statuses other than 1: wrong input, server away, not confirmed by the person. Documented in the help. */
const statuses: Readonly<Partial<Record<CliCode, number>>> = {
  CLI_USAGE: 2,
  CLI_NUMBER: 2,
  CLI_NO_HOME: 2,
  CLI_FILE_MISSING: 2,
  CLI_FILE_READ: 2,
  CLI_JSON: 2,
  CLI_MANIFEST_FIELD: 2,
  CLI_IMAGE_OPTION: 2,
  CLI_AGENT_CONFIG: 2,
  CLI_IMAGE_EMPTY: 2,
  CLI_PASSPHRASE_NEEDED: 2,
  CLI_PASSPHRASE_SHORT: 2,
  CLI_PASSPHRASE_DIFFERS: 2,
  CLI_KEY_SHARED: 2,
  CLI_FUNCTION: 2,
  CLI_THRESHOLD: 2,
  CLI_SET: 2,
  CLI_DEMAND: 2,
  CLI_CEREMONY_FILE: 2,
  CLI_CEREMONY_ACT: 2,
  CLI_KEY_PLAN: 2,
  CLI_CONFIRMATION: 4,
  CLI_DECLINED: 4,
  CLI_SERVER_UNREACHABLE: 3,
  CLI_SERVER_CERTIFICATE: 3,
};

/** Exit status of a code; 1 for every refusal that has none of its own. */
export function exitStatusOf(code: string): number {
  return new Map<string, number>(Object.entries(statuses)).get(code) ?? 1;
}
