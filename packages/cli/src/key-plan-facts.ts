/**
 * The facts that a key plan is judged by: the verified repository, and what the server says that devices reported.
 *
 * Manifests are taken by the hash that a device reported for its group, so that a release's number never stands for
 * another content. Reports are signed by devices and stored by the server; a server that lies here can make a key go too
 * early. So the answer is advice for people who act; what a device refuses does not depend on it (threat model).
 */
import { parseManifest, parsePolicy, readRole, sha256Hex } from '@airlock/trust';
import { readGround, parseOwner } from './ceremony-ground.ts';
import type { Context } from './command.ts';
import type { PlanDevice, PlanFacts, PlanGroup } from './core/key-plan.ts';
import { optional } from './device-answers.ts';
import type { Reader } from './fields.ts';
import type { ServerApi } from './server-api.ts';
import { stop } from './stop.ts';

interface InstalledGroup {
  readonly version: number;
  readonly sha256: string;
}

/** A device as the server shows it, with the fields that the plan counts. */
interface SeenDevice {
  readonly device: string;
  readonly product: string;
  readonly revoked: boolean;
  readonly recordKeyIds?: readonly string[];
  readonly assigned?: InstalledGroup;
  readonly reported?: {
    readonly groups: Readonly<Partial<Record<'A' | 'B', InstalledGroup>>>;
    readonly confirmed: number;
    readonly heard?: { readonly imageRoot: number; readonly targets: number };
    readonly secureBoot?: { readonly trusted?: readonly string[] };
  };
}

function readGroup(reader: Reader): InstalledGroup {
  return { version: reader.at('version').integer(0), sha256: reader.at('manifestSha256').text() };
}

function readReported(reader: Reader): NonNullable<SeenDevice['reported']> {
  const report = reader.at('report');
  const installed = report.at('installed');
  const [a, b] = [installed.optional('A'), installed.optional('B')];
  const heard = report.optional('heard');
  const secureBoot = report.optional('secureBoot');
  const trusted = secureBoot?.optional('trusted');
  return {
    groups: {
      ...(a === undefined ? {} : { A: readGroup(a) }),
      ...(b === undefined ? {} : { B: readGroup(b) }),
    },
    confirmed: report.at('confirmed').at('version').integer(0),
    ...(heard === undefined
      ? {}
      : { heard: { imageRoot: heard.at('imageRoot').integer(1), targets: heard.at('targets').integer(0) } }),
    ...(secureBoot === undefined ? {} : { secureBoot: optional('trusted', trusted?.texts()) }),
  };
}

function readSeen(reader: Reader): SeenDevice {
  const reported = reader.optional('reported');
  const recordKeyIds = reader.optional('recordKeyIds');
  const assignment = reader.optional('assignment');
  return {
    device: reader.at('device').text(),
    product: reader.at('product').text(),
    revoked: reader.optional('revoked') !== undefined,
    ...optional('recordKeyIds', recordKeyIds?.texts()),
    ...(assignment === undefined
      ? {}
      : {
          assigned: {
            version: assignment.at('release').integer(1),
            sha256: assignment.at('manifestSha256').text(),
          },
        }),
    ...optional('reported', reported === undefined ? undefined : readReported(reported)),
  };
}

/** Secure-boot keys of manifests, by hash. */
async function manifestsOf(api: ServerApi, product: string) {
  const bySha256 = new Map<string, readonly string[]>();
  const byVersion = new Map<number, { readonly secureBoot: readonly string[] }>();
  for (const { version } of await api.releases(product)) {
    const text = (await api.release(product, version))?.manifest;
    const manifest = text === undefined ? undefined : parseManifest(Buffer.from(text));
    if (text === undefined || manifest?.ok !== true || manifest.value.version !== version) continue;
    const { secureBoot } = manifest.value;
    bySha256.set(sha256Hex(Buffer.from(text)), secureBoot);
    byVersion.set(version, { secureBoot });
  }
  return { bySha256, byVersion };
}

/** Stops with the codes of `readGround`. */
export async function readPlanFacts(context: Context, product: string): Promise<PlanFacts> {
  const { ground, root } = await readGround(context, parseOwner(product), { offline: false });
  const targets = ground.image === undefined ? undefined : readRole(ground.image.targets);
  const policy = ground.image === undefined ? undefined : parsePolicy(Buffer.from(ground.image.policy));
  if (targets?.ok !== true || targets.value.kind !== 'targets' || policy?.ok !== true) {
    return stop('OTA_MISSING_FILE', `${product} has no targets that were verified here`, product);
  }
  const api = await context.api();
  const manifests = await manifestsOf(api, product);
  const seen = await api.devicesAs(readSeen);
  const group = ({ version, sha256 }: InstalledGroup): PlanGroup => {
    const secureBoot = manifests.bySha256.get(sha256);
    return { version, ...(secureBoot === undefined ? {} : { secureBoot }) };
  };
  const { image: parts } = root;
  const all = [
    ...Object.entries(root.roles),
    ...(parts === undefined ? [] : [['provisioning', parts.provisioning] as const]),
    ...targets.value.functions.map(({ name, ...keys }) => [name, keys] as const),
  ];
  return {
    devices: seen
      .filter((device) => device.product === product && !device.revoked)
      .map((device) => planDevice(device, group)),
    releases: manifests.byVersion,
    roles: new Map(
      all.map(([role, { keys, threshold }]) => [role, { keyIds: keys.map(({ keyId }) => keyId), threshold }]),
    ),
    imageRoot: root.version,
    targets: targets.value.version,
    revoked: policy.value.secureBootRevoked,
  };
}

function planDevice(
  { device, reported, assigned, recordKeyIds }: SeenDevice,
  group: (installed: InstalledGroup) => PlanGroup,
): PlanDevice {
  const [a, b] = [reported?.groups.A, reported?.groups.B];
  return {
    device,
    ...(recordKeyIds === undefined ? {} : { recordKeyIds }),
    ...(assigned === undefined ? {} : { assigned: group(assigned) }),
    ...(reported === undefined
      ? {}
      : {
          reported: {
            ...reported,
            groups: {
              ...(a === undefined ? {} : { A: group(a) }),
              ...(b === undefined ? {} : { B: group(b) }),
            },
          },
        }),
  };
}
