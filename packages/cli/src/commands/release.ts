/** `release create | list | show`. */
import { dirname, resolve } from 'node:path';
import {
  canonicalBytes,
  type Manifest,
  parseManifest,
  readRole,
  sha256Hex,
  trustLimits,
} from '@airlock/trust';
import { type CommandSpec, type Context, wholeNumber } from '../command.ts';
import { parseThresholds } from '../core/company.ts';
import {
  type Fields,
  type FileRequest,
  type ManifestInput,
  mergeFields,
  nameOption,
  parseImageOption,
  parseTouches,
  readManifestFile,
} from '../core/manifest-input.ts';
import { manifestLines } from '../core/manifest-lines.ts';
import {
  nearestFolder,
  parseJson,
  publicMode,
  readJsonFile,
  readSmallFile,
  writeNewFiles,
} from '../files.ts';
import { type HashedFile, hashFile, imageLength, uploadFile } from '../images.ts';
import { plain, table } from '../output.ts';
import type { Release, ServerApi } from '../server-api.ts';
import { signatureLines, signaturesAbout } from '../signatures.ts';
import { verifyRepository } from '../signer.ts';
import { need, Stop, stop } from '../stop.ts';

const none: ManifestInput = { fields: {}, images: [], attachments: [] };

function given(name: string, value: unknown): Fields {
  return value === undefined ? {} : { [name]: value };
}

function listed(name: string, values: readonly string[]): Fields {
  return values.length === 0 ? {} : { [name]: values };
}

function group(name: string, fields: Fields): Fields {
  return Object.keys(fields).length === 0 ? {} : { [name]: fields };
}

/** The options as fields of the manifest. */
function optionFields({ options }: Context): Fields {
  const regulatory = group('regulatory', {
    ...given('decision', options.text('regulatory')),
    ...given('reference', options.text('regulatory-reference')),
  });
  const demand = options.text('demand');
  const touches = options.text('touches');
  const impact = group('impact', {
    ...given('assessment', options.text('impact')),
    ...(touches === undefined ? {} : need(parseTouches(touches))),
  });
  return {
    ...given('name', options.text('name')),
    ...given('udi', options.text('udi')),
    ...given('safetyClass', options.text('class')),
    ...listed('compat', options.list('compat')),
    ...given('slot', options.text('slot')),
    ...group('requires', {
      ...given('installedMin', options.integer('requires-installed', 1)),
      ...given('bootloaderMin', options.integer('requires-bootloader', 1)),
    }),
    ...listed('secureBoot', options.list('secure-boot-key')),
    ...group('change', {
      ...given('record', options.text('change-record')),
      ...impact,
      ...regulatory,
      ...listed('links', options.list('link')),
    }),
    ...listed('authors', options.list('author')),
    ...(options.flag('emergency') ? { emergency: true } : {}),
    ...group('urgency', {
      ...given('level', options.text('urgency')),
      ...given('deadline', options.text('deadline')),
    }),
    ...group('selfTest', {
      ...given('timeLimitSeconds', options.integer('self-test-seconds', 1)),
      ...listed('critical', options.list('critical-test')),
    }),
    ...given('notes', options.text('notes')),
    ...(demand === undefined ? {} : { demand: need(parseThresholds(demand, '--demand')) }),
  };
}

async function readInput(context: Context, product: string, version: number): Promise<ManifestInput> {
  const file = context.options.text('manifest');
  if (file === undefined) return none;
  const path = context.path(file);
  const input = need(readManifestFile(need(await readJsonFile(path)), path, { product, version }));
  // Paths in a file are meant from where the file lies.
  const from = (entry: FileRequest) => ({ ...entry, file: resolve(dirname(path), entry.file) });
  return { ...input, images: input.images.map(from), attachments: input.attachments.map(from) };
}

/** Files named by options stand in for those of the same name in the manifest file. */
function join(
  context: Context,
  first: readonly FileRequest[],
  options: readonly FileRequest[],
): FileRequest[] {
  const own = options.map((entry) => ({ ...entry, file: context.path(entry.file) }));
  return [...first.filter((entry) => own.every(({ name }) => name !== entry.name)), ...own];
}

async function hashAll(
  context: Context,
  requests: readonly FileRequest[],
): Promise<(HashedFile & { name: string })[]> {
  const lengths: number[] = [];
  for (const { file, field } of requests) lengths.push(need(await imageLength(file, field)));
  const hashed: (HashedFile & { name: string })[] = [];
  for (const [at, { file, name }] of requests.entries()) {
    hashed.push({ name, ...(await hashFile(file, lengths[at] ?? 0, context.out)) });
  }
  return hashed;
}

/** The manifest's bytes, judged by the device's own parser. */
function judge(fields: Fields): { readonly manifest: Manifest; readonly bytes: Uint8Array } {
  const bytes = canonicalBytes(fields);
  const manifest = parseManifest(bytes);
  if (manifest.ok) return { manifest: manifest.value, bytes };
  const { error } = manifest;
  throw new Stop(error.field === undefined ? error : { ...error, field: nameOption(error.field) });
}

async function runCreate(context: Context): Promise<void> {
  const { home, options, out } = context;
  const product = context.argument(0);
  const version = wholeNumber(context.argument(1), 1, 'VERSION');
  const settings = await home.product(product);
  const input = await readInput(context, product, version);
  const imageOptions = options.list('image').map((text) => need(parseImageOption(text)));
  const attached = (['sbom', 'vex'] as const).flatMap((name): FileRequest[] => {
    const file = options.text(name);
    return file === undefined ? [] : [{ name, file, field: `--${name}` }];
  });
  const images = join(context, input.images, imageOptions);
  const attachments = join(context, input.attachments, attached);
  const base = { safetyClass: settings.safetyClass, ...given('udi', settings.udi) };
  const fields = mergeFields(base, input.fields, optionFields(context), { product, version });
  // Before hours of hashing and uploading: everything that can be refused without them.
  const draft = judge({
    ...fields,
    images: images.map(({ name }) => ({ component: name, len: 1, hash: '0'.repeat(64) })),
  });
  await refuseClass(context, draft.manifest);
  for (const { file, field } of [...images, ...attachments]) need(await imageLength(file, field));
  const api = await context.api();
  await refuseUsed(api, product, version, context.options.flag('below-highest'));
  const hashed = await hashAll(context, images);
  const others = await hashAll(context, attachments);
  const { manifest, bytes } = judge({
    ...fields,
    images: hashed.map(({ name, len, hash }) => ({ component: name, len, hash })),
    ...Object.fromEntries(others.map(({ name, len, hash }) => [name, { len, hash }])),
  });
  for (const file of [...hashed, ...others]) await uploadFile(file, api, out);
  await api.postRelease(product, Buffer.from(bytes).toString('utf8'));
  const manifestSha256 = sha256Hex(bytes);
  out.result(
    { product, version, manifestSha256, manifest },
    `Created release ${version} of ${product} (${plain(manifest.name)}), manifest sha256 ${manifestSha256}\n` +
      `It waits for approvals: airlock release approve ${product} ${version} --as FUNCTION\n`,
  );
}

/** Every device refuses a release of another class than its own, and has one that the root's minimum names. */
async function refuseClass({ home }: Context, { product, safetyClass }: Manifest): Promise<void> {
  const file = home.productFile(product, '1.root.json');
  const root = need(readRole(need(await readSmallFile(file, trustLimits.rootBytesMax)), file));
  const known = root.kind === 'root' ? Object.keys(root.image?.minimum.classes ?? {}) : [];
  if (known.includes(safetyClass)) return;
  const message = `no device of ${product} is of class ${safetyClass}; its root knows ${known.join(', ')}`;
  stop('CLI_MANIFEST_FIELD', message, '--class');
}

async function refuseUsed(
  api: ServerApi,
  product: string,
  version: number,
  belowHighest: boolean,
): Promise<void> {
  const versions = (await api.releases(product)).map((release) => release.version);
  const highest = Math.max(0, ...versions);
  const used = versions.includes(version);
  // No device that has a higher one installs it, and people take the higher number for the newer content; an older
  // line of the product may need one all the same, and then somebody says so.
  if (version > highest || (belowHighest && !used)) return;
  const why = used ? 'is used' : 'is below another';
  stop('CLI_VERSION_USED', `version ${version} of ${product} ${why}; the highest is ${highest}`, 'VERSION');
}

async function runList(context: Context): Promise<void> {
  const api = await context.api();
  const releases = await api.releases(context.argument(0));
  const rows = releases
    .toSorted((a, b) => b.version - a.version)
    .map((release) => [
      String(release.version),
      release.name,
      release.emergency ? `${release.safetyClass} EMERGENCY` : release.safetyClass,
      release.approvedBy.join(', ') || '-',
      release.withdrawnBy.join(', ') || '-',
      release.created,
    ]);
  context.out.result(
    { releases },
    table(['VERSION', 'NAME', 'CLASS', 'APPROVED BY', 'WITHDRAWN BY', 'CREATED'], rows),
  );
}

/** A release and its manifest, whose hash is compared with the one that the server gives. */
export async function fetchRelease(api: ServerApi, product: string, version: number) {
  const release = await api.release(product, version);
  if (release === undefined)
    return stop('CLI_RELEASE_UNKNOWN', `${product} has no release ${version}`, 'VERSION');
  const text = release.manifest ?? stop('CLI_SERVER_ANSWER', 'the server gave no manifest', 'manifest');
  const bytes = Buffer.from(text);
  const manifest = need(parseManifest(bytes));
  const sha256 = sha256Hex(bytes);
  if (sha256 !== release.manifestSha256 || manifest.product !== product || manifest.version !== version) {
    const found = `${manifest.product} ${manifest.version}, ${sha256.slice(0, 12)}`;
    return stop(
      'CLI_RELEASE_CHANGED',
      `the server gives the manifest of another release (${found})`,
      'manifest',
    );
  }
  // The whole of it, with the fields that this version does not know: they are signed as well.
  const whole = need(parseJson(text, 'the manifest'));
  return { release, manifest, whole, bytes, sha256 };
}

async function runShow(context: Context): Promise<void> {
  const product = context.argument(0);
  const version = wholeNumber(context.argument(1), 1, 'VERSION');
  const { release, whole, bytes, sha256 } = await fetchRelease(await context.api(), product, version);
  const file = context.options.text('manifest-out');
  if (file !== undefined) {
    const path = context.path(file);
    // Byte by byte as it was signed: a device is provisioned with these, and another layout is another hash.
    await writeNewFiles([{ path, bytes, mode: publicMode }], await nearestFolder(path));
  }
  const written = file === undefined ? '' : `  ${'written to'.padEnd(30)} ${plain(file)}\n`;
  const lines = `${manifestLines(whole, sha256)}${approvals(release)}${written}`;
  context.out.result({ ...release, manifest: whole }, lines);
}

function approvals(release: Release): string {
  const line = (name: string, who: readonly string[], nobody: string) =>
    `  ${name.padEnd(30)} ${who.map(plain).join(', ') || nobody}\n`;
  const withdrawn = release.withdrawnBy.length === 0 ? '' : line('withdrawn by', release.withdrawnBy, '');
  return `${line('approved by', release.approvedBy, 'nobody yet')}${withdrawn}`;
}

async function runSignatures(context: Context): Promise<void> {
  const product = context.argument(0);
  const version = wholeNumber(context.argument(1), 1, 'VERSION');
  const api = await context.api();
  const verified = await verifyRepository(context.home, product, api, context.io.now());
  const shown = await signaturesAbout(context.home, api, verified, { product, version });
  const json = shown.map(({ statement, entry, proven }) => {
    const why = proven.ok ? {} : { why: proven.error };
    return { entry, proven: proven.ok, ...why, ...(statement === undefined ? {} : { statement }) };
  });
  const lines = shown.length === 0 ? 'nobody signed anything about it\n' : shown.map(signatureLines).join('');
  context.out.result({ product, version, demo: verified.view.demo, signatures: json }, lines);
}

export const releaseCommands: readonly CommandSpec[] = [
  {
    usage: 'release create <product> <version>',
    summary: 'make a release: manifest, hashes, upload',
    help: 'A JSON file given by --manifest holds fields of the manifest, with "images": [{"component", "file"}]; options\nwin over it. A change record, an impact assessment and a regulatory decision are needed.',
    example:
      'release create infusion-pump 12 --name "2.4.0" --compat hw:rev2 --image rootfs=build/rootfs.img --change-record CR-812 --impact "Alarm volume; see RA-77" --touches safety,labelling --regulatory "letter to file" --link https://qms.example/CR-812 --author bo',
    options: [
      { flags: '--manifest <file>', describe: 'JSON file with fields of the manifest' },
      { flags: '--image <spec>', describe: 'an image: COMPONENT=FILE', many: true },
      { flags: '--name <text>', describe: 'the name that people see' },
      { flags: '--udi <text>', describe: "UDI (default: the product's)" },
      { flags: '--class <A|B|C>', describe: "safety class (default: the product's)" },
      { flags: '--compat <entry>', describe: 'hardware that it fits, such as hw:rev2', many: true },
      { flags: '--slot <slot>', describe: 'inactive (default), or A or B to pin it' },
      { flags: '--change-record <id>', describe: 'change-control record' },
      { flags: '--impact <text>', describe: 'impact assessment' },
      {
        flags: '--touches <areas>',
        describe: 'what it touches: none, or some of safety,effectiveness,cybersecurity,labelling',
      },
      { flags: '--regulatory <text>', describe: 'regulatory decision, such as "letter to file"' },
      { flags: '--regulatory-reference <id>', describe: 'its reference' },
      { flags: '--link <address>', describe: 'where record, assessment and decision are found', many: true },
      { flags: '--author <name>', describe: 'who made it', many: true },
      { flags: '--notes <text>', describe: 'release notes' },
      {
        flags: '--below-highest',
        describe: 'allow a number below the highest, for an older line of the product',
      },
      { flags: '--requires-installed <n>', describe: 'lowest installed version' },
      { flags: '--requires-bootloader <n>', describe: 'lowest boot loader version' },
      { flags: '--secure-boot-key <id>', describe: 'key that signed the boot chain', many: true },
      { flags: '--self-test-seconds <n>', describe: 'time limit of the self-tests (default 300)' },
      { flags: '--critical-test <name>', describe: 'a self-test that must pass', many: true },
      { flags: '--urgency <level>', describe: 'routine (default), security or safety' },
      { flags: '--deadline <time>', describe: 'YYYY-MM-DDTHH:MM:SSZ' },
      { flags: '--emergency', describe: "the policy's emergency set stands in for class and market" },
      { flags: '--demand <functions>', describe: 'functions that must approve as well: clinical,quality:2' },
      { flags: '--sbom <file>', describe: 'software bill of materials' },
      { flags: '--vex <file>', describe: 'vulnerability statements' },
    ],
    run: runCreate,
  },
  {
    usage: 'release list <product>',
    summary: 'releases of a product and who approved them',
    example: 'release list infusion-pump',
    run: runList,
  },
  {
    usage: 'release show <product> <version>',
    summary: 'one release, its manifest hashed here',
    example: 'release show infusion-pump 12 --manifest-out manifest.json',
    options: [
      { flags: '--manifest-out <file>', describe: "write the manifest's exact bytes into a new file" },
    ],
    run: runShow,
  },
  {
    usage: 'release signatures <product> <version>',
    summary: 'who signed what about it, when and with which meaning, proven here',
    help: 'Each statement is judged by this machine: signature, role, policy, and its entry in the audit log that it follows.',
    example: 'release signatures infusion-pump 12',
    run: runSignatures,
  },
];
