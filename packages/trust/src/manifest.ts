/**
 * The manifest (`airlock-manifest/1`): the signed description of a release, read strictly.
 *
 * Keeps true: the bytes are RFC 8785 canonical JSON, so that one manifest has one hash; every field that this device
 * knows is there, in range and of bounded length; no component stands twice; a release names its change record, its
 * impact assessment, its regulatory decision and where they are found (POL-03); an extension that `critical` names
 * must be understood.
 * Unknown fields of the manifest itself and of an image are ignored (the text is kept whole elsewhere); inside the
 * other objects they are refused, because a misspelt `installedMin` would be a lost safeguard.
 * Leaves to others: whether it fits this device (applicability.ts), whether it is approved (agreement.ts).
 */
import { Buffer } from 'node:buffer';
import { canonicalBytes } from './canonical.ts';
import { type Field, readFields } from './fields.ts';
import { parseInstant } from './instant.ts';
import { trustLimits } from './limits.ts';
import { parseRaw } from './raw.ts';
import { fail, type Result } from './result.ts';
import { readSafetyClass, readThresholds } from './thresholds.ts';
import type { Manifest, ManifestImage } from './types.ts';

/** Extension fields that this version understands, for `critical`. None exists yet. */
const understoodExtensions: ReadonlySet<string> = new Set();

/**
 * Parses a manifest's bytes. Codes: OTA_MANIFEST with the field's path (`images[0].len`); OTA_TOO_LARGE,
 * OTA_BAD_ENCODING and OTA_BAD_JSON for what is no JSON of ours at all.
 */
export function parseManifest(bytes: Uint8Array): Result<Manifest> {
  const parsed = parseRaw(bytes, trustLimits.manifestBytesMax, 'manifest');
  if (!parsed.ok) return parsed;
  const manifest = readFields(parsed.value, { code: 'OTA_MANIFEST', name: 'manifest' }, readManifest);
  if (!manifest.ok) return manifest;
  if (!Buffer.from(canonicalBytes(parsed.value)).equals(bytes)) {
    return fail('OTA_MANIFEST', 'manifest: is not in canonical form (RFC 8785)', 'manifest');
  }
  return manifest;
}

/**
 * The manifest's bytes. It is not judged here: whoever makes one from a person's input parses these bytes before
 * using them. Throws TypeError for a value that JSON cannot say.
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return canonicalBytes(manifest);
}

function readManifest(field: Field): Manifest {
  // First of all: another schema may give any other name another meaning.
  const schema = field.at('schema').choice(['airlock-manifest/1']);
  const critical = field.at('critical').unique((name) => name.line());
  for (const [index, name] of critical.entries()) {
    if (!understoodExtensions.has(name)) field.at('critical').array()[index]?.refuse('is not understood');
  }
  const data = field.optional('data');
  const sbom = field.optional('sbom');
  const vex = field.optional('vex');
  return {
    schema,
    product: field.at('product').name(),
    version: readReleaseVersion(field.at('version')),
    name: field.at('name').line(),
    udi: field.at('udi').line(),
    safetyClass: readSafetyClass(field.at('safetyClass')),
    compat: nonEmpty(field.at('compat'), (entry) => entry.line()),
    slot: field.at('slot').choice(['inactive', 'A', 'B']),
    requires: readRequires(field.at('requires')),
    images: readImages(field.at('images')),
    ...(data === undefined ? {} : { data: readData(data) }),
    secureBoot: field.at('secureBoot').unique((id) => id.line()),
    change: readChange(field.at('change')),
    authors: nonEmpty(field.at('authors'), (author) => author.line()),
    emergency: field.at('emergency').boolean(),
    urgency: readUrgency(field.at('urgency')),
    selfTest: readSelfTest(field.at('selfTest')),
    ...(sbom === undefined ? {} : { sbom: readAttachment(sbom) }),
    ...(vex === undefined ? {} : { vex: readAttachment(vex) }),
    notes: field.at('notes').paragraph(trustLimits.notesCharactersMax, { empty: true }),
    demand: readThresholds(field.at('demand')),
    critical,
  };
}

function readReleaseVersion(field: Field): number {
  return field.integer(1, trustLimits.releaseVersionMax);
}

function nonEmpty(field: Field, read: (entry: Field) => string): readonly string[] {
  const entries = field.unique(read);
  if (entries.length === 0) field.refuse('must not be empty');
  return entries;
}

function readRequires(field: Field): Manifest['requires'] {
  field.object(['installedMin', 'bootloaderMin']);
  const installedMin = field.optional('installedMin');
  const bootloaderMin = field.optional('bootloaderMin');
  return {
    ...(installedMin === undefined ? {} : { installedMin: readReleaseVersion(installedMin) }),
    ...(bootloaderMin === undefined ? {} : { bootloaderMin: readReleaseVersion(bootloaderMin) }),
  };
}

function readImages(field: Field): readonly ManifestImage[] {
  const components = new Set<string>();
  const images = field.array().map((image) => {
    const component = image.at('component').name();
    if (components.has(component)) image.at('component').refuse('stands twice');
    components.add(component);
    return {
      component,
      len: image.at('len').integer(1, trustLimits.imageBytesMax),
      hash: image.at('hash').sha256(),
    };
  });
  if (images.length === 0) field.refuse('must not be empty');
  return images;
}

function readData(field: Field): NonNullable<Manifest['data']> {
  field.object(['writes', 'reads', 'reversible']);
  const schemaNumber = (entry: Field) => entry.integer(0, trustLimits.releaseVersionMax);
  const writes = schemaNumber(field.at('writes'));
  const reads = field.at('reads').unique(schemaNumber);
  if (!reads.includes(writes)) field.at('reads').refuse(`must contain ${writes}, which the release writes`);
  return { writes, reads, reversible: field.at('reversible').boolean() };
}

function readChange(field: Field): Manifest['change'] {
  field.object(['record', 'impact', 'regulatory', 'links']);
  const regulatory = field.at('regulatory');
  regulatory.object(['decision', 'reference']);
  return {
    record: field.at('record').line(),
    impact: readImpact(field.at('impact')),
    regulatory: {
      decision: regulatory.at('decision').line(),
      // A decision that needs no submission may have nothing to refer to.
      reference: regulatory.at('reference').line({ empty: true }),
    },
    links: nonEmpty(field.at('links'), readLink),
  };
}

/** Each area is answered, with yes or no: one that nobody thought of must not read as "not touched". */
function readImpact(field: Field): Manifest['change']['impact'] {
  field.object(['assessment', 'safety', 'effectiveness', 'cybersecurity', 'labelling']);
  return {
    assessment: field.at('assessment').paragraph(trustLimits.impactCharactersMax),
    safety: field.at('safety').boolean(),
    effectiveness: field.at('effectiveness').boolean(),
    cybersecurity: field.at('cybersecurity').boolean(),
    labelling: field.at('labelling').boolean(),
  };
}

/** `https://ada:secret@qms/...`: what is signed here is shown to everybody, for ever. */
const credentialsInLink = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*@/i;

function readLink(field: Field): string {
  const link = field.line();
  if (credentialsInLink.test(link)) field.refuse('must not carry a user name or a password');
  return link;
}

function readUrgency(field: Field): Manifest['urgency'] {
  field.object(['level', 'deadline']);
  const level = field.at('level').choice(['routine', 'security', 'safety']);
  const deadline = field.optional('deadline');
  if (deadline === undefined) return { level };
  const text = deadline.text(32);
  if (parseInstant(text) === undefined) deadline.refuse('must be a date of the form YYYY-MM-DDTHH:MM:SSZ');
  return { level, deadline: text };
}

function readSelfTest(field: Field): Manifest['selfTest'] {
  field.object(['timeLimitSeconds', 'critical']);
  return {
    timeLimitSeconds: field.at('timeLimitSeconds').integer(1, trustLimits.selfTestSecondsMax),
    critical: field.at('critical').unique((test) => test.line()),
  };
}

function readAttachment(field: Field): { readonly len: number; readonly hash: string } {
  field.object(['len', 'hash']);
  return { len: field.at('len').integer(1, trustLimits.imageBytesMax), hash: field.at('hash').sha256() };
}
