/**
 * The plan by which keys come and go (REQ-OTA-KEYS-02): update keys and secure-boot keys in one document, judged
 * against what the fleet says of itself. Pure.
 *
 * A key may go when nothing that could still be started needs it: of both groups of every device, since a fallback
 * boots what it was signed with. Whatever is not known stands in the way: a device that never reported, a release that
 * nobody can show, boot chains of which nobody said who signed them. A device that is gone is revoked, not forgotten.
 * Steps are done in the order of the document: a later one that was begun before an earlier one is over is told.
 * Leaves to others: how the facts were read and verified (key-plan-facts.ts), doing the steps.
 */
import { fail, ok, type Result } from '@airlock/trust';

/** `key`: a secure-boot key as manifests name it, or the whole key id of an update key. */
export type PlanStep = { readonly id: string; readonly key: string } & (
  | { readonly does: 'secure-boot-trust'; readonly release: number }
  | { readonly does: 'secure-boot-use'; readonly release: number }
  | { readonly does: 'secure-boot-retire' }
  /** `release`: agents before it could not verify with this key. */
  | { readonly does: 'update-add'; readonly role: string; readonly release?: number }
  | { readonly does: 'update-retire'; readonly role: string }
);

export interface KeyPlan {
  readonly product: string;
  /** Raised by whoever changes the document. */
  readonly version: number;
  readonly steps: readonly PlanStep[];
}

export interface PlanGroup {
  readonly version: number;
  /** What the manifest says of the boot chain; undefined when the very manifest is not known. */
  readonly secureBoot?: readonly string[];
}

export interface PlanDevice {
  readonly device: string;
  /** Absent: it never reported. */
  readonly reported?: {
    readonly groups: Readonly<Partial<Record<'A' | 'B', PlanGroup>>>;
    readonly confirmed: number;
    readonly heard?: { readonly imageRoot: number; readonly targets: number };
    /** `trusted` absent: no secure boot. Itself absent: not told. */
    readonly secureBoot?: { readonly trusted?: readonly string[] };
  };
  readonly assigned?: { readonly version: number; readonly secureBoot?: readonly string[] };
  /** Keys that signed its record; absent: not told. */
  readonly recordKeyIds?: readonly string[];
}

export interface PlanFacts {
  /** Registered and not revoked. */
  readonly devices: readonly PlanDevice[];
  /** Releases that the server knows, with what their manifests say of the boot chain. */
  readonly releases: ReadonlyMap<number, { readonly secureBoot: readonly string[] }>;
  /** Key ids and thresholds in force, by role: root, targets, provisioning, snapshot, timestamp, functions. */
  readonly roles: ReadonlyMap<string, { readonly keyIds: readonly string[]; readonly threshold: number }>;
  readonly imageRoot: number;
  readonly targets: number;
  /** Secure-boot keys that the policy revoked. */
  readonly revoked: readonly string[];
}

/** What stands in the way of a step: `who` is a device, or the document or release itself. */
export interface Obstacle {
  readonly who: string;
  readonly why: string;
}

export interface StepState {
  readonly step: PlanStep;
  /** `begun`: on its way, and rightly. `early`: it was begun although something stands in its way. */
  readonly state: 'done' | 'begun' | 'may go' | 'waits' | 'early';
  readonly obstacles: readonly Obstacle[];
}

const rootRoles = new Set(['root', 'targets', 'snapshot', 'timestamp', 'provisioning']);

/** Whether the document can be right at all, whatever the fleet says. Code: CLI_KEY_PLAN, naming the step. */
export function checkPlanOrder({ steps }: KeyPlan): Result<true> {
  const ids = new Set<string>();
  for (const [at, step] of steps.entries()) {
    const wrong = ids.has(step.id)
      ? 'stands twice'
      : wrongPlace(step, steps.slice(0, at), steps.slice(at + 1));
    if (wrong !== undefined) return fail('CLI_KEY_PLAN', `step ${step.id}: ${wrong}`, `steps[${at}]`);
    ids.add(step.id);
  }
  return ok(true);
}

function wrongPlace(
  step: PlanStep,
  before: readonly PlanStep[],
  after: readonly PlanStep[],
): string | undefined {
  const same = (other: PlanStep) => other.key === step.key && other.does === step.does;
  if (before.some(same)) return `${step.does} of key ${step.key} stands twice`;
  if (step.does === 'secure-boot-use') {
    if (after.some((other) => other.does === 'secure-boot-trust' && other.key === step.key)) {
      return `releases are signed with ${step.key} before devices trust it`;
    }
    const trust = before.find((other) => other.does === 'secure-boot-trust' && other.key === step.key);
    if (trust?.does === 'secure-boot-trust' && trust.release >= step.release) {
      return `release ${step.release} must be above ${trust.release}, which brings the trust in ${step.key}`;
    }
  }
  if (step.does === 'secure-boot-retire') {
    if (after.some((other) => other.does === 'secure-boot-use' && other.key === step.key)) {
      return `${step.key} goes before the step that uses it`;
    }
    if (!before.some((other) => other.does === 'secure-boot-use' && other.key !== step.key)) {
      return `${step.key} goes before any release is signed with another key`;
    }
  }
  if (step.does === 'update-retire') {
    const adds = (other: PlanStep) => other.does === 'update-add' && other.role === step.role;
    if (after.some(adds) && !before.some(adds))
      return `the key of ${step.role} goes before its successor is named`;
  }
  return undefined;
}

/** Every step with what stands in its way. The document's own order was checked. */
export function judgePlan({ steps }: KeyPlan, facts: PlanFacts): StepState[] {
  const states: StepState[] = [];
  for (const step of steps) {
    const own = obstaclesOf(step, facts);
    const open = states.filter(({ state }) => state !== 'done').map((earlier) => earlier.step.id);
    const obstacles = [
      ...(open.length === 0
        ? []
        : [{ who: 'the plan', why: `steps before it are open: ${open.join(', ')}` }]),
      ...own,
    ];
    const begun = isBegun(step, facts);
    const finished = isDone(step, facts, own);
    const free = begun ? 'begun' : 'may go';
    const state = finished ? 'done' : obstacles.length === 0 ? free : begun ? 'early' : 'waits';
    states.push({ step, state, obstacles: finished ? [] : obstacles });
  }
  return states;
}

/** The permission to do a step now. Code: CLI_KEY_NEEDED, naming the devices that stand in the way. */
export function permitStep(states: readonly StepState[], id: string): Result<StepState> {
  const found = states.find(({ step }) => step.id === id);
  if (found === undefined) {
    const known = states.map(({ step }) => step.id).join(', ');
    return fail('CLI_KEY_PLAN', `the plan has no step ${id}; it has ${known}`, '--step');
  }
  if (found.obstacles.length === 0) return ok(found);
  return fail('CLI_KEY_NEEDED', `step ${id} must wait: ${obstacleWords(found.obstacles)}`, id);
}

/** Names shown before the rest is counted: a fleet has thousands. */
const namedMax = 10;

export function obstacleWords(obstacles: readonly Obstacle[]): string {
  const named = obstacles.slice(0, namedMax).map(({ who, why }) => `${who}: ${why}`);
  const rest = obstacles.length - named.length;
  return `${named.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}

function obstaclesOf(step: PlanStep, facts: PlanFacts): Obstacle[] {
  switch (step.does) {
    case 'secure-boot-trust':
      return releaseObstacles(step, facts, (signed) =>
        signed.includes(step.key)
          ? `is signed with ${step.key} itself, so devices that do not trust it yet refuse it`
          : undefined,
      );
    case 'secure-boot-use':
      return [
        ...releaseObstacles(step, facts, (signed) =>
          signed.includes(step.key) ? undefined : `is not signed with ${step.key}`,
        ),
        ...facts.devices.flatMap((device) => mustTrust(device, step.key)),
      ];
    case 'secure-boot-retire':
      return secureBootNeeds(facts, step.key);
    case 'update-add':
      return step.release === undefined
        ? []
        : facts.devices.flatMap((device) => mustRun(device, step.release ?? 0));
    default:
      return updateNeeds(facts, step.role, step.key);
  }
}

function releaseObstacles(
  { release }: { readonly release: number },
  { releases }: PlanFacts,
  judge: (secureBoot: readonly string[]) => string | undefined,
): Obstacle[] {
  const known = releases.get(release);
  const why = known === undefined ? 'is not known to the server' : judge(known.secureBoot);
  return why === undefined ? [] : [{ who: `release ${release}`, why }];
}

const never: Obstacle['why'] = 'never reported; revoke it if it is gone';

function mustTrust({ device, reported }: PlanDevice, key: string): Obstacle[] {
  if (reported === undefined) return [{ who: device, why: never }];
  if (reported.secureBoot === undefined) return [{ who: device, why: 'does not tell which keys it trusts' }];
  const { trusted } = reported.secureBoot;
  return trusted === undefined || trusted.includes(key)
    ? []
    : [{ who: device, why: `does not trust ${key} yet` }];
}

/** Both groups: the fallback's agent must know what it meets. */
function mustRun({ device, reported }: PlanDevice, release: number): Obstacle[] {
  if (reported === undefined) return [{ who: device, why: never }];
  return Object.entries(reported.groups)
    .filter(([, group]) => group.version < release)
    .map(([letter, group]) => ({
      who: device,
      why: `group ${letter} holds release ${group.version}, below ${release}`,
    }));
}

/** What needs a secure-boot key: either group of a device, and what is assigned to it. */
export function secureBootNeeds({ devices }: PlanFacts, key: string): Obstacle[] {
  return devices.flatMap(({ device, reported, assigned }): Obstacle[] => {
    if (reported === undefined) return [{ who: device, why: never }];
    if (reported.secureBoot !== undefined && reported.secureBoot.trusted === undefined) return [];
    const found: Obstacle[] = [];
    for (const [letter, group] of Object.entries(reported.groups)) {
      const why = groupNeeds(group, key);
      if (why !== undefined)
        found.push({ who: device, why: `group ${letter}, release ${group.version}, ${why}` });
    }
    if (assigned !== undefined && assigned.secureBoot?.includes(key) !== false) {
      found.push({
        who: device,
        why: `release ${assigned.version} is assigned, which is signed with ${key}`,
      });
    }
    if (reported.secureBoot === undefined) {
      found.push({ who: device, why: 'does not tell which keys it trusts' });
    } else if (reported.secureBoot.trusted?.every((other) => other === key) === true) {
      found.push({ who: device, why: `trusts no key but ${key}` });
    }
    return found;
  });
}

function groupNeeds({ secureBoot }: PlanGroup, key: string): string | undefined {
  if (secureBoot === undefined) return 'has a manifest that is not known here';
  if (secureBoot.length === 0) return 'does not say which keys signed its boot chain';
  return secureBoot.includes(key) ? `is signed with ${key}` : undefined;
}

/** What needs an update key: the role's threshold, and records that no key that stays has signed. */
function updateNeeds({ devices, roles }: PlanFacts, role: string, key: string): Obstacle[] {
  const held = roles.get(role);
  if (held === undefined) return [{ who: 'the plan', why: `there is no role or function ${role}` }];
  const staying = held.keyIds.filter((keyId) => keyId !== key);
  const found: Obstacle[] = [];
  if (staying.length < held.threshold) {
    const why = `would be left with ${staying.length} keys and needs ${held.threshold}: name a successor first`;
    found.push({ who: role, why });
  }
  return role === 'provisioning' ? [...found, ...recordNeeds({ devices, roles }, [key])] : found;
}

/** Devices whose record would be none if these provisioning keys went. */
export function recordNeeds(
  { devices, roles }: Pick<PlanFacts, 'devices' | 'roles'>,
  gone: readonly string[],
): Obstacle[] {
  const held = roles.get('provisioning');
  if (held === undefined || gone.length === 0) return [];
  const staying = held.keyIds.filter((keyId) => !gone.includes(keyId));
  return devices
    .filter(
      ({ recordKeyIds = [] }) =>
        recordKeyIds.filter((keyId) => staying.includes(keyId)).length < held.threshold,
    )
    .map(({ device }) => ({
      who: device,
      why: 'has a record that no key which stays has signed; give it a new one first',
    }));
}

/** Who has not heard of a change: there a key that went still counts. */
function unheard(facts: PlanFacts, role: string): Obstacle[] {
  return facts.devices.flatMap(({ device, reported }): Obstacle[] => {
    if (reported === undefined) return [{ who: device, why: never }];
    const { heard } = reported;
    if (heard === undefined) return [{ who: device, why: 'does not tell what it has heard of' }];
    const [has, needs, what] = rootRoles.has(role)
      ? [heard.imageRoot, facts.imageRoot, 'root']
      : [heard.targets, facts.targets, 'targets'];
    return has >= needs
      ? []
      : [{ who: device, why: `holds ${what} ${has}, not ${needs}: the key still counts there` }];
  });
}

/** Whether the step's effect is to be seen already. */
function isBegun(step: PlanStep, facts: PlanFacts): boolean {
  switch (step.does) {
    case 'secure-boot-trust':
      return facts.devices.some(({ reported }) => reported?.secureBoot?.trusted?.includes(step.key));
    case 'secure-boot-use':
      return facts.devices.some(
        ({ reported, assigned }) =>
          assigned?.version === step.release || (reported?.confirmed ?? 0) >= step.release,
      );
    case 'secure-boot-retire':
      return facts.revoked.includes(step.key);
    case 'update-add':
      return facts.roles.get(step.role)?.keyIds.includes(step.key) === true;
    default:
      return facts.roles.get(step.role)?.keyIds.includes(step.key) === false;
  }
}

function isDone(step: PlanStep, facts: PlanFacts, own: readonly Obstacle[]): boolean {
  switch (step.does) {
    case 'secure-boot-trust':
      return (
        facts.devices.length > 0 && facts.devices.every((device) => mustTrust(device, step.key).length === 0)
      );
    case 'secure-boot-use':
      return (
        own.length === 0 &&
        facts.devices.length > 0 &&
        facts.devices.every(({ reported }) => (reported?.confirmed ?? 0) >= step.release)
      );
    case 'secure-boot-retire':
      return own.length === 0 && facts.revoked.includes(step.key);
    case 'update-add':
      return isBegun(step, facts) && own.length === 0;
    default:
      return isBegun(step, facts) && unheard(facts, step.role).length === 0;
  }
}

/** Of a key that went already: the devices that still believe it. */
export function stillBelieved(step: PlanStep, facts: PlanFacts): readonly Obstacle[] {
  return step.does === 'update-retire' && isBegun(step, facts) ? unheard(facts, step.role) : [];
}
