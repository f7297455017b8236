/**
 * The whole check: both repositories, the policy, the device record, the manifest. Bytes in, verdict out.
 *
 * A generator: it yields what to fetch (and how much of it at most) or what to make durable now, and does no I/O.
 * Answered with undefined throughout, it verifies again what is held, as before activation.
 * Keeps true, whatever the verdict: each verified root is kept at once; then timestamp and snapshot of each
 * repository; then, in one step, the set that authorises an install. A refusal never un-keeps anything.
 * Leaves to others: the single steps (repository.ts, functions.ts), the decision (agreement.ts), whether the release
 * suits this hardware (applicability.ts).
 */
import { agree, type Agreed, type Assigned } from './agreement.ts';
import { verifyDeviceRecord } from './device-record.ts';
import { addWithdrawn, loadImageSet, type ImageSet } from './functions.ts';
import type { DirectorTargetsView } from './read.ts';
import { openSession, setNow, type Fetched, type Session } from './repository-session.ts';
import { type Fresh, loadRole, refreshRoots, refreshSnapshot, type Steps } from './repository.ts';
import { fail, ok, type Failure, type Result, type UtcSeconds } from './result.ts';
import { checkRepositoriesApart } from './separation.ts';
import { timeLowerBound } from './time-bound.ts';
import type { TrustInput, TrustOutcome, TrustState, TrustStep, Verdict } from './types.ts';

interface Run {
  readonly input: TrustInput;
  readonly image: Session;
  readonly director: Session;
  /** The newest state, but for what the sessions hold beyond it. */
  state: TrustState;
  /** What the caller made durable last. */
  kept: TrustState;
}

type TrustSteps<T> = Generator<TrustStep, T, Fetched>;

/** What both repositories say, verified, as far as each could be. */
interface Verified {
  readonly freshImage: Fresh;
  readonly freshDirector: Fresh;
  readonly set: ImageSet;
  readonly targets: DirectorTargetsView;
}

/**
 * Refreshes both repositories and decides what the device shall install now.
 * Never throws for input from outside; the verdict `refused` carries the code. The returned state is the last one
 * that was yielded to be kept, or the given one.
 */
export function* checkTrust(input: TrustInput): TrustSteps<TrustOutcome> {
  const { identity, state, now, source } = input;
  const image = openSession({ repository: 'image', product: identity.product }, state.image, now, source);
  if (!image.ok) return { state, verdict: refused(image.error) };
  const director = openSession(
    { repository: 'director', device: identity.device },
    state.director,
    now,
    source,
  );
  if (!director.ok) return { state, verdict: refused(director.error) };
  const run: Run = { input, image: image.value, director: director.value, state, kept: state };
  const verdict = yield* decide(run);
  return { state: run.kept, verdict };
}

function* decide(run: Run): TrustSteps<Verdict> {
  // An error in one repository must not keep the other from learning of a withdrawal or a revoked key.
  const imageRoots = yield* drive(run, refreshRoots(run.image));
  const directorRoots = yield* drive(run, refreshRoots(run.director));
  // Only now: a bound that keys signed which the new roots no longer name is gone.
  const known = Math.max(run.input.now, composed(run).timeLowerBound);
  setNow(run.image, known);
  setNow(run.director, known);
  const freshImage = imageRoots.ok ? yield* drive(run, refreshSnapshot(run.image)) : imageRoots;
  const freshDirector = directorRoots.ok ? yield* drive(run, refreshSnapshot(run.director)) : directorRoots;
  const now = Math.max(run.image.now, run.director.now);
  setNow(run.image, now);
  setNow(run.director, now);

  const set = freshImage.ok
    ? yield* drive(run, loadImageSet(run.image, freshImage.value.snapshot, run.state.policy))
    : freshImage;
  const targets = freshDirector.ok
    ? yield* drive(run, loadDirectorTargets(run.director, freshDirector.value))
    : freshDirector;
  if (set.ok) noteSet(run, set.value);
  const assigned = targets.ok ? targets.value.assignment : undefined;
  if (!freshImage.ok || !set.ok || !freshDirector.ok || !targets.ok) {
    yield* keep(run);
    const failed = [freshImage, set, freshDirector, targets].find((result) => !result.ok);
    return failed === undefined || failed.ok ? { kind: 'none' } : refused(failed.error, assigned);
  }
  const verified = {
    freshImage: freshImage.value,
    freshDirector: freshDirector.value,
    set: set.value,
    targets: targets.value,
  };
  const verdict = yield* verdictOf(run, verified);
  yield* keep(run);
  return verdict;
}

function* verdictOf(run: Run, verified: Verified): TrustSteps<Verdict> {
  const { image, director } = run;
  const { set, targets } = verified;
  const assigned = targets.assignment;
  const apart = checkRepositoriesApart(image.root.roles, set.functions, director.root.roles);
  if (!apart.ok) return refused(apart.error, assigned);
  const record = verifyDeviceRecord(run.state.deviceRecord, image.state.root, run.input.identity);
  if (!record.ok) return refused(record.error, assigned);
  if (assigned === undefined) {
    const { manifest: _, ...rest } = run.state;
    run.state = rest;
    return { kind: 'none' };
  }
  const minimum = image.root.image?.minimum ?? { classes: {}, markets: {} };
  const { withdrawn, manifest: heldManifest } = run.state;
  const steps = agree({
    session: image,
    set,
    minimum,
    record: record.value,
    assigned,
    withdrawn,
    heldManifest,
  });
  const agreed = yield* drive(run, steps);
  if (!agreed.ok) return refused(agreed.error, assigned);
  if (agreed.value.manifestText !== heldManifest) {
    run.state = { ...run.state, manifest: agreed.value.manifestText };
  }
  const validUntil = firstExpiry(run, verified, agreed.value);
  // A role may have expired between the caller's time and a newer signed `issued`.
  if (validUntil <= image.now) return refused(expiredMeanwhile().error, assigned);
  return { kind: 'approved', ...approval(agreed.value, assigned), validUntil };
}

function approval(agreed: Agreed, assigned: Assigned) {
  return {
    manifest: agreed.manifest,
    manifestText: agreed.manifestText,
    manifestSha256: assigned.sha256,
    assignment: assigned.assignment,
    demand: agreed.functions,
    emergency: agreed.emergency,
  };
}

/** The first expiry among all that authorises the install; functions that nobody demands do not count. */
function firstExpiry(run: Run, verified: Verified, agreed: Agreed): UtcSeconds {
  const { freshImage, freshDirector, set, targets } = verified;
  const functions = Object.keys(agreed.functions).flatMap((name) => set.functions.get(name)?.view ?? []);
  const image = [run.image.root, freshImage.timestamp, freshImage.snapshot, set.targets, ...functions];
  const director = [run.director.root, freshDirector.timestamp, freshDirector.snapshot, targets];
  return Math.min(...[...image, ...director].map(({ expires }) => expires));
}

function* loadDirectorTargets(session: Session, fresh: Fresh): Steps<DirectorTargetsView> {
  const loaded = yield* loadRole(
    session,
    fresh.snapshot,
    'director-targets',
    'targets',
    session.root.roles.targets,
  );
  if (!loaded.ok) return loaded;
  if (loaded.value.expired) {
    return fail('OTA_EXPIRED', 'director targets is expired at the reference time', 'targets');
  }
  return ok(loaded.value.view);
}

function noteSet(run: Run, set: ImageSet): void {
  const withdrawn = addWithdrawn(run.state.withdrawn, set.dropped);
  if (withdrawn !== run.state.withdrawn || set.policyText !== run.state.policy) {
    run.state = { ...run.state, withdrawn, policy: set.policyText };
  }
}

/** Runs one repository's steps: its fetches go to the caller as they are, its keeps as the whole device's state. */
function* drive<T>(run: Run, steps: Steps<T>): TrustSteps<Result<T>> {
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    if (step.kind === 'fetch') {
      next = steps.next(yield step);
    } else {
      yield* keep(run);
      next = steps.next(undefined);
    }
  }
  return next.value;
}

function composed(run: Run): TrustState {
  const next = { ...run.state, image: run.image.state, director: run.director.state };
  return { ...next, timeLowerBound: timeLowerBound(next) };
}

/** Makes everything verified so far durable, at once; an idle check writes nothing. */
function* keep(run: Run): TrustSteps<void> {
  const next = composed(run);
  const fields = Object.keys({ ...run.kept, ...next }) as (keyof TrustState)[];
  if (fields.every((field) => next[field] === run.kept[field])) return;
  run.state = next;
  run.kept = next;
  yield { kind: 'keep', state: next };
}

function expiredMeanwhile(): { ok: false; error: Failure } {
  return fail('OTA_EXPIRED', 'a role that authorises this release expired before the newest signed moment');
}

function refused(error: Failure, assigned?: Assigned): Verdict {
  if (assigned === undefined) return { kind: 'refused', error };
  return { kind: 'refused', error, manifestSha256: assigned.sha256, version: assigned.version };
}
