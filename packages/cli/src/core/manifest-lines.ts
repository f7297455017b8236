/**
 * A manifest as the person who signs it reads it: every leaf, in words where this version has words for it.
 *
 * Keeps true: the manifest comes from a server that is taken to be hostile, and the signature covers every byte of it
 * (POL-10). So no field is left out, whether this version knows it or not, and two manifests that differ never give
 * the same lines: each leaf has one row, a text cannot pass for a marker, a number or another row, and what a
 * terminal would hide or obey is spelt out. Pure.
 * Leaves to others: whether the manifest is a valid one (trust's `parseManifest`).
 */
import { bytesText } from '../output.ts';

/** Whatever is not a sign on the screen: control, format, direction, zero-width, unassigned, other blanks. */
const hiddenPattern = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}|\\/gu;
const edgeBlankPattern = /^ | $|(?<= ) /gu;
const plainKeyPattern = /^[A-Za-z_][A-Za-z0-9_-]*$/;
/** Fits the longest of the fixed names. */
const nameCells = 30;
const emptyList = Symbol('[]');
const emptyObject = Symbol('{}');

/** A list or an object with nothing in it. */
type Empty = typeof emptyList | typeof emptyObject;
type Scalar = string | number | boolean | null;
type Kind = 'text' | 'count' | 'bytes' | 'seconds' | 'yes-no' | 'approvals';

interface Leaf {
  /** `images[0].len`; a key of another form is quoted: `["a.b"]`. */
  readonly path: string;
  readonly value: Scalar | Empty;
}

interface Known {
  /** `[]` is any place of a list, `*` any key. */
  readonly path: string;
  /** `#` is the place in the list, counted from 1; `*` the key. */
  readonly name: string;
  readonly kind: Kind;
  /** Said when the manifest has no such field: its absence is a decision too. */
  readonly absent?: string;
}

const known = (path: string, name: string, kind: Kind = 'text', absent?: string): Known => ({
  path,
  name,
  kind,
  ...(absent === undefined ? {} : { absent }),
});

/** In the order in which a person judges a release. */
const knownFields: readonly Known[] = [
  known('product', 'product'),
  known('version', 'release', 'count'),
  known('name', 'name'),
  known('udi', 'UDI'),
  known('safetyClass', 'safety class'),
  known('emergency', 'EMERGENCY release', 'yes-no'),
  known('urgency.level', 'urgency'),
  known('urgency.deadline', 'deadline', 'text', 'none'),
  known('compat', 'for hardware'),
  known('compat[]', 'for hardware #'),
  known('change.record', 'change record'),
  known('change.impact.assessment', 'impact'),
  known('change.impact.safety', 'touches safety', 'yes-no'),
  known('change.impact.effectiveness', 'touches effectiveness', 'yes-no'),
  known('change.impact.cybersecurity', 'touches cybersecurity', 'yes-no'),
  known('change.impact.labelling', 'touches labelling', 'yes-no'),
  known('change.regulatory.decision', 'regulatory decision'),
  known('change.regulatory.reference', 'regulatory reference'),
  known('change.links', 'link'),
  known('change.links[]', 'link #'),
  known('authors', 'author'),
  known('authors[]', 'author #'),
  known('demand', 'also to be approved by'),
  known('demand.*', 'also to be approved by *', 'approvals'),
  known('slot', 'slot'),
  known('requires', 'requirements'),
  known('requires.installedMin', 'installed release at least', 'count', 'any'),
  known('requires.bootloaderMin', 'boot loader at least', 'count', 'any'),
  known('data.writes', 'data format written', 'count', 'nothing said'),
  known('data.reads', 'data format readable'),
  known('data.reads[]', 'data format readable #', 'count'),
  known('data.reversible', 'data change reversible', 'yes-no', 'nothing said'),
  known('secureBoot', 'secure boot key'),
  known('secureBoot[]', 'secure boot key #'),
  known('selfTest.timeLimitSeconds', 'self-tests end within', 'seconds'),
  known('selfTest.critical', 'critical self-test'),
  known('selfTest.critical[]', 'critical self-test #'),
  known('images', 'image'),
  known('images[].component', 'image #'),
  known('images[].len', 'image #, length', 'bytes'),
  known('images[].hash', 'image #, sha256'),
  known('sbom.len', 'SBOM, length', 'bytes', 'no SBOM'),
  known('sbom.hash', 'SBOM, sha256'),
  known('vex.len', 'VEX, length', 'bytes', 'no VEX'),
  known('vex.hash', 'VEX, sha256'),
  known('notes', 'notes'),
  known('critical', 'must be understood'),
  known('critical[]', 'must be understood #'),
  known('schema', 'form of the manifest'),
];

/** Objects and lists whose entries have rows of their own; the row here is for the empty one. */
const containers: ReadonlyMap<string, Empty> = new Map<string, Empty>([
  ...[
    'compat',
    'change.links',
    'authors',
    'data.reads',
    'secureBoot',
    'selfTest.critical',
    'images',
    'critical',
  ].map((path): [string, Empty] => [path, emptyList]),
  ['demand', emptyObject],
  ['requires', emptyObject],
]);

const patterns: ReadonlyMap<Known, RegExp> = new Map(
  knownFields.map((field) => [field, patternOf(field.path)]),
);

function patternOf(path: string): RegExp {
  const escaped = path.replaceAll(/[.[\]]/g, (sign) => `\\${sign}`);
  return new RegExp(
    `^${escaped.replace('\\[\\]', '\\[(\\d+)\\]').replace('*', '([A-Za-z_][A-Za-z0-9_-]*)')}$`,
  );
}

/** One row: its name and its value, of one or more lines, all safe to print. */
export interface Row {
  readonly name: string;
  readonly lines: readonly string[];
}

/** Text that is one line for every reader: nothing hidden, nothing obeyed by a terminal, and no two texts alike. */
function exactText(text: string): string {
  const spelt = (found: string) =>
    found === '\\' ? '\\\\' : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`;
  return text.replaceAll(hiddenPattern, spelt).replaceAll(edgeBlankPattern, '\\u{20}');
}

/** Bare, or in quotes where it could be taken for a marker (`<none>`), for a quoted text, or for nothing at all. */
function textValue(text: string): string[] {
  if (text === '' || /^["<]/.test(text)) return [quoted(text)];
  return text.split('\n').map(exactText);
}

function quoted(text: string): string {
  return `"${exactText(text).replaceAll('"', '\\"')}"`;
}

/** Every scalar and every empty list or object, in order. */
function leavesOf(value: unknown, path = ''): Leaf[] {
  if (Array.isArray(value)) {
    if (value.length === 0) return [{ path, value: emptyList }];
    return value.flatMap((entry, at) => leavesOf(entry, `${path}[${at}]`));
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) return [{ path, value: emptyObject }];
    return entries.flatMap(([key, entry]) => leavesOf(entry, joined(path, key)));
  }
  const scalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return [{ path, value: scalar ? value : null }];
}

function joined(path: string, key: string): string {
  if (!plainKeyPattern.test(key)) return `${path}[${quoted(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function knownRow(field: Known, leaf: Leaf): Row | undefined {
  const found = patterns.get(field)?.exec(leaf.path);
  if (found === undefined || found === null) return undefined;
  const empty = containers.get(field.path);
  const lines =
    empty === undefined ? knownValue(field.kind, leaf.value) : leaf.value === empty ? ['<none>'] : undefined;
  // What stands at `[]` or `*`.
  const at = found[1] ?? '';
  const name = field.name.replace('#', String(Number(at) + 1)).replace('*', at);
  return lines === undefined ? undefined : { name, lines };
}

/** undefined: the value is of another type than the field has, so the row would not say what it is. */
function knownValue(kind: Kind, value: Scalar | Empty): string[] | undefined {
  if (kind === 'text') return typeof value === 'string' ? textValue(value) : undefined;
  if (kind === 'yes-no') return typeof value === 'boolean' ? [value ? 'YES' : 'no'] : undefined;
  if (typeof value !== 'number') return undefined;
  if (kind === 'bytes') return [`${value} bytes (${bytesText(value)})`];
  if (kind === 'seconds') return [`${value} seconds`];
  return [kind === 'approvals' ? `${value} of this function` : String(value)];
}

function unknownRow({ path, value }: Leaf): Row {
  return { name: `unknown field ${path}`, lines: [unknownValue(value)] };
}

function unknownValue(value: Scalar | Empty): string {
  if (typeof value === 'string') return quoted(value);
  if (value === emptyList) return '<empty list>';
  return value === emptyObject ? '<empty object>' : String(value);
}

/** The rows of a manifest, given as the JSON value of its bytes: known fields first, then every other one. */
function manifestRows(manifest: unknown): Row[] {
  const left = new Set(leavesOf(manifest));
  const rows: Row[] = [];
  for (const field of knownFields) {
    const before = rows.length;
    for (const leaf of left) {
      const row = knownRow(field, leaf);
      if (row === undefined) continue;
      rows.push(row);
      left.delete(leaf);
    }
    if (rows.length === before && field.absent !== undefined) {
      rows.push({ name: field.name, lines: [`<${field.absent}>`] });
    }
  }
  return [...rows, ...[...left].map(unknownRow)];
}

/** `  name   value`; further lines of a value stand behind a bar, where no row begins. */
function print({ name, lines }: Row, mark = ' '): string {
  const rest = lines.slice(1).map((line) => `  ${' '.repeat(nameCells)} | ${line}\n`);
  return `${mark} ${name.padEnd(nameCells)} ${lines[0] ?? ''}\n${rest.join('')}`;
}

/**
 * What a person must know about a release before they sign it, as text for the terminal. `earlier` is the manifest of
 * a release that the same function approved: what differs from it is marked.
 */
export function manifestLines(
  manifest: unknown,
  sha256: string,
  earlier?: { readonly version: number; readonly manifest: unknown },
): string {
  const rows = manifestRows(manifest);
  const last = print({ name: 'manifest, sha256', lines: [sha256] });
  if (earlier === undefined) return `${rows.map((row) => print(row)).join('')}${last}`;
  const old = manifestRows(earlier.manifest);
  const has = (all: readonly Row[], row: Row) => all.some((other) => print(other) === print(row));
  const shown = rows.map((row) => print(row, has(old, row) ? ' ' : '*')).join('');
  const gone = old.filter((row) => rows.every(({ name }) => name !== row.name));
  const goneText = gone.map((row) => print(row, '-')).join('');
  return `${shown}${last}  * differs from release ${earlier.version}, approved before\n${
    goneText === '' ? '' : `  no more there, against release ${earlier.version}:\n${goneText}`
  }`;
}
