/**
 * From bytes to a JSON value that has exactly one reading: the first thing that happens to any file from outside.
 *
 * tuf-js takes the last of two equal keys, any spacing and any length. Here the length is judged first, then the
 * encoding, the depth and the form; only what `JSON.stringify` would write in the same way again goes on.
 * What the value means is for `checkRole` and the parsers beside it.
 */
import { trustLimits } from './limits.ts';
import { fail, ok, type Result } from './result.ts';

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** An escaped surrogate. `JSON.stringify` writes pairs unescaped, so that one that is left stands alone. */
const loneSurrogatePattern = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Whether brackets outside strings nest deeper than allowed; counted before the parser recurses into them. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const c = text.charCodeAt(at);
    if (inString) {
      if (c === 0x5c) at += 1;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      depth += 1;
      if (depth > trustLimits.jsonDepthMax) return true;
    } else if (c === 0x7d || c === 0x5d) depth -= 1;
  }
  return false;
}

/**
 * Parses one file. `bytesMax` is judged before anything else; `name` is what a failure calls the file.
 * Codes: OTA_TOO_LARGE, OTA_BAD_ENCODING (not UTF-8, lone surrogates), OTA_BAD_JSON (no JSON, duplicate or
 * dangerous keys, another spelling than `JSON.stringify` writes, too deep, trailing bytes).
 */
export function parseRaw(bytes: Uint8Array, bytesMax: number, name: string): Result<unknown> {
  if (bytes.length > bytesMax) {
    return fail('OTA_TOO_LARGE', `${name} has ${bytes.length} bytes, at most ${bytesMax} are allowed`, name);
  }
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return fail('OTA_BAD_ENCODING', `${name} is not valid UTF-8`, name);
  }
  if (isTooDeep(text)) {
    return fail('OTA_BAD_JSON', `${name} nests deeper than ${trustLimits.jsonDepthMax} levels`, name);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('OTA_BAD_JSON', `${name} is not JSON`, name);
  }
  if (JSON.stringify(value) !== text) {
    return fail('OTA_BAD_JSON', `${name} is not written as JSON.stringify writes it`, name);
  }
  // An own `__proto__` survives the comparison, but not a library that copies with `acc[key] = value`.
  if (text.includes('"__proto__":')) return fail('OTA_BAD_JSON', `${name} has a key "__proto__"`, name);
  if (text.includes('\\ud') && loneSurrogatePattern.test(text)) {
    return fail('OTA_BAD_ENCODING', `${name} holds a broken string (lone surrogate)`, name);
  }
  return ok(value);
}
