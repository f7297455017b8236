/**
 * Passwords of users of this server: argon2id (RFC 9106) as Node has it, and what a new one must be like.
 *
 * Keeps true: the password is in no answer and no message; comparing takes the same time for an unknown user; what is
 * stored names its own cost, so that it can be raised later. Leaves to others: where salts come from, and how often
 * somebody may try (app/sign-in.ts).
 */
import { argon2, timingSafeEqual } from 'node:crypto';
import { peopleLimits } from '@airlock/protocol';
import { fail, ok, type Result } from '@airlock/trust';

/** RFC 9106, second recommendation: three passes over 64 MiB in four lanes; a third of a second of one core. */
const cost = { memory: 65_536, passes: 3, parallelism: 4 } as const;
const tagLength = 32;
export const saltBytes = 16;
/** `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`, as other tools write it. */
const storedPattern =
  /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{43})$/;

interface Cost {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

function derive(password: string, nonce: Uint8Array, { memory, passes, parallelism }: Cost): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  // One person's keyboard composes letters where another's does not (NIST SP 800-63B-4: normalise).
  const message = password.normalize('NFKC');
  argon2('argon2id', { message, nonce, memory, passes, parallelism, tagLength }, (error, tag) => {
    if (error === null) resolve(tag);
    else reject(error);
  });
  return promise;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');

export async function hashPassword(password: string, salt: Uint8Array): Promise<string> {
  const tag = await derive(password, salt, cost);
  const { memory, passes, parallelism } = cost;
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${base64(salt)}$${base64(tag)}`;
}

/** Whether this is the password. Without a stored one - an unknown user - it takes as long and answers no. */
export async function checkPassword(password: string, stored: string | undefined): Promise<boolean> {
  const [, memory, passes, parallelism, salt = '', hash = ''] = storedPattern.exec(stored ?? '') ?? [];
  if (memory === undefined) {
    await derive(password, new Uint8Array(saltBytes), cost);
    return false;
  }
  const own = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  const tag = await derive(password, Buffer.from(salt, 'base64'), own);
  return timingSafeEqual(tag, Buffer.from(hash, 'base64'));
}

/** Length, and not what an attacker tries first. Error: API_PASSWORD; it repeats nothing of the password. */
export function judgeNewPassword(
  password: string,
  of: { readonly user: string; readonly before: string },
): Result<true> {
  const { passwordCharactersMin: min } = peopleLimits;
  const refused = (why: string) => fail('API_PASSWORD', `newPassword: ${why}`, 'newPassword');
  const characters = Array.from(password);
  if (characters.length < min) return refused(`must have at least ${min} characters`);
  if (password === of.before) return refused('must be another one than before');
  if (password.toLowerCase().includes(of.user)) return refused('must not hold the name of the user');
  // "aaaaaaaaaaaaaaa" and "abababababababa" are long and worthless.
  const distinctMin = 5;
  if (new Set(characters).size < distinctMin) {
    return refused(`must have at least ${distinctMin} different characters`);
  }
  return ok(true);
}
