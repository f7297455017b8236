/**
 * What every act of a person begins with: a reason in words, and a confirmation of what was shown.
 *
 * Keeps true: nothing is signed that nobody confirmed. What is shown before is each command's.
 */
import type { Context } from './command.ts';
import { reasonCharactersMax } from './core/ceremony-file.ts';
import { stop } from './stop.ts';

/** The words of --reason. Stops with CLI_USAGE when there are none, or too many. */
export function requiredReason({ options }: Context): string {
  const reason = options.required('reason').trim();
  if (reason === '' || reason.length > reasonCharactersMax) {
    stop('CLI_USAGE', `--reason must say why, in 1 to ${reasonCharactersMax} characters`, '--reason');
  }
  return reason;
}

/**
 * The person repeats a word of what was shown: of this act, and of no other that they had in mind. `question` says what
 * to type; `read` takes away what a person may add to it, spaces around it by default. `--yes` stands for the answer.
 * Errors: CLI_CONFIRMATION when nobody is there, CLI_DECLINED for anything else than the word.
 */
export async function confirmSigning(
  { options, io }: Context,
  shown: string,
  question: string = shown,
  read: (typed: string) => string = (typed) => typed.trim(),
): Promise<void> {
  if (options.flag('yes')) return;
  if (io.terminal === undefined) {
    return stop(
      'CLI_CONFIRMATION',
      'nobody is here to confirm; say --yes after reading what is shown',
      '--yes',
    );
  }
  const typed = await io.terminal.ask(`To sign, type ${question}: `);
  if (read(typed) !== read(shown)) {
    stop('CLI_DECLINED', `"${typed}" is not ${shown}; nothing was signed`);
  }
}
