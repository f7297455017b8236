/**
 * The public halves of the server's online keys, which offline roots must name.
 *
 * They are made at the server and their private halves never leave it; asking again gives the same ones.
 */
import { type KeysAndThreshold, parsePublicKey, type PublicKey } from '@airlock/trust';
import type { Reader } from './fields.ts';
import { askServerProgram } from './server-program.ts';
import { need } from './stop.ts';

function oneKey(answer: Reader, role: string): KeysAndThreshold {
  const shown = answer.at('keys').at(role);
  // The id beside the key is for people; the one that counts follows from the key.
  const [keytype, scheme, keyval] = (['keytype', 'scheme', 'keyval'] as const).map(
    (name) => shown.at(name).value,
  );
  const key = need(parsePublicKey({ keytype, scheme, keyval }, `online key of ${role}`));
  return { keys: [key], threshold: 1 };
}

/** The audit log of the server: its name, and the key that signs its checkpoints. Policies name both. */
export async function auditLog(configFile: string) {
  const answer = await askServerProgram(['online-keys', '--config', configFile, '--for', 'audit']);
  const { keys } = oneKey(answer, 'checkpoint');
  const [key] = keys;
  if (key === undefined) throw new TypeError('one key was asked for');
  return { origin: answer.at('origin').text(), key };
}

/** Online keys of the director: `targets`, `snapshot`, `timestamp`. */
export async function directorOnlineKeys(configFile: string) {
  const answer = await askServerProgram(['online-keys', '--config', configFile, '--for', 'director']);
  return {
    targets: oneKey(answer, 'targets'),
    snapshot: oneKey(answer, 'snapshot'),
    timestamp: oneKey(answer, 'timestamp'),
  };
}

/** Online keys of a product's image repository: `snapshot`, `timestamp`. */
export async function imageOnlineKeys(configFile: string, product: string) {
  const answer = await askServerProgram(['online-keys', '--config', configFile, '--for', `image:${product}`]);
  return { snapshot: oneKey(answer, 'snapshot'), timestamp: oneKey(answer, 'timestamp') };
}

/** The next generation of online keys, made at the server of this home beside those in force; by role. */
export async function nextOnlineKeys(
  configFile: string,
  owner: OnlineOwner,
): Promise<ReadonlyMap<string, PublicKey>> {
  const answer = await askServerProgram([
    'online-keys',
    '--config',
    configFile,
    '--for',
    purposeOf(owner),
    '--next',
  ]);
  return readOnlineKeys(answer, owner);
}

/** Destroys, at the server of this home, the online keys that no root in force names. Answers their files. */
export async function retireOnlineKeys(configFile: string, owner: OnlineOwner): Promise<string[]> {
  const args = ['online-keys', '--config', configFile, '--for', purposeOf(owner), '--retire'];
  const answer = await askServerProgram(args);
  return answer
    .at('retired')
    .list()
    .map((name) => name.text());
}

/** What the server's program answered, also when it was run elsewhere and brought as a file. */
export function readOnlineKeys(answer: Reader, owner: OnlineOwner): ReadonlyMap<string, PublicKey> {
  const wanted = purposeOf(owner);
  if (answer.at('for').text() !== wanted) answer.at('for').refuse(`must be "${wanted}"`);
  const roles =
    owner.repository === 'director' ? ['targets', 'snapshot', 'timestamp'] : ['snapshot', 'timestamp'];
  return new Map(
    roles.flatMap((role) => oneKey(answer, role).keys.map((key): [string, PublicKey] => [role, key])),
  );
}

type OnlineOwner =
  | { readonly repository: 'image'; readonly product: string }
  | { readonly repository: 'director' };

function purposeOf(owner: OnlineOwner): string {
  return owner.repository === 'director' ? 'director' : `image:${owner.product}`;
}
