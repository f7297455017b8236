/**
 * Keys that live in a token (PKCS#11): the file that names one, and the two conversions between what tokens speak and
 * the one encoding that trust has. Pure, on bytes.
 *
 * The file (`airlock-token-key/1`) holds no secret: the public key, and where its private half is - module, token and
 * key by their labels. It stands where a sealed key file would stand, and is found by its public half like one.
 * Leaves to others: talking to the token (token.ts), whether the token really holds that key (each signature is
 * verified there under the public key of the file).
 */
import { createPublicKey } from 'node:crypto';
import {
  fail,
  ok,
  parsePublicKey,
  type PublicKey,
  publicKeyFrom,
  publicKeyJson,
  readSealedPublicKey,
  type Result,
} from '@airlock/trust';
import { Reader } from '../fields.ts';
import { need, Stop } from '../stop.ts';

const schema = 'airlock-token-key/1';

/** Where a private key is: enough to find it again, and nothing that opens it. */
export interface TokenPlace {
  /** Path of the shared library that speaks for the token. Whoever can change it is given the PIN. */
  readonly module: string;
  /** Label of the token, as its maker or `--init-token` gave it. */
  readonly token: string;
  /** Serial number: tells two tokens of one label apart. */
  readonly serial: string;
  /** Label of the key in the token. */
  readonly label: string;
  /** CKA_ID of the key, lower-case hex: tells two keys of one label apart. */
  readonly id: string;
}

/** A key file of either kind, as far as it can be read without a secret. */
export interface KeyFile {
  readonly publicKey: PublicKey;
  /** Absent: the private key is in the file itself, sealed. */
  readonly place?: TokenPlace;
}

export function encodeTokenKey(publicKey: PublicKey, place: TokenPlace): string {
  const { module, token, serial, label, id } = place;
  const value = { schema, publicKey: publicKeyJson(publicKey), module, token, serial, label, id };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** PKCS#11 pads labels to 32 bytes and serial numbers to 16; a path is what a file system takes. */
const labelCharactersMax = 64;
const pathCharactersMax = 4_096;
const idPattern = /^(?:[0-9a-f]{2}){1,64}$/;
const noControl = /^[^\p{C}]+$/u;

/** Reads a sealed key file or a token's. Code: KEY_FILE, naming what is wrong; CLI_TOKEN for a wrong place. */
export function readKeyFile(bytes: Uint8Array, name: string): Result<KeyFile> {
  const value = tokenJson(bytes);
  if (value === undefined) {
    const sealed = readSealedPublicKey(bytes);
    return sealed.ok ? ok({ publicKey: sealed.value }) : sealed;
  }
  try {
    return ok(readPlace(new Reader(value, { code: 'CLI_TOKEN', name })));
  } catch (error) {
    if (error instanceof Stop) return { ok: false, error: error.failure };
    throw error;
  }
}

/** The JSON of a token's file; undefined for anything else, which the reader of sealed files judges. */
function tokenJson(bytes: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    const isToken =
      typeof value === 'object' && value !== null && 'schema' in value && value.schema === schema;
    return isToken ? value : undefined;
  } catch {
    return undefined;
  }
}

function readPlace(reader: Reader): KeyFile {
  reader.object(['schema', 'publicKey', 'module', 'token', 'serial', 'label', 'id']);
  const publicKey = need(parsePublicKey(reader.at('publicKey').value, 'publicKey'), reader.origin.name);
  const line = (field: string, charactersMax: number): string => {
    const at = reader.at(field);
    const text = at.text();
    if (text.length > charactersMax || !noControl.test(text)) {
      return at.refuse(`must be 1 to ${charactersMax} characters of one line`);
    }
    return text;
  };
  const module = line('module', pathCharactersMax);
  // A relative path would be found wherever the person happens to stand, and be given the PIN there.
  if (!module.startsWith('/')) reader.at('module').refuse('must be an absolute path');
  const id = reader.at('id').text();
  if (!idPattern.test(id)) reader.at('id').refuse('must be lower-case hex');
  return {
    publicKey,
    place: {
      module,
      token: line('token', labelCharactersMax),
      serial: line('serial', labelCharactersMax),
      label: line('label', labelCharactersMax),
      id,
    },
  };
}

const ed25519SpkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const p256SpkiPrefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');
const ed25519Bytes = 32;
const p256PointBytes = 65;
const octetString = 0x04;

/**
 * The public key of CKA_EC_POINT: the point in a DER OCTET STRING, as PKCS#11 2.40 says, or bare, as some tokens
 * write it. Ed25519 by 32 bytes, P-256 by an uncompressed point. Code: CLI_TOKEN for anything else.
 */
export function publicKeyOfPoint(type: 'ed25519' | 'p256', attribute: Uint8Array): Result<PublicKey> {
  const length = type === 'ed25519' ? ed25519Bytes : p256PointBytes;
  const wrapped = attribute.length === length + 2 && attribute[0] === octetString && attribute[1] === length;
  const point = wrapped ? attribute.subarray(2) : attribute;
  const refused = fail('CLI_TOKEN', `the token's key is not an ${type} key in a form that is known`);
  if (point.length !== length) return refused;
  const prefix = type === 'ed25519' ? ed25519SpkiPrefix : p256SpkiPrefix;
  try {
    const key = createPublicKey({ key: Buffer.concat([prefix, point]), format: 'der', type: 'spki' });
    // Through the one parser of keys, which also refuses points of small order.
    return parsePublicKey(publicKeyJson(publicKeyFrom(key)), 'the key of the token');
  } catch {
    return refused;
  }
}

/** Raw ECDSA signatures on P-256: r and s of 32 bytes each. */
const scalarBytes = 32;

/**
 * The DER that trust has for ECDSA, of the r || s that tokens give. Strict: each number in its shortest form, with a
 * zero before a leading bit that is set. Code: CLI_TOKEN for another length or a zero.
 */
export function derOfRaw(raw: Uint8Array): Result<Uint8Array> {
  if (raw.length !== 2 * scalarBytes) {
    return fail(
      'CLI_TOKEN',
      `the token gave a signature of ${raw.length} bytes, expected ${2 * scalarBytes}`,
    );
  }
  const [r, s] = [raw.subarray(0, scalarBytes), raw.subarray(scalarBytes)].map(derInteger);
  if (r === undefined || s === undefined) return fail('CLI_TOKEN', 'the token gave a signature with a zero');
  // At most 70 bytes of content, so that one byte of length is enough.
  return ok(Buffer.concat([Buffer.from([0x30, r.length + s.length]), r, s]));
}

function derInteger(scalar: Uint8Array): Buffer | undefined {
  const first = scalar.findIndex((byte) => byte !== 0);
  if (first < 0) return undefined;
  const shortest = scalar.subarray(first);
  const pad = (shortest[0] ?? 0) >= 0x80 ? [0] : [];
  return Buffer.from([0x02, shortest.length + pad.length, ...pad, ...shortest]);
}
