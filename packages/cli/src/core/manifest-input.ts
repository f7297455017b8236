/**
 * A manifest as a person gives it - a JSON file, options, or both - put together before trust's parser judges it.
 *
 * Options win over the file, the file over defaults. The file may hold the manifest's own fields, with `file` in the
 * place of len and hash; any other field is refused, since a misspelt one would be lost. Pure: files are hashed
 * elsewhere, and what the fields may say is decided by `parseManifest` alone.
 */
import { fail, ok, type Result } from '@airlock/trust';

export type Fields = Readonly<Record<string, unknown>>;

/** A file that the manifest will bind by length and hash. */
export interface FileRequest {
  /** `component` of an image, or `sbom` or `vex`. */
  readonly name: string;
  readonly file: string;
  /** Option or field to name in a failure. */
  readonly field: string;
}

export interface ManifestInput {
  readonly fields: Fields;
  readonly images: readonly FileRequest[];
  readonly attachments: readonly FileRequest[];
}

const known: readonly string[] = [
  'schema',
  'product',
  'version',
  'name',
  'udi',
  'safetyClass',
  'compat',
  'slot',
  'requires',
  'images',
  'data',
  'secureBoot',
  'change',
  'authors',
  'emergency',
  'urgency',
  'selfTest',
  'sbom',
  'vex',
  'notes',
  'demand',
  'critical',
];

/** What a routine release says where nobody says otherwise. Five minutes are enough for most self-tests. */
const defaults: Fields = {
  schema: 'airlock-manifest/1',
  slot: 'inactive',
  requires: {},
  // A decision that needs no submission has nothing to refer to; the decision itself has no default.
  change: { regulatory: { reference: '' } },
  secureBoot: [],
  emergency: false,
  urgency: { level: 'routine' },
  selfTest: { timeLimitSeconds: 300, critical: [] },
  notes: '',
  demand: {},
  critical: [],
};

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Splits a manifest file into its fields and the files that it names. Code: CLI_MANIFEST_FIELD, for an unknown field,
 * another product or version than the command's, or an image without `file`.
 */
export function readManifestFile(
  value: unknown,
  name: string,
  expected: { readonly product: string; readonly version: number },
): Result<ManifestInput> {
  if (!isFields(value)) return fail('CLI_MANIFEST_FIELD', `${name}: must be an object`, name);
  const unknown = Object.keys(value).find((field) => !known.includes(field));
  if (unknown !== undefined) {
    return fail(
      'CLI_MANIFEST_FIELD',
      `${name}: ${unknown} is not a known field; known are ${known.join(', ')}`,
      unknown,
    );
  }
  for (const field of ['product', 'version'] as const) {
    if (value[field] !== undefined && value[field] !== expected[field]) {
      const message = `${name}: ${field} is ${JSON.stringify(value[field])}, the command says ${expected[field]}`;
      return fail('CLI_MANIFEST_FIELD', message, field);
    }
  }
  const { images, sbom, vex, ...fields } = value;
  const found = readImages(images ?? [], name);
  if (!found.ok) return found;
  const attachments: FileRequest[] = [];
  for (const [field, entry] of [
    ['sbom', sbom],
    ['vex', vex],
  ] as const) {
    if (entry === undefined) continue;
    const file = fileOf(entry, ['file']);
    if (file === undefined)
      return fail('CLI_MANIFEST_FIELD', `${name}: ${field} must be {"file": PATH}`, field);
    attachments.push({ name: field, file, field });
  }
  return ok({ fields, images: found.value, attachments });
}

function readImages(value: unknown, name: string): Result<FileRequest[]> {
  const form = 'must be a list of {"component": NAME, "file": PATH}';
  if (!Array.isArray(value)) return fail('CLI_MANIFEST_FIELD', `${name}: images ${form}`, 'images');
  const images: FileRequest[] = [];
  const entries: unknown[] = value;
  for (const [at, entry] of entries.entries()) {
    const file = fileOf(entry, ['component', 'file']);
    const component = isFields(entry) ? entry['component'] : undefined;
    if (file === undefined || typeof component !== 'string') {
      return fail('CLI_MANIFEST_FIELD', `${name}: images[${at}]: images ${form}`, `images[${at}]`);
    }
    images.push({ name: component, file, field: `images[${at}].file` });
  }
  return ok(images);
}

function fileOf(entry: unknown, fields: readonly string[]): string | undefined {
  if (!isFields(entry) || Object.keys(entry).some((field) => !fields.includes(field))) return undefined;
  return typeof entry['file'] === 'string' && entry['file'] !== '' ? entry['file'] : undefined;
}

/** `rootfs=FILE`. Code: CLI_IMAGE_OPTION. */
export function parseImageOption(text: string): Result<FileRequest> {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) {
    return fail(
      'CLI_IMAGE_OPTION',
      `"${text}" must be COMPONENT=FILE, such as rootfs=build/rootfs.img`,
      '--image',
    );
  }
  return ok({ name: text.slice(0, at), file: text.slice(at + 1), field: '--image' });
}

const impactAreas = ['safety', 'effectiveness', 'cybersecurity', 'labelling'] as const;

/**
 * `safety,labelling` or `none`, as the four answers of an impact assessment. Code: CLI_MANIFEST_FIELD.
 * There is no default: "touches nothing" is an assessment too, and somebody must have made it.
 */
export function parseTouches(text: string): Result<Fields> {
  const named = text.split(',').map((name) => name.trim());
  const areasOnly = named.every((name) => impactAreas.some((area) => area === name));
  if (text.trim() !== 'none' && !areasOnly) {
    const message = `"${text}" must be none, or some of ${impactAreas.join(', ')}, by commas`;
    return fail('CLI_MANIFEST_FIELD', message, '--touches');
  }
  return ok(Object.fromEntries(impactAreas.map((area) => [area, named.includes(area)])));
}

/** The later one wins, field by field; objects are merged two levels deep (`change`, `requires`, ...). */
export function mergeFields(...layers: readonly Fields[]): Fields {
  const merged: Record<string, unknown> = { ...defaults };
  for (const layer of layers) {
    for (const [name, value] of Object.entries(layer)) {
      const below = merged[name];
      merged[name] = isFields(value) && isFields(below) ? mergeObject(below, value) : value;
    }
  }
  return merged;
}

function mergeObject(below: Fields, above: Fields): Fields {
  const merged: Record<string, unknown> = { ...below };
  for (const [name, value] of Object.entries(above)) {
    const under = merged[name];
    merged[name] = isFields(value) && isFields(under) ? { ...under, ...value } : value;
  }
  return merged;
}

/** Which option sets the field that trust's parser refused. */
const optionOfField: Readonly<Record<string, string>> = {
  name: '--name',
  udi: '--udi',
  safetyClass: '--class',
  compat: '--compat',
  slot: '--slot',
  change: '--change-record',
  'change.record': '--change-record',
  'change.impact': '--impact',
  'change.impact.assessment': '--impact',
  ...Object.fromEntries(impactAreas.map((area) => [`change.impact.${area}`, '--touches'])),
  'change.links': '--link',
  'change.links[0]': '--link',
  'change.regulatory': '--regulatory',
  'change.regulatory.decision': '--regulatory',
  'change.regulatory.reference': '--regulatory-reference',
  authors: '--author',
  images: '--image',
  notes: '--notes',
  demand: '--demand',
  'selfTest.timeLimitSeconds': '--self-test-seconds',
  'selfTest.critical': '--critical-test',
  'urgency.level': '--urgency',
  'urgency.deadline': '--deadline',
};

/** `change.record` as `change.record (--change-record)`; other fields as they are. */
export function nameOption(field: string): string {
  const option = Object.hasOwn(optionOfField, field) ? optionOfField[field] : undefined;
  return option === undefined ? field : `${field} (${option})`;
}
