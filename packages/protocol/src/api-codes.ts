/**
 * Codes of the server's two APIs and of its program: every reason for a refusal that is the server's own.
 *
 * What a device would refuse is answered with trust's code (`OTA_*`), so that a person reads the same word at the
 * server and in a device's log. Runs in a browser. A check compares this table with docs/errors.md and the
 * functions it names.
 */
import type { ErrorTable } from '@airlock/trust';

export const apiCodes = {
  API_BAD_REQUEST: {
    summary: 'The request does not have the form that the route asks for.',
    remedy: 'Correct the field named.',
    decidedIn: 'packages/server/src/adapters/http/failure.ts#failureOf',
    httpStatus: 400,
  },
  API_MEDIA_TYPE: {
    summary: 'The content type is not the one that the route takes.',
    remedy: 'Send application/json, or application/octet-stream for images and policies.',
    decidedIn: 'packages/server/src/adapters/http/failure.ts#failureOf',
    httpStatus: 415,
  },
  API_TOO_LARGE: {
    summary: 'The body is longer than the route allows.',
    remedy: 'Send less; the limits stand in docs/formats.md.',
    decidedIn: 'packages/server/src/adapters/http/failure.ts#failureOf',
    httpStatus: 413,
  },
  API_UNAUTHORIZED: {
    summary: 'No valid session and no valid API token came with the request.',
    remedy: 'Sign in with airlock login, or send Authorization: Bearer with the secret of an API token.',
    decidedIn: 'packages/server/src/app/callers.ts#identify',
    httpStatus: 401,
  },
  API_SIGN_IN: {
    summary: 'Name or password is wrong; which one is not said.',
    remedy: 'Type it again; an administrator can give a new one-time secret (airlock user secret).',
    decidedIn: 'packages/server/src/app/sign-in.ts#signIn',
    httpStatus: 401,
  },
  API_SIGN_INS: {
    summary: 'One user name, or one address, tried to sign in too often.',
    remedy:
      'Wait as long as the message says. If it was not you, tell whoever runs the server: somebody guesses.',
    decidedIn: 'packages/server/src/app/sign-in.ts#tooMany',
    httpStatus: 429,
  },
  API_ONE_TIME: {
    summary: 'A one-time secret opens no session by itself: it is used up with the password that follows it.',
    remedy: 'Sign in with airlock login, which asks for the new password.',
    decidedIn: 'packages/server/src/app/sign-in.ts#passwordFor',
    httpStatus: 403,
  },
  API_PASSWORD: {
    summary: 'A new password is too short, too simple, or the one of before.',
    remedy: 'Take a longer one: several words that nobody else puts together.',
    decidedIn: 'packages/server/src/core/passwords.ts#judgeNewPassword',
    httpStatus: 422,
  },
  API_BUSY: {
    summary: 'Too many people sign in at this moment.',
    remedy: 'Try again in a minute.',
    decidedIn: 'packages/server/src/app/sign-in.ts#hashing',
    httpStatus: 503,
  },
  API_PROVIDER: {
    summary: 'The identity provider cannot be asked.',
    remedy: 'See whether it runs, and check identityProvider in the configuration of the server.',
    decidedIn: 'packages/server/src/adapters/oidc.ts#attempt',
    httpStatus: 502,
  },
  API_PROVIDER_ANSWER: {
    summary:
      'The answer of the identity provider does not count: it is not of this sign-in, too old, or forged.',
    remedy:
      'Begin the sign-in again; if it recurs, check clock, claims and configuration with whoever runs the provider.',
    decidedIn: 'packages/server/src/app/provider-sign-in.ts#pendingOf',
    httpStatus: 401,
  },
  API_NO_ROLE: {
    summary: 'The identity provider knows the person, and they have no role at this server.',
    remedy: 'Have the person put into a group that the configuration of the server maps to roles.',
    decidedIn: 'packages/server/src/app/provider-sign-in.ts#userFor',
    httpStatus: 403,
  },
  API_FORBIDDEN: {
    summary: 'The caller does not have the permission that the route needs.',
    remedy: 'Have an administrator give the role that holds the permission named (docs/permissions.md).',
    decidedIn: 'packages/server/src/core/callers.ts#demandRule',
    httpStatus: 403,
  },
  API_PERSON: {
    summary: 'Only a person who signed in may do this, and the caller is an API token.',
    remedy: 'Sign in with airlock login.',
    decidedIn: 'packages/server/src/core/callers.ts#demandRule',
    httpStatus: 403,
  },
  API_SCOPE: {
    summary: 'The caller may do this, but not for this function, or not for the whole fleet.',
    remedy: 'Have it done by whoever stands in the function named, or is let in for every product.',
    decidedIn: 'packages/server/src/core/callers.ts#demandFunction',
    httpStatus: 403,
  },
  API_ORIGIN: {
    summary: 'A request in the name of a browser came from a page of another host.',
    remedy: 'Use the page of this server; if you did not send it, leave the page that did.',
    decidedIn: 'packages/server/src/adapters/http/guard.ts#requireOwnPage',
    httpStatus: 403,
  },
  API_GRANT: {
    summary:
      'Roles, functions and products that nobody may have together, or that go beyond what their user has.',
    remedy: 'Correct the field named.',
    decidedIn: 'packages/server/src/core/callers.ts#judgeGrant',
    httpStatus: 422,
  },
  API_SELF: {
    summary: 'People cannot change what they themselves may do, nor remove themselves.',
    remedy: 'Ask another administrator; where there is none, make one with airlock-server administrator.',
    decidedIn: 'packages/server/src/app/users.ts#otherUser',
    httpStatus: 403,
  },
  API_NOT_FOUND: {
    summary: 'What the request names is not there, or not for this caller.',
    remedy: 'Check the name.',
    decidedIn: 'packages/server/src/app/tuf-layout.ts#absent',
    httpStatus: 404,
  },
  API_CONFLICT: {
    summary: 'Something of this name exists with other content.',
    remedy: 'Take another name, or leave it as it is.',
    decidedIn: 'packages/server/src/app/devices.ts#createDevice',
    httpStatus: 409,
  },
  API_RACED: {
    summary: 'Another request changed the same thing at the same moment; nothing of this one was stored.',
    remedy: 'Read the newest state, look at it, and repeat the request.',
    decidedIn: 'packages/server/src/adapters/http/failure.ts#failureOf',
    httpStatus: 409,
  },
  API_PRECONDITION: {
    summary: 'What If-Match names is no longer the newest: somebody changed it meanwhile.',
    remedy: 'Read the newest state, look at it, and repeat with its ETag.',
    decidedIn: 'packages/server/src/app/assignments.ts#checkMatch',
    httpStatus: 412,
  },
  API_PRECONDITION_REQUIRED: {
    summary: 'Replacing this needs an If-Match header.',
    remedy: 'Read the present state and repeat with its ETag.',
    decidedIn: 'packages/server/src/app/assignments.ts#checkMatch',
    httpStatus: 428,
  },
  API_VERSION_USED: {
    summary: 'The version number was used before, or is not the next one.',
    remedy: 'Take the next higher number.',
    decidedIn: 'packages/server/src/app/proposal-checks.ts#checkNumber',
    httpStatus: 409,
  },
  API_RESERVED: {
    summary: 'Somebody else is signing this role: a proposal is open, or a number was reserved a moment ago.',
    remedy:
      'Sign the open proposal, or wait until it ended or was taken away; airlock queue shows whose it is.',
    decidedIn: 'packages/server/src/app/reservations.ts#checkFree',
    httpStatus: 409,
  },
  API_NOT_OFFLINE: {
    summary: 'The role is signed by the server itself, not by people.',
    remedy: 'Send only root, targets and functions.',
    decidedIn: 'packages/server/src/core/proposals.ts#readPresented',
    httpStatus: 422,
  },
  API_MISSING_FILE: {
    summary: 'The request refers to a file that was not uploaded.',
    remedy: 'Upload the file named first.',
    decidedIn: 'packages/server/src/app/proposal-checks.ts#checkNeeds',
    httpStatus: 409,
  },
  API_STATEMENT: {
    summary:
      'A signature of a function came without its statement, or with one that this server cannot take.',
    remedy:
      'Sign with airlock release approve, withdraw or renew, which make both; the message names what is wrong.',
    decidedIn: 'packages/server/src/app/statements.ts#takeStatements',
    httpStatus: 422,
  },
  API_RESTORED: {
    summary:
      'An offline file that existed is not here: the server was restored from an older backup. Nothing new is published.',
    remedy:
      "Hand back the files named from a signer's machine; dismiss what devices claim if it never existed.",
    decidedIn: 'packages/server/src/app/publishing.ts#checkNotMissing',
    httpStatus: 409,
  },
  API_ONLINE_KEYS: {
    summary: 'A root names online keys whose private halves are not at this server.',
    remedy: 'Make them with airlock-server online-keys and name them in the root.',
    decidedIn: 'packages/server/src/core/publication.ts#onlineSigners',
    httpStatus: 409,
  },
  API_NOT_PUBLISHED: {
    summary: 'Something that must be published first is not there yet.',
    remedy: 'Publish the root or the targets first.',
    decidedIn: 'packages/server/src/app/assignments.ts#judge',
    httpStatus: 409,
  },
  API_HASH: {
    summary: 'The body does not have the hash that its address names.',
    remedy: 'Send the right bytes; if they are right, suspect the network.',
    decidedIn: 'packages/server/src/app/products.ts#putImage',
    httpStatus: 422,
  },
  API_RANGE: {
    summary: 'The range lies outside the image.',
    remedy: 'Ask for bytes that the image has.',
    decidedIn: 'packages/server/src/adapters/http/image-answer.ts#sendImage',
    httpStatus: 416,
  },
  API_CERTIFICATE: {
    summary: 'The certificate cannot be read, or does not name the device.',
    remedy: 'Issue one with the SAN URI urn:airlock:device:<id>.',
    decidedIn: 'packages/server/src/app/devices.ts#readCertificate',
    httpStatus: 422,
  },
  API_NOT_YOURS: {
    summary: 'A device spoke for another device or product.',
    remedy: 'Suspect the device that sent it.',
    decidedIn: 'packages/server/src/app/reports.ts#takeReport',
    httpStatus: 403,
  },
  API_TOO_MANY: {
    summary: 'A device sent more reports than the server takes from one in an hour; this one was not stored.',
    remedy: 'Wait as long as the message says; a device that reports so often is broken, or not itself.',
    decidedIn: 'packages/server/src/app/reports.ts#takeReport',
    httpStatus: 429,
  },
  API_DISK_FULL: {
    summary: 'No space is left at the server; nothing was stored.',
    remedy: 'Free space in the folder of the server and repeat.',
    decidedIn: 'packages/server/src/adapters/http/failure.ts#failureOf',
    httpStatus: 507,
  },
  API_INTERNAL: {
    summary: 'The server failed.',
    remedy: "See the server's log; ask for the state and repeat.",
    decidedIn: 'packages/server/src/adapters/http/failure.ts#errorHandler',
    httpStatus: 500,
  },
  API_CONFIG: {
    summary: 'The configuration or the command line is not valid.',
    remedy: 'Correct the field or file named.',
    decidedIn: 'packages/server/src/config.ts#parseConfig',
  },
  API_KEYS: {
    summary: 'An online key cannot be opened.',
    remedy: 'Check the passphrase file and the key file named.',
    decidedIn: 'packages/server/src/adapters/key-folder.ts#refuseKey',
  },
  API_PORT_TAKEN: {
    summary: 'Another program listens on the port.',
    remedy: 'Stop it or choose another port.',
    decidedIn: 'packages/server/src/server.ts#listen',
  },
  API_FOLDER_IN_USE: {
    summary: 'Another server runs on the folder.',
    remedy: 'Stop it, or give each server a folder of its own.',
    decidedIn: 'packages/server/src/server.ts#lockFolder',
  },
} as const satisfies ErrorTable;

export type ApiCode = keyof typeof apiCodes;
