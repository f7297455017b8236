/** The standard TUF file layout: for other clients, for signers' machines, and for looking by hand. Reads only. */
import { fail, ok, type Result } from '@airlock/trust';
import { listersOf } from '../core/files.ts';
import { deviceOwner, directorOwner, imageOwner } from '../core/versions.ts';
import type { Context } from './context.ts';
import { loadDirector, loadImage, timestampOf } from './repositories.ts';

const rolePattern = /^([1-9]\d{0,15})\.([a-z][a-z0-9-]{0,31})\.json$/;
const policyPattern = /^targets\/([0-9a-f]{64})\.policy\.json$/;
const manifestPattern = /^targets\/([a-z][a-z0-9-]{0,31})\/([0-9a-f]{64})\.([1-9]\d{0,9})\.json$/;

const absent = (path: string) => fail('API_NOT_FOUND', `there is no file ${path.slice(0, 120)}`, 'path');

/** A file of a product's image repository. Error: API_NOT_FOUND. */
export async function imageFile(context: Context, product: string, path: string): Promise<Result<string>> {
  const { store } = context;
  if (path === 'timestamp.json') {
    const repository = await loadImage(store, product);
    return repository === undefined ? absent(path) : published(await timestampOf(context, repository), path);
  }
  const [, version, role] = rolePattern.exec(path) ?? [];
  if (role !== undefined) return found(await store.role(imageOwner(product), role, Number(version)), path);
  const [, policy] = policyPattern.exec(path) ?? [];
  if (policy !== undefined) return found(await store.document(product, policy), path);
  const [, lister, sha256, release] = manifestPattern.exec(path) ?? [];
  if (lister === undefined || sha256 === undefined) return absent(path);
  const repository = await loadImage(store, product);
  const listed = repository !== undefined && listersOf(repository, Number(release), sha256).includes(lister);
  return listed ? found(await store.document(product, sha256), path) : absent(path);
}

/** A file of one device's director metadata. Error: API_NOT_FOUND. */
export async function directorFile(context: Context, device: string, path: string): Promise<Result<string>> {
  if (path === 'timestamp.json') {
    const repository = await loadDirector(context.store, device);
    return repository === undefined ? absent(path) : published(await timestampOf(context, repository), path);
  }
  const [, version, role] = rolePattern.exec(path) ?? [];
  if (role === undefined) return absent(path);
  const owner = role === 'root' ? directorOwner : deviceOwner(device);
  return found(await context.store.role(owner, role, Number(version)), path);
}

function found(text: string | undefined, path: string): Result<string> {
  return text === undefined ? absent(path) : ok(text);
}

/** To a TUF client, what is not published yet is simply not there. */
function published(timestamp: Result<string>, path: string): Result<string> {
  return !timestamp.ok && timestamp.error.code === 'API_NOT_PUBLISHED' ? absent(path) : timestamp;
}
