/** What the audit log says of signatures and of roles that come into force: one entry each, in the act's transaction. */
import { type FunctionView, sha256Hex, type UtcSeconds } from '@airlock/trust';
import { type ImageRepository, viewOf } from '../core/files.ts';
import type { RoleFile, StoreParts } from '../ports/store.ts';
import { type Actor, record } from './audit.ts';
import type { TakenStatement } from './statements.ts';

const fileSha256 = ({ file }: RoleFile): string => sha256Hex(Buffer.from(file));

function inForce({ root, roles }: ImageRepository, role: string): RoleFile | undefined {
  return role === 'root' ? root : roles.get(role);
}

export interface Signing {
  readonly product: string;
  readonly row: RoleFile;
  /** SHA-256 of the signed part. */
  readonly signedSha256: string;
  /** Keys whose signatures are new with this act. */
  readonly keyIds: readonly string[];
  readonly statements: readonly TakenStatement[];
}

/** One entry for each new signature; a statement is stored with the number of its entry. */
export async function recordSigning(
  store: StoreParts,
  by: Actor,
  now: UtcSeconds,
  signing: Signing,
): Promise<void> {
  const { product, row, signedSha256, keyIds, statements } = signing;
  const { role, version } = row;
  for (const keyId of keyIds) {
    const taken = statements.find((one) => one.keyId === keyId);
    const entry = await record(store, by, now, {
      act: 'role.sign',
      function: role,
      subject: { product, role, version },
      after: { signedSha256, keyId, ...(taken === undefined ? {} : factsOf(taken)) },
      ...(taken === undefined ? {} : { reason: taken.statement.reason }),
    });
    if (taken === undefined) continue;
    const { statement: _, sha256: __, ...rest } = taken;
    await store.addStatement({ ...rest, entry });
  }
}

function factsOf({ statement, sha256 }: TakenStatement) {
  const { meaning, release } = statement;
  return {
    statement: sha256,
    meaning,
    ...(release === undefined ? {} : { release: release.version, manifestSha256: release.manifestSha256 }),
  };
}

/** One entry for each role that comes into force. */
export async function recordPublished(
  store: StoreParts,
  by: Actor,
  now: UtcSeconds,
  published: ImageRepository,
  changes: readonly RoleFile[],
): Promise<void> {
  for (const change of changes) {
    const before = inForce(published, change.role);
    await record(store, by, now, {
      act: 'role.publish',
      subject: { product: published.product, role: change.role, version: change.version },
      before: before === undefined ? undefined : factsOfRole(before),
      after: factsOfRole(change),
    });
  }
}

function factsOfRole(file: RoleFile) {
  const view = viewOf(file.file);
  return {
    version: file.version,
    sha256: fileSha256(file),
    signedBy: view.signatures.map(({ keyId }) => keyId),
    ...(view.kind === 'function' ? { releases: releasesOf(view) } : {}),
  };
}

/** The newest stand in the entry; the whole list stands in the file, whose hash is here. */
const releasesShownMax = 32;

function releasesOf({ releases }: FunctionView): string[] {
  const versions = releases.map(({ version }) => version).toSorted((a, b) => b - a);
  return versions.slice(0, releasesShownMax).map(String);
}
