/** What a signer's machine of the tests states about the role that it signed: the step from what is in force. */
import { type LogIdentity, openCheckpoint, signStatement, type Statement } from '@airlock/audit';
import { draftOf, type FunctionView, readRole, sha256Hex, type Signer } from '@airlock/trust';
import { product } from './names.ts';

/** As much of a world as a signer's machine sees and holds. */
interface World {
  people(
    method: string,
    url: string,
  ): Promise<{ readonly body: Record<string, unknown>; readonly bytes: Buffer }>;
  readonly audit: LogIdentity;
  readonly clock: { now(): number };
  readonly keys: Readonly<Record<Name, Signer>>;
}

type Name = 'engineering' | 'quality';
type Releases = FunctionView['releases'];

async function releasesInForce(world: World, role: Name): Promise<Releases> {
  const { body } = await world.people('GET', `/api/v1/products/${product}`);
  const published = body['published'] as Record<string, number> | undefined;
  const version = published?.[role];
  if (version === undefined) return [];
  const file = await world.people('GET', `/api/v1/products/${product}/tuf/${version}.${role}.json`);
  const view = readRole(file.bytes);
  return view.ok && view.value.kind === 'function' ? view.value.releases : [];
}

/** The newest checkpoint, verified. */
export async function checkpointOf(world: World) {
  const note = await world.people('GET', '/api/v1/audit/checkpoint');
  const opened = openCheckpoint(note.bytes, world.audit);
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value;
}

export async function stateOf(
  world: World,
  role: Name,
  file: string,
  changes: Partial<Statement> = {},
): Promise<Statement | undefined> {
  const view = readRole(Buffer.from(file));
  const draft = draftOf(Buffer.from(file));
  if (!view.ok || view.value.kind !== 'function' || !draft.ok) return undefined;
  const before = await releasesInForce(world, role);
  const now = view.value.releases;
  const added = now.find((entry) => !before.some((old) => old.sha256 === entry.sha256));
  const removed = before.find((old) => !now.some((entry) => entry.sha256 === old.sha256));
  const about = added ?? removed;
  const { origin, size, root } = await checkpointOf(world);
  const meaning = about === undefined ? 'renewed' : about === added ? 'approved for release' : 'withdrawn';
  return {
    product,
    function: role,
    roleVersion: view.value.version,
    signedSha256: sha256Hex(draft.value.bytesToSign),
    ...(about === undefined ? {} : { release: { version: about.version, manifestSha256: about.sha256 } }),
    meaning,
    reason: meaning === 'withdrawn' ? 'CAPA-1' : '',
    signer: { keyId: world.keys[role].publicKey.keyId, holder: `${role}-1`, name: role },
    time: world.clock.now(),
    checkpoint: { origin, size, rootSha256: Buffer.from(root).toString('hex') },
    ...changes,
  };
}

export async function statementsFor(world: World, role: Name, file: string): Promise<string[]> {
  const statement = await stateOf(world, role, file);
  if (statement === undefined) return [];
  return [Buffer.from(signStatement(statement, world.keys[role])).toString()];
}
