/**
 * Private keys in a token, spoken to by PKCS#11: finding, making and signing with them.
 *
 * Keeps true: the private key never leaves the token; every signature is one login with the PIN, one signature, one
 * logout, so that no other program and no later command finds the token open; a signature is verified under the public
 * key of the person's file before anybody sees it, so that a token which was swapped, or a module that lies, signs
 * nothing that counts. The library is loaded at the first use, and is optional: without it everything but tokens works.
 * Leaves to others: the PIN's way from the person (passphrases.ts), the conversions (core/token-key.ts).
 */
import { createHash, randomBytes } from 'node:crypto';
import { type PublicKey, type Signer, verifySignature } from '@airlock/trust';
import type * as Pkcs11 from 'pkcs11js';
import { derOfRaw, publicKeyOfPoint, type TokenPlace } from './core/token-key.ts';
import { need, Stop, stop } from './stop.ts';

/** Values of PKCS#11 3.0 that the library does not name. */
const ckmEcEdwardsKeyPairGen = 0x1055;
const ckmEddsa = 0x1057;
const ckkEcEdwards = 0x40;
/** CKA_EC_PARAMS: the name of the curve as PrintableString, and the OID of P-256. */
const paramsEd25519 = Buffer.from('130c656477617264733235353139', 'hex');
const paramsP256 = Buffer.from('06082a8648ce3d030107', 'hex');
/** Bytes of a key's CKA_ID: 128 random bits are never met twice. */
const idBytes = 16;
/** Both kinds give 64 bytes; a token that wants to write more is refused by the library. */
const signatureBytesMax = 128;
/** More keys under one label and id than this are not worth telling. */
const foundMax = 8;

type TokenKeyType = 'ed25519' | 'p256';

/** What names a key before its place is known in full. */
export interface TokenAsk {
  readonly module: string;
  readonly token: string;
  readonly label: string;
  readonly serial?: string;
}

async function library(): Promise<typeof Pkcs11> {
  try {
    // CommonJS: its constants are seen on the default only.
    return (await import('pkcs11js')).default;
  } catch {
    return stop(
      'CLI_TOKEN',
      'the package pkcs11js, which speaks to tokens, could not be built here when Airlock was installed',
    );
  }
}

/** PKCS#11 names its errors CKR_*; those of the PIN are told apart, since repeating them locks the token. */
const pinErrors = new Set([
  'CKR_PIN_INCORRECT',
  'CKR_PIN_LOCKED',
  'CKR_PIN_EXPIRED',
  'CKR_PIN_INVALID',
  'CKR_PIN_LEN_RANGE',
]);

function refused(error: unknown, what: string): Stop {
  const name = error instanceof Error ? (/CKR_[A-Z_]+/.exec(error.message)?.[0] ?? error.name) : 'unknown';
  if (pinErrors.has(name)) {
    return new Stop({ code: 'CLI_TOKEN_PIN', message: `${what}: the token refuses the PIN (${name})` });
  }
  return new Stop({ code: 'CLI_TOKEN', message: `${what}: ${name}` });
}

/** The modules that one command has loaded; closed when it ends. */
export class Tokens {
  readonly #modules = new Map<string, Token>();

  /** Loads and initialises a module once. Stops with CLI_TOKEN, naming it. */
  async module(path: string): Promise<Token> {
    const held = this.#modules.get(path);
    if (held !== undefined) return held;
    const names = await library();
    const opened = new Token(names, path);
    this.#modules.set(path, opened);
    return opened;
  }

  close(): void {
    for (const module of this.#modules.values()) module.close();
    this.#modules.clear();
  }
}

/** One module. Every method opens a session of its own and closes it. */
class Token {
  readonly #names: typeof Pkcs11;
  readonly #api: Pkcs11.PKCS11;
  readonly #path: string;

  constructor(names: typeof Pkcs11, path: string) {
    this.#names = names;
    this.#path = path;
    this.#api = new names.PKCS11();
    try {
      this.#api.load(path);
      this.#api.C_Initialize();
    } catch (error) {
      throw refused(error, `the module ${path} cannot be loaded`);
    }
  }

  close(): void {
    try {
      this.#api.C_Finalize();
      this.#api.close();
    } catch {
      // The process ends anyway; what a module says while it is put away helps nobody.
    }
  }

  /** The token's PIN is typed at the token itself: it has a keypad, and no program sees it. */
  hasKeypad(ask: TokenAsk): boolean {
    const { flags } = this.#find(ask).info;
    return (flags & this.#names.CKF_PROTECTED_AUTHENTICATION_PATH) !== 0;
  }

  /** Makes a key pair inside the token: sensitive, never extractable. Gives back its place and public key. */
  make(ask: TokenAsk, type: TokenKeyType, pin: string): { place: TokenPlace; publicKey: PublicKey } {
    const names = this.#names;
    const id = randomBytes(idBytes);
    return this.#session(ask, pin, true, (session) => {
      if (this.#search(session, names.CKO_PRIVATE_KEY, ask.label).length > 0) {
        stop('CLI_EXISTS', `token ${ask.token} holds a key ${ask.label} already`, '--label');
      }
      const both = [
        { type: names.CKA_TOKEN, value: true },
        { type: names.CKA_LABEL, value: ask.label },
        { type: names.CKA_ID, value: id },
      ];
      const pair = this.#api.C_GenerateKeyPair(
        session,
        { mechanism: type === 'ed25519' ? ckmEcEdwardsKeyPairGen : names.CKM_EC_KEY_PAIR_GEN },
        [
          ...both,
          { type: names.CKA_KEY_TYPE, value: type === 'ed25519' ? ckkEcEdwards : names.CKK_EC },
          { type: names.CKA_VERIFY, value: true },
          { type: names.CKA_EC_PARAMS, value: type === 'ed25519' ? paramsEd25519 : paramsP256 },
        ],
        [
          ...both,
          { type: names.CKA_PRIVATE, value: true },
          { type: names.CKA_SENSITIVE, value: true },
          { type: names.CKA_EXTRACTABLE, value: false },
          { type: names.CKA_SIGN, value: true },
        ],
      );
      return { place: this.#place(ask, id), publicKey: this.#publicKey(session, pair.publicKey) };
    });
  }

  /** A key that is in the token already, made there by another tool. */
  existing(ask: TokenAsk, pin: string): { place: TokenPlace; publicKey: PublicKey } {
    const names = this.#names;
    return this.#session(ask, pin, false, (session) => {
      const key = this.#only(session, ask, undefined);
      const id = this.#attribute(session, key, names.CKA_ID);
      if (id.length === 0) stop('CLI_TOKEN', `key ${ask.label} has no CKA_ID; give it one`, '--label');
      if (this.#flag(session, key, names.CKA_EXTRACTABLE)) {
        stop('CLI_TOKEN', `key ${ask.label} may leave its token (CKA_EXTRACTABLE); make one that may not`);
      }
      const [half] = this.#search(session, names.CKO_PUBLIC_KEY, ask.label, id);
      if (half === undefined) {
        return stop('CLI_TOKEN', `token ${ask.token} does not hold the public half of ${ask.label}`);
      }
      return { place: this.#place(ask, id), publicKey: this.#publicKey(session, half) };
    });
  }

  /** A signer for the key of a file. Tries the PIN and finds the key now, so that nothing fails half way through. */
  signer(place: TokenPlace, publicKey: PublicKey, pin: string): Signer {
    const id = Buffer.from(place.id, 'hex');
    this.#session(place, pin, false, (session) => this.#only(session, place, id));
    return {
      publicKey,
      sign: (bytes) => {
        const raw = this.#session(place, pin, false, (session) =>
          this.#sign(session, this.#only(session, place, id), publicKey, bytes, pin),
        );
        const signature = publicKey.keytype === 'ecdsa' ? need(derOfRaw(raw)) : raw;
        if (verifySignature(publicKey, bytes, signature)) return signature;
        return stop(
          'CLI_TOKEN',
          `token ${place.token} signs with another key than ${place.label} was when its file was made`,
        );
      },
    };
  }

  #sign(session: Buffer, key: Buffer, publicKey: PublicKey, bytes: Uint8Array, pin: string): Buffer {
    const names = this.#names;
    const ecdsa = publicKey.keytype === 'ecdsa';
    const eachTime = this.#flag(session, key, names.CKA_ALWAYS_AUTHENTICATE);
    this.#api.C_SignInit(session, { mechanism: ecdsa ? names.CKM_ECDSA : ckmEddsa }, key);
    if (eachTime) this.#api.C_Login(session, names.CKU_CONTEXT_SPECIFIC, pin);
    // CKM_ECDSA signs a hash, CKM_EDDSA the message itself.
    const input = ecdsa ? createHash('sha256').update(bytes).digest() : Buffer.from(bytes);
    return this.#api.C_Sign(session, input, Buffer.alloc(signatureBytesMax));
  }

  /** Runs `work` logged in. Whatever happens, the token is logged out and the session closed. */
  #session<T>(ask: TokenAsk, pin: string, write: boolean, work: (session: Buffer) => T): T {
    const names = this.#names;
    const what = `token ${ask.token}, key ${ask.label}`;
    try {
      const { slot, info } = this.#find(ask);
      const mode = names.CKF_SERIAL_SESSION | (write ? names.CKF_RW_SESSION : 0);
      const session = this.#api.C_OpenSession(slot, mode);
      try {
        const keypad = (info.flags & names.CKF_PROTECTED_AUTHENTICATION_PATH) !== 0;
        if (keypad) this.#api.C_Login(session, names.CKU_USER);
        else this.#api.C_Login(session, names.CKU_USER, pin);
        return work(session);
      } finally {
        this.#api.C_CloseAllSessions(slot);
      }
    } catch (error) {
      throw error instanceof Stop ? error : refused(error, what);
    }
  }

  /** The one token of that label (and serial number, when it is known). */
  #find(ask: TokenAsk): { slot: Buffer; info: Pkcs11.TokenInfo } {
    const tokens = this.#api
      .C_GetSlotList(true)
      .map((slot) => ({ slot, info: this.#api.C_GetTokenInfo(slot) }))
      .filter(({ info }) => info.label.trim() === ask.token)
      .filter(({ info }) => ask.serial === undefined || info.serialNumber.trim() === ask.serial);
    const [first, second] = tokens;
    if (first !== undefined && second === undefined) return first;
    const serial = ask.serial === undefined ? '' : ` with serial number ${ask.serial}`;
    const found = first === undefined ? 'is not there' : 'is there more than once';
    return stop('CLI_TOKEN', `a token labelled ${ask.token}${serial} ${found} (module ${this.#path})`);
  }

  #place(ask: TokenAsk, id: Uint8Array): TokenPlace {
    const serial = this.#find(ask).info.serialNumber.trim();
    const { module, token, label } = ask;
    return { module, token, serial, label, id: Buffer.from(id).toString('hex') };
  }

  #search(session: Buffer, kind: number, label: string, id?: Buffer): Buffer[] {
    const names = this.#names;
    this.#api.C_FindObjectsInit(session, [
      { type: names.CKA_CLASS, value: kind },
      { type: names.CKA_LABEL, value: label },
      ...(id === undefined ? [] : [{ type: names.CKA_ID, value: id }]),
    ]);
    try {
      return this.#api.C_FindObjects(session, foundMax);
    } finally {
      this.#api.C_FindObjectsFinal(session);
    }
  }

  #only(session: Buffer, ask: TokenAsk, id: Buffer | undefined): Buffer {
    const found = this.#search(session, this.#names.CKO_PRIVATE_KEY, ask.label, id);
    const [first, second] = found;
    if (first !== undefined && second === undefined) return first;
    const what = first === undefined ? 'no private key' : 'more than one private key';
    return stop('CLI_TOKEN', `token ${ask.token} holds ${what} ${ask.label}`);
  }

  #attribute(session: Buffer, object: Buffer, type: number): Buffer {
    const [found] = this.#api.C_GetAttributeValue(session, object, [{ type }]);
    return found?.value ?? Buffer.alloc(0);
  }

  /** An attribute that a token does not know is not set. */
  #flag(session: Buffer, object: Buffer, type: number): boolean {
    try {
      return this.#attribute(session, object, type)[0] === 1;
    } catch {
      return false;
    }
  }

  #publicKey(session: Buffer, half: Buffer): PublicKey {
    const names = this.#names;
    const params = this.#attribute(session, half, names.CKA_EC_PARAMS);
    const type = params.equals(paramsP256) ? 'p256' : 'ed25519';
    return need(publicKeyOfPoint(type, this.#attribute(session, half, names.CKA_EC_POINT)));
  }
}
