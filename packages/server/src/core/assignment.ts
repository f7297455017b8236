/**
 * Assigning a release: "the server refuses early, with a clear answer, whatever the device would refuse".
 *
 * The device's own check runs here, on exactly the files that it would get, from the roots that it was given; then
 * the manifest is compared with what the device last reported of itself. Pure. What a server cannot know (slot sizes,
 * boot-loader version, secure-boot fuses, data hooks) stays with the device.
 */
import {
  type Assignment,
  checkApplicability,
  checkTrust,
  draftDirectorTargets,
  draftSnapshot,
  fail,
  type Manifest,
  newTrustState,
  ok,
  parseDeviceRecord,
  readEnvelopeUnverified,
  type Result,
  signDraft,
  type TrustState,
  trustLimits,
  type UtcSeconds,
} from '@airlock/trust';
import type { DeviceReport } from '@airlock/protocol';
import type { Keyring } from '../ports/platform.ts';
import type { AssignmentRow, DeviceRow } from '../ports/store.ts';
import {
  directorPaths,
  type DirectorRepository,
  imagePaths,
  type ImageRepository,
  listersOf,
  manifestPath,
  rootViewOf,
} from './files.ts';
import { onlineSigners } from './publication.ts';
import { signTimestamp } from './timestamps.ts';
import { lifeSeconds, nextOnlineVersion } from './versions.ts';

/** What is assigned, with the bytes of its manifest. */
export interface Assigned {
  readonly row: Pick<AssignmentRow, 'product' | 'release' | 'manifestSha256'> & {
    readonly custom: Assignment;
  };
  readonly manifestText: string;
}

interface At {
  readonly now: UtcSeconds;
  readonly keyring: Keyring;
}

/**
 * The device's director metadata with this assignment (or none): new targets and a new snapshot, signed.
 * Error: API_ONLINE_KEYS when the director root names keys that are not here.
 */
export function writeDirectorSet(
  before: DirectorRepository,
  assigned: Assigned | undefined,
  at: At,
): Result<DirectorRepository> {
  const { roles } = rootViewOf(before.root.file);
  const signers = at.keyring.signers(roles.targets);
  const online = onlineSigners(before.root, at.keyring);
  if (!online.ok) return online;
  if (signers === undefined) {
    return fail(
      'API_ONLINE_KEYS',
      'the director root names targets keys that this server does not hold',
      'targets',
    );
  }
  const expires = at.now + lifeSeconds.directorSet;
  const { device } = before;
  const version = nextOnlineVersion(before.targets?.version, at.now);
  const draft = draftDirectorTargets({ device, version, expires, ...targetOf(assigned) });
  const targets = { role: 'targets', version, file: textOf(signDraft(draft, signers)) };
  const snapshotVersion = nextOnlineVersion(before.snapshot?.version, at.now);
  const snapshotDraft = draftSnapshot({
    repository: 'director',
    device,
    version: snapshotVersion,
    expires,
    roles: { targets: Buffer.from(targets.file) },
  });
  const file = textOf(signDraft(snapshotDraft, online.value.snapshot));
  return ok({ ...before, targets, snapshot: { role: 'snapshot', version: snapshotVersion, file } });
}

function targetOf(assigned: Assigned | undefined) {
  if (assigned === undefined) return {};
  const { product, release, manifestSha256, custom } = assigned.row;
  const length = Buffer.byteLength(assigned.manifestText);
  return { assignment: { product, version: release, length, sha256: manifestSha256, assignment: custom } };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/**
 * What the device would say to these repositories. Answers the manifest when it would install it.
 * Errors: the device's own.
 */
export function rehearseDevice(
  device: DeviceRow,
  image: ImageRepository,
  director: DirectorRepository,
  assigned: Assigned,
  at: At,
): Result<Manifest> {
  const identity = { product: device.product, device: device.device };
  const state = newTrustState({
    identity,
    imageRoot: image.root.file,
    directorRoot: director.root.file,
    deviceRecord: device.record,
    builtAt: 0,
  });
  if (!state.ok) return state;
  const files = servedFiles(image, director, assigned, at);
  if (!files.ok) return files;
  return run(identity, state.value, files.value, at.now);
}

function servedFiles(
  image: ImageRepository,
  director: DirectorRepository,
  assigned: Assigned,
  at: At,
): Result<{ readonly image: Map<string, string>; readonly director: Map<string, string> }> {
  const imageOnline = onlineSigners(image.root, at.keyring);
  if (!imageOnline.ok) return imageOnline;
  const directorOnline = onlineSigners(director.root, at.keyring);
  if (!directorOnline.ok) return directorOnline;
  if (image.snapshot === undefined || director.snapshot === undefined) {
    return fail('API_NOT_PUBLISHED', `${image.product} has published no targets yet`, 'product');
  }
  const stamp = (
    owner: Parameters<typeof signTimestamp>[0]['owner'],
    snapshot: { readonly version: number; readonly file: string },
    signers: Parameters<typeof signTimestamp>[0]['signers'],
  ) => signTimestamp({ owner, snapshot, now: at.now, signers }, Math.max(at.now, snapshot.version));
  const imageOwner = { repository: 'image', product: image.product } as const;
  const deviceOwner = { repository: 'director', device: director.device } as const;
  const imageFiles = imagePaths(image, stamp(imageOwner, image.snapshot, imageOnline.value.timestamp));
  const { release, manifestSha256 } = assigned.row;
  for (const lister of listersOf(image, release, manifestSha256)) {
    imageFiles.set(manifestPath(lister, manifestSha256, release), assigned.manifestText);
  }
  const timestamp = stamp(deviceOwner, director.snapshot, directorOnline.value.timestamp);
  return ok({ image: imageFiles, director: directorPaths(director, timestamp) });
}

function run(
  identity: { readonly product: string; readonly device: string },
  state: TrustState,
  files: { readonly image: Map<string, string>; readonly director: Map<string, string> },
  now: UtcSeconds,
): Result<Manifest> {
  const steps = checkTrust({ identity, state, now, source: 'network' });
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    const text = step.kind === 'fetch' ? files[step.repository].get(step.path) : undefined;
    next = steps.next(text === undefined ? undefined : Buffer.from(text));
  }
  const { verdict } = next.value;
  if (verdict.kind === 'approved') return ok(verdict.manifest);
  if (verdict.kind === 'refused') return { ok: false, error: verdict.error };
  return fail('API_NOT_PUBLISHED', 'the director names nothing');
}

/**
 * Whether the manifest suits what is known of the device: its record, and what it last reported.
 * Errors: those of `checkApplicability` that a server can judge.
 */
export function checkSuits(
  manifest: Manifest,
  manifestSha256: string,
  device: DeviceRow,
  reported: DeviceReport | undefined,
  secureBootRevoked: readonly string[],
): Result<true> {
  const envelope = readEnvelopeUnverified(Buffer.from(device.record), trustLimits.recordBytesMax);
  if (!envelope.ok) return envelope;
  const record = parseDeviceRecord(envelope.value);
  if (!record.ok) return record;
  const unlimited = { A: Number.MAX_SAFE_INTEGER, B: Number.MAX_SAFE_INTEGER };
  const bootedGroup = reported?.bootedGroup ?? (manifest.slot === 'A' ? 'B' : 'A');
  const fallback = reported !== undefined && reported.bootedGroup !== reported.confirmedGroup;
  const answer = checkApplicability(
    manifest,
    {
      product: record.value.product,
      hardware: record.value.hardware,
      bootedGroup,
      bootedVersion: reported?.booted.version ?? manifest.requires.installedMin ?? 0,
      confirmedVersion: reported?.confirmed.version ?? 0,
      floor: reported?.floor ?? 0,
      // Not known here: such values are taken that nothing is refused for them.
      bootloaderVersion: manifest.requires.bootloaderMin ?? 0,
      slots: Object.fromEntries(manifest.images.map(({ component }) => [component, unlimited])),
      secureBootTrusted: undefined,
      secureBootRevoked,
      fallbackReads: undefined,
      hasDataHook: true,
      ...(fallback ? { repair: reported.confirmed.manifestSha256 } : {}),
    },
    manifestSha256,
  );
  return answer.ok ? ok(true) : answer;
}
