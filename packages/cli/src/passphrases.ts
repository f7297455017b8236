/**
 * Passphrases: from a person at a terminal, or from a file or variable, and then known as `unattended`.
 *
 * They never stand on a command line (every user of the machine can list those), are never printed, and are kept no
 * longer than the command runs. Whether an unattended one may be used is decided here: for products of class B and C
 * only where the image root says `demo: true` (21 CFR 11.200: the secret is the signer's own act).
 */
import type { SafetyClass } from '@airlock/trust';
import { readTextFile } from './files.ts';
import type { CliIo } from './io.ts';
import { need, stop } from './stop.ts';

/** Shorter ones are guessed from a stolen key file in days, whatever scrypt costs. */
const passphraseCharactersMin = 8;
/** A file of passphrases that is longer is not one. */
const passphraseFileBytesMax = 4_096;
const passphraseVariable = 'AIRLOCK_PASSPHRASE';

export class Passphrases {
  /** True when nobody types: the passphrase comes from a file or a variable. */
  readonly unattended: boolean;
  readonly #io: CliIo;
  readonly #file: string | undefined;

  constructor(io: CliIo, file: string | undefined) {
    this.#io = io;
    this.#file = file;
    this.unattended = file !== undefined || io.env[passphraseVariable] !== undefined;
  }

  /** For a key that is being made: asked twice. `key` is shown in the question. */
  async forNewKey(key: string): Promise<string> {
    if (this.unattended) return longEnough(await this.#unattended());
    const first = longEnough(await this.#typed(`New passphrase for ${key}: `));
    const second = await this.#typed(`The same again for ${key}: `);
    if (first !== second) {
      return stop('CLI_PASSPHRASE_DIFFERS', `the two passphrases for ${key} are not the same`);
    }
    return first;
  }

  /** For a key that is there: asked once, anew each time. */
  async forKey(key: string): Promise<string> {
    return this.unattended ? await this.#unattended() : await this.#typed(`Passphrase for ${key}: `);
  }

  /** The PIN of the token that holds `key`: asked for like a passphrase, and under the same rules. */
  async forToken(key: string, token: string): Promise<string> {
    return this.unattended
      ? await this.#unattended()
      : await this.#typed(`PIN of token ${token} for ${key}: `);
  }

  async #unattended(): Promise<string> {
    if (this.#file === undefined) return this.#io.env[passphraseVariable] ?? '';
    const text = need(await readTextFile(this.#file, passphraseFileBytesMax), '--passphrase-file');
    // Editors end a file with a line break that nobody means.
    return text.replace(/\r?\n$/, '');
  }

  async #typed(question: string): Promise<string> {
    if (this.#io.terminal === undefined) {
      return stop(
        'CLI_PASSPHRASE_NEEDED',
        `a passphrase is needed and there is no terminal to ask at`,
        '--passphrase-file',
      );
    }
    return await this.#io.terminal.askSecret(question);
  }
}

function longEnough(passphrase: string): string {
  if (passphrase.length < passphraseCharactersMin) {
    return stop('CLI_PASSPHRASE_SHORT', `a passphrase has at least ${passphraseCharactersMin} characters`);
  }
  return passphrase;
}

/** Stops with CLI_UNATTENDED when nobody types and the product is of class B or C and its root is not a demo's. */
export function requireAttended(
  passphrases: Passphrases,
  product: { readonly product: string; readonly classes: readonly SafetyClass[]; readonly demo: boolean },
): void {
  if (!passphrases.unattended || product.demo) return;
  const strict = product.classes.filter((safetyClass) => safetyClass !== 'A');
  if (strict.length === 0) return;
  stop(
    'CLI_UNATTENDED',
    `${product.product} is of class ${strict.join(' and ')}: its passphrases are typed, unless its root says demo`,
    '--passphrase-file',
  );
}
