/**
 * Passwords and one-time secrets at the keyboard, or from a file of their own.
 *
 * They never stand on a command line (every user of the machine can list those) and are never printed. They are no
 * passphrases of keys: those are asked for at each signature (passphrases.ts).
 */
import { peopleLimits } from '@airlock/protocol';
import type { Context } from './command.ts';
import { readTextFile } from './files.ts';
import { need, stop } from './stop.ts';

/** A file of one secret; more is another file. */
const secretFileBytesMax = 4_096;

/** From the file that the option names, or typed. */
async function secretOf(context: Context, option: string, question: string): Promise<string> {
  const file = context.options.text(option);
  if (file !== undefined) {
    return need(await readTextFile(context.path(file), secretFileBytesMax), `--${option}`).replace(
      /\r?\n$/,
      '',
    );
  }
  const { terminal } = context.io;
  if (terminal !== undefined) return await terminal.askSecret(question);
  return stop(
    'CLI_PASSPHRASE_NEEDED',
    'a password is needed and there is no terminal to ask at',
    `--${option}`,
  );
}

/** The password, or the one-time secret, of a user. */
export async function passwordOf(context: Context, user: string): Promise<string> {
  return await secretOf(context, 'password-file', `Password or one-time secret of ${user}: `);
}

/** A new password, asked for twice. Stops with CLI_PASSPHRASE_DIFFERS. */
export async function newPasswordOf(context: Context, user: string): Promise<string> {
  const { passwordCharactersMin: min } = peopleLimits;
  const first = await secretOf(
    context,
    'new-password-file',
    `New password of ${user}, ${min} characters or more: `,
  );
  if (context.options.has('new-password-file')) return first;
  const second = await secretOf(context, 'new-password-file', 'The same again: ');
  return first === second
    ? first
    : stop('CLI_PASSPHRASE_DIFFERS', `the two passwords of ${user} are not the same`);
}
