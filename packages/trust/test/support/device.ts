/**
 * A device, for tests: runs `checkTrust` against what a company serves, and notes every request and every state kept.
 * It reads each kept state back from its bytes, as a restart would.
 */
import assert from 'node:assert/strict';
import {
  checkTrust,
  encodeTrustState,
  newTrustState,
  parseTrustState,
  type TrustState,
  type TrustStep,
  type Verdict,
} from '../../src/index.ts';
import { Company } from './repository.ts';
import { day, signedOf, start } from './signing.ts';

export interface CheckOptions {
  readonly now?: number;
  readonly source?: 'network' | 'bundle';
  /** Every fetch is answered with nothing: what is held is verified again. */
  readonly offline?: boolean;
  /** Replaces single answers: `image/timestamp.json` and so on. */
  readonly answers?: Readonly<Record<string, Uint8Array | undefined>>;
  /** The device loses power after this many states were made durable. */
  readonly keepsMax?: number;
}

export interface Checked {
  readonly verdict: Verdict | undefined;
  /** What the verdict refused with, or its kind. */
  readonly code: string;
  readonly requests: readonly string[];
  readonly keeps: number;
}

export class TestDevice {
  readonly company: Company;
  readonly identity: { product: string; device: string };
  state: TrustState;

  constructor(company: Company, identity: { product: string; device: string }, state: TrustState) {
    this.company = company;
    this.identity = identity;
    this.state = state;
  }

  check(options: CheckOptions = {}): Checked {
    const { now = this.company.now, source = 'network' } = options;
    const requests: string[] = [];
    let keeps = 0;
    const run = checkTrust({ identity: this.identity, state: this.state, now, source });
    let next = run.next();
    while (next.done !== true) {
      const step: TrustStep = next.value;
      if (step.kind === 'keep') {
        if (keeps === options.keepsMax) return { verdict: undefined, code: 'power lost', requests, keeps };
        keeps += 1;
        this.restartWith(step.state);
        next = run.next(undefined);
      } else {
        const path = `${step.repository}/${step.path}`;
        requests.push(path);
        next = run.next(this.answer(path, step.bytesMax, options));
      }
    }
    const { verdict, state } = next.value;
    assert.deepEqual(state, this.state, 'the outcome has the state that was kept last');
    return { verdict, code: verdict.kind === 'refused' ? verdict.error.code : verdict.kind, requests, keeps };
  }

  /** Takes the device to a state by its bytes only. */
  private restartWith(state: TrustState): void {
    const read = parseTrustState(encodeTrustState(state));
    assert.ok(read.ok, read.ok ? '' : read.error.message);
    this.state = read.value;
  }

  private answer(path: string, bytesMax: number, options: CheckOptions): Uint8Array | undefined {
    if (options.offline === true) return undefined;
    if (options.answers !== undefined && Object.hasOwn(options.answers, path)) return options.answers[path];
    const [repository, ...rest] = path.split('/');
    const files = repository === 'image' ? this.company.imageFiles : this.company.directorFiles;
    const found = files.get(rest.join('/'));
    assert.ok(found === undefined || found.length <= bytesMax, `${path} is longer than asked for`);
    return found;
  }

  /** Versions kept: what a rollback is judged by. */
  kept(repository: 'image' | 'director' = 'image'): Record<string, number> {
    const { root, memory } = this.state[repository];
    const versions = Object.entries(memory).map(([role, { version }]) => [role, version] as const);
    return { root: Number(signedOf(Buffer.from(root))['version']), ...Object.fromEntries(versions) };
  }
}

/** A device fresh from the factory, with the company's newest roots. */
export function newDevice(
  company: Company,
  device: string,
  record: Record<string, unknown> = {},
): TestDevice {
  const text = (files: Map<string, Uint8Array>, version: number) =>
    Buffer.from(files.get(`${version}.root.json`) ?? []).toString('utf8');
  const identity = { product: company.product, device };
  const state = newTrustState({
    identity,
    imageRoot: text(company.imageFiles, company.imageVersion.root),
    directorRoot: text(company.directorFiles, company.directorVersion.root),
    deviceRecord: company.deviceRecord(device, record),
    builtAt: start - 10 * day,
  });
  assert.ok(state.ok, state.ok ? '' : state.error.message);
  return new TestDevice(company, identity, state.value);
}

/** A company with release 12 approved by all and assigned, and its device. */
export function approvedRelease(): { company: Company; device: TestDevice } {
  const company = new Company();
  const device = newDevice(company, 'pump-1');
  company.approveByAll(12);
  company.publish();
  company.assign('pump-1', 12);
  return { company, device };
}
