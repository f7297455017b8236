/**
 * Text from outside as it may stand in a message, a log or a terminal: one line that obeys and hides nothing.
 *
 * Bytes that no signature covers reach messages (a key's name in a file that is refused), and from there logs and a
 * technician's terminal. Unsafe are C0 and C1 controls, line and paragraph separators, and every format character:
 * marks of direction, zero-width ones, soft hyphens, tags. What text means is left to whoever reads it.
 */

const unsafePattern = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu;
/** Longer names are cut: a path of sixteen of them still fits a few lines. */
const nameCharactersMax = 80;

/** For reasons and lines: each run of unsafe characters becomes one space. */
export function plainText(text: string): string {
  return text.replaceAll(unsafePattern, ' ');
}

/** For names in paths: unsafe characters are escaped, so that the name can be told, and long ones are cut. */
export function escapedName(name: string): string {
  // Cut first: a name may be as long as its file. The cut must not leave half a character.
  const cut = name.slice(0, nameCharactersMax).toWellFormed();
  const escaped = cut.replaceAll(unsafePattern, escapedUnits);
  const fits = name.length <= nameCharactersMax && escaped.length <= nameCharactersMax;
  return fits ? escaped : `${escaped.slice(0, nameCharactersMax)}...`;
}

/** JSON that a terminal may be shown: the same value; unsafe characters within its texts are escaped. */
export function plainJson(value: unknown, indent?: number): string {
  // A line break that JSON.stringify wrote itself stands between values.
  return JSON.stringify(value, undefined, indent).replaceAll(unsafePattern, (run) =>
    run.split('\n').map(escapedUnits).join('\n'),
  );
}

function escapedUnits(run: string): string {
  return Array.from(
    { length: run.length },
    (_, at) => String.raw`\u${run.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');
}
