/**
 * Signed notes (C2SP signed-note): a text that people can read, and lines with Ed25519 signatures of it.
 *
 * Keeps true: a signature is found by name and key id and counts only if it verifies over exactly the text; lines of
 * keys that nobody asked for are ignored, as the specification says. The text of a note begins with a line that no
 * JSON does, so that a signature made for a note is never one of a role, an envelope or a statement. Pure.
 */
import { createHash } from 'node:crypto';
import { fail, ok, type PublicKey, type Result, type Signer, verifySignature } from '@airlock/trust';
import { auditLimits } from './limits.ts';

/** Signature type 0x01 of the specification: Ed25519 over the note's text. */
const ed25519Type = Uint8Array.of(1);
const keyIdBytes = 4;
const signatureBytes = 64;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** No white space and no plus sign (the specification), and nothing that a terminal obeys. */
const namePattern = /^[!-*,-~]+$/;

/** Whose signature is looked for: the name stands in the line, the key does not. */
export interface NoteVerifier {
  readonly name: string;
  readonly key: PublicKey;
}

export function isNoteName(name: string): boolean {
  return name.length <= auditLimits.originCharactersMax && namePattern.test(name);
}

/** First four bytes of SHA-256 over name, line feed, type and key: tells lines apart, and proves nothing. */
function noteKeyId({ name, key }: NoteVerifier): Buffer {
  const hash = createHash('sha256').update(`${name}\n`).update(ed25519Type);
  return hash.update(Buffer.from(key.keyval.public, 'hex')).digest().subarray(0, keyIdBytes);
}

/**
 * The note over `text`, signed by every signer under one name. Throws TypeError for a text without its final line
 * feed, a name that is none, no signer, or a key that is not Ed25519: a programmer's error.
 */
export function signNote(text: string, name: string, signers: readonly Signer[]): string {
  if (!text.endsWith('\n') || hasControls(text)) throw new TypeError('a note is lines of text');
  if (!isNoteName(name) || signers.length === 0) throw new TypeError('a note needs a name and a signer');
  const lines = signers.map((signer) => {
    if (signer.publicKey.keytype !== 'ed25519') throw new TypeError('a note is signed with Ed25519');
    const id = noteKeyId({ name, key: signer.publicKey });
    const signature = Buffer.concat([id, signer.sign(encoder.encode(text))]);
    return `\u2014 ${name} ${signature.toString('base64')}\n`;
  });
  return `${text}\n${lines.join('')}`;
}

/**
 * The text of a note that `verifier` signed.
 * Codes: AUDIT_CHECKPOINT when it is no note, AUDIT_SIGNATURE when there is no valid signature of this key.
 */
export function openNote(note: Uint8Array, verifier: NoteVerifier): Result<string> {
  const read = readNote(note);
  if (!read.ok) return read;
  const { text, signatures } = read.value;
  const id = noteKeyId(verifier);
  const own = signatures.filter(({ name, bytes }) => {
    return name === verifier.name && bytes.subarray(0, keyIdBytes).equals(id);
  });
  const [signature] = own;
  const valid =
    own.length === 1 &&
    signature?.bytes.length === keyIdBytes + signatureBytes &&
    verifySignature(verifier.key, encoder.encode(text), signature.bytes.subarray(keyIdBytes));
  if (valid) return ok(text);
  const message = `the checkpoint carries no valid signature of ${verifier.name} by key ${verifier.key.keyId.slice(0, 16)}`;
  return fail('AUDIT_SIGNATURE', message, 'signatures');
}

interface Note {
  readonly text: string;
  readonly signatures: readonly { readonly name: string; readonly bytes: Buffer }[];
}

function readNote(note: Uint8Array): Result<Note> {
  const refuse = (why: string) => fail('AUDIT_CHECKPOINT', `checkpoint: ${why}`, 'checkpoint');
  if (note.length > auditLimits.noteBytesMax) {
    return refuse(`has ${note.length} bytes, at most ${auditLimits.noteBytesMax} are allowed`);
  }
  let whole: string;
  try {
    whole = decoder.decode(note);
  } catch {
    return refuse('is not valid UTF-8');
  }
  // The last empty line: the text itself may hold others.
  const at = whole.lastIndexOf('\n\n');
  const text = whole.slice(0, at + 1);
  const lines = whole.slice(at + 2).split('\n');
  if (at < 0 || lines.pop() !== '' || lines.length === 0) return refuse('is not a text and signature lines');
  if (hasControls(text)) return refuse('holds control characters');
  if (lines.length > auditLimits.noteSignaturesMax) {
    return refuse(`has ${lines.length} signatures, at most ${auditLimits.noteSignaturesMax} are allowed`);
  }
  const signatures: { name: string; bytes: Buffer }[] = [];
  for (const line of lines) {
    const [, name = '', base64 = ''] = /^\u2014 ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
    const bytes = Buffer.from(base64, 'base64');
    if (!isNoteName(name) || bytes.length <= keyIdBytes || bytes.toString('base64') !== base64) {
      return refuse(`signature line ${signatures.length + 1} is not "\u2014 NAME BASE64"`);
    }
    signatures.push({ name, bytes });
  }
  return ok({ text, signatures });
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text.replaceAll('\n', ''));
}
