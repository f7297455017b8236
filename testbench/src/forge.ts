/**
 * Forgery with stolen online keys: a director's metadata for one device, validly signed, saying what the thief wants.
 *
 * The signatures are good and the versions are higher than every one seen; nothing else about it is honest. Only the
 * demo and the attack tests use it.
 */
import {
  draftDirectorTargets,
  draftSnapshot,
  draftTimestamp,
  sha256Hex,
  type Signer,
  signDraft,
  type UtcSeconds,
} from '@airlock/trust';
import type { Files } from './hostile-server.ts';

/** The director's online keys by role, as opened with the server's passphrase. */
export interface StolenKeys {
  readonly targets: Signer;
  readonly snapshot: Signer;
  readonly timestamp: Signer;
}

/** The release that the thief wants installed. */
export interface ForgedRelease {
  readonly product: string;
  readonly version: number;
  readonly manifestText: string;
  /** Functions under whose name the manifest is laid out; whether they list it is another matter. */
  readonly functions: readonly string[];
}

/** The real director publishes a few versions in the time that a scenario takes. */
const versionsAhead = 1000;
let lastVersion = 0;
const weekSeconds = 7 * 24 * 3600;
const daySeconds = 24 * 3600;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Replaces the director's part of an answer: the device is told to install `release`. */
export function forgeDirector(options: {
  readonly answer: Files;
  readonly device: string;
  readonly keys: StolenKeys;
  readonly release: ForgedRelease;
  readonly now: UtcSeconds;
}): Files {
  const { answer, device, keys, release, now } = options;
  // Above every version that the real director has used: it takes them from Unix seconds.
  lastVersion = Math.max(lastVersion + 1, now + versionsAhead);
  const version = lastVersion;
  const term = { version, device, repository: 'director' as const };
  const manifest = encoder.encode(release.manifestText);
  const sha256 = sha256Hex(manifest);
  const assignment = {
    product: release.product,
    version: release.version,
    length: manifest.length,
    sha256,
    assignment: { rollout: 'stolen', consentRequired: false },
  };
  const targets = signDraft(
    draftDirectorTargets({ version, device, expires: now + weekSeconds, assignment }),
    [keys.targets],
  );
  const snapshot = signDraft(draftSnapshot({ ...term, expires: now + weekSeconds, roles: { targets } }), [
    keys.snapshot,
  ]);
  const timestamp = signDraft(draftTimestamp({ ...term, expires: now + daySeconds, issued: now, snapshot }), [
    keys.timestamp,
  ]);
  return {
    ...answer,
    etag: `"forged-${version}"`,
    files: {
      ...withoutDirector(answer.files),
      ...Object.fromEntries(
        release.functions.map((name) => [
          `image/targets/${name}/${sha256}.${release.version}.json`,
          release.manifestText,
        ]),
      ),
      [`director/${version}.targets.json`]: decoder.decode(targets),
      [`director/${version}.snapshot.json`]: decoder.decode(snapshot),
      'director/timestamp.json': decoder.decode(timestamp),
    },
  };
}

/** Gives one device another's director metadata. */
export function swapDirector(answer: Files, other: Files): Files {
  const theirs = Object.entries(other.files).filter(([path]) => isDirectorRole(path));
  return {
    ...answer,
    etag: `"swapped-${other.etag.length}-${theirs.length}"`,
    files: { ...withoutDirector(answer.files), ...Object.fromEntries(theirs) },
  };
}

/** Changes bytes of every manifest in an answer: `change` gets and gives the exact text. */
export function forgeManifest(answer: Files, change: (text: string) => string): Files {
  const entries = Object.entries(answer.files).map(([path, text]): [string, string] =>
    /^image\/targets\/[a-z0-9-]+\/[0-9a-f]{64}\.[0-9]+\.json$/.test(path)
      ? [path, change(text)]
      : [path, text],
  );
  return {
    ...answer,
    etag: `"forged-manifest-${encoder.encode(answer.etag).length}"`,
    files: Object.fromEntries(entries),
  };
}

function isDirectorRole(path: string): boolean {
  return path.startsWith('director/') && !path.endsWith('root.json');
}

function withoutDirector(files: Files['files']): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !isDirectorRole(path)));
}
