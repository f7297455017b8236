/**
 * The keys of a home: making, sealing, finding and opening them, in sealed files and in tokens (PKCS#11).
 *
 * A private key exists in clear only in the memory of the command that uses it, and one in a token not even there. Files are found by their public half,
 * so that no list of keys can disagree with the keys. Each opening is noted, and whoever makes an act of it records
 * the use before its signature leaves.
 */
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import {
  openPrivateKey,
  type PublicKey,
  publicKeyFrom,
  sealPrivateKey,
  type Signer,
  signerFrom,
  trustLimits,
} from '@airlock/trust';
import { encodeTokenKey, readKeyFile, type TokenPlace } from './core/token-key.ts';
import { type NewFile, readSmallFile, secretMode } from './files.ts';
import type { Home, KeyUse } from './home.ts';
import type { CliIo } from './io.ts';
import type { Passphrases } from './passphrases.ts';
import { need, stop } from './stop.ts';
import { instant } from './output.ts';
import { type TokenAsk, Tokens } from './token.ts';

export const keyTypes = ['ed25519', 'p256'] as const;
export type KeyType = (typeof keyTypes)[number];

const suffix = '.key.json';

/** A key file and the public key that it shows. */
export interface StoredKey {
  /** Name without folder and suffix: `pump.quality.ada`. */
  readonly name: string;
  readonly file: string;
  readonly publicKey: PublicKey;
  /** Only the public half was brought here: it can be named in a product and cannot sign. */
  readonly publicOnly?: true;
  /** The private key is in this token, not in the file. */
  readonly place?: TokenPlace;
}

/** A key that was made, or brought, and not yet written into the home. */
export interface NewKey extends StoredKey {
  readonly signer: Signer;
  readonly sealed: NewFile;
}

export function generateKey(type: KeyType): KeyObject {
  return type === 'ed25519'
    ? generateKeyPairSync('ed25519').privateKey
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** The ring of one command: opens and makes keys, and remembers which were used. */
export class KeyRing {
  readonly #home: Home;
  readonly #io: CliIo;
  readonly passphrases: Passphrases;
  readonly #opened = new Map<string, string>();
  readonly #tokens = new Tokens();

  constructor(home: Home, io: CliIo, passphrases: Passphrases) {
    this.#home = home;
    this.#io = io;
    this.passphrases = passphrases;
  }

  /** Seals a new key, or `privateKey` when that is given; the caller writes `sealed`. */
  async make(name: string, type: KeyType, privateKey: KeyObject = generateKey(type)): Promise<NewKey> {
    const passphrase = await this.passphrases.forNewKey(name);
    const bytes = sealPrivateKey({ privateKey, passphrase, salt: randomBytes(16), nonce: randomBytes(12) });
    const file = this.#home.keyFile(name);
    const publicKey = publicKeyFrom(privateKey);
    this.#opened.set(publicKey.keyId, name);
    const sealed = { path: file, bytes, mode: secretMode };
    return { name, file, publicKey, signer: signerFrom(privateKey), sealed };
  }

  /** Makes a key inside a token, or takes up one that is there; the caller writes `sealed`, which holds no secret. */
  async makeInToken(name: string, type: KeyType | undefined, ask: TokenAsk) {
    const module = await this.#tokens.module(ask.module);
    const pin = module.hasKeypad(ask) ? '' : await this.passphrases.forToken(name, ask.token);
    const { place, publicKey } = type === undefined ? module.existing(ask, pin) : module.make(ask, type, pin);
    const file = this.#home.keyFile(name);
    const sealed: NewFile = { path: file, bytes: encodeTokenKey(publicKey, place), mode: secretMode };
    return { name, file, publicKey, place, sealed };
  }

  /** A key file that somebody brought, opened: it gets its place in the home under `name`. */
  async adopt(name: string, brought: string): Promise<NewKey> {
    const bytes = need(await readSmallFile(brought, trustLimits.keyFileBytesMax));
    const key = need(readKeyFile(bytes, brought), brought);
    const file = this.#home.keyFile(name);
    const signer = await this.signer({ name, file: brought, ...key });
    return { name, file, ...key, signer, sealed: { path: file, bytes, mode: secretMode } };
  }

  /** Lets go of the tokens' modules. */
  close(): void {
    this.#tokens.close();
  }

  /** Every readable key file, sorted by name. A file that is no key file stops the command (KEY_FILE). */
  async list(): Promise<StoredKey[]> {
    const names = await readdir(this.#home.path('keys')).catch((): string[] => []);
    const keys: StoredKey[] = [];
    for (const fileName of names.toSorted()) {
      if (fileName.endsWith(suffix)) keys.push(await this.#read(fileName.slice(0, -suffix.length)));
    }
    return keys;
  }

  async #read(name: string): Promise<StoredKey> {
    const file = this.#home.keyFile(name);
    const bytes = need(await readSmallFile(file, trustLimits.keyFileBytesMax));
    return { name, file, ...need(readKeyFile(bytes, file), file) };
  }

  /** Those keys of this home that are among `wanted`. */
  async find(wanted: readonly PublicKey[]): Promise<StoredKey[]> {
    const held = await this.list();
    return held.filter((key) => wanted.some(({ spkiSha256 }) => spkiSha256 === key.publicKey.spkiSha256));
  }

  /** The private key of a file: asks for its passphrase. Stops with KEY_PASSPHRASE or KEY_FILE, naming the file. */
  async open(stored: StoredKey): Promise<KeyObject> {
    if (stored.place !== undefined) {
      stop(
        'CLI_TOKEN',
        `${stored.name} never leaves its token, and this act needs a key in a file`,
        stored.file,
      );
    }
    const bytes = need(await readSmallFile(stored.file, trustLimits.keyFileBytesMax));
    const passphrase = await this.passphrases.forKey(stored.name);
    const privateKey = need(openPrivateKey(bytes, passphrase), stored.file);
    this.#opened.set(stored.publicKey.keyId, stored.name);
    return privateKey;
  }

  async openNamed(name: string): Promise<KeyObject> {
    return await this.open(await this.#read(name));
  }

  async signer(stored: StoredKey): Promise<Signer> {
    const { place, publicKey, name } = stored;
    if (place === undefined) return signerFrom(await this.open(stored));
    const module = await this.#tokens.module(place.module);
    const pin = module.hasKeypad(place) ? '' : await this.passphrases.forToken(name, place.token);
    const signer = module.signer(place, publicKey, pin);
    this.#opened.set(publicKey.keyId, name);
    return signer;
  }

  /** Opens as many of the keys in this home as the threshold asks; stops with CLI_KEY_MISSING when there are fewer. */
  async signersFor(role: string, keys: readonly PublicKey[], threshold: number): Promise<Signer[]> {
    const held = await this.find(keys);
    if (held.length < threshold) {
      return stop(
        'CLI_KEY_MISSING',
        `${role} needs ${threshold} of its ${keys.length} keys, this home holds ${held.length}`,
        this.#home.path('keys'),
      );
    }
    const signers: Signer[] = [];
    for (const stored of held.slice(0, threshold)) signers.push(await this.signer(stored));
    return signers;
  }

  /**
   * Records every key that this command opened or made since it last recorded, under one act. Called before anything
   * that they signed leaves this machine.
   */
  async record(act: string, reason?: string): Promise<void> {
    const time = instant(this.#io.now());
    const { unattended } = this.passphrases;
    const uses = [...this.#opened].map(
      ([keyId, key]): KeyUse => ({ time, keyId, key, act, unattended, ...(reason ? { reason } : {}) }),
    );
    await this.#home.recordKeyUse(uses);
    this.#opened.clear();
  }
}
