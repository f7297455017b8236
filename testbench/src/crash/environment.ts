/**
 * What everything outside the agent does during one boot: server, interlock, programs, clock, kernel.
 *
 * Each environment is the good one with one thing wrong. They are values, so that two can be compared.
 */
/** What everything outside the agent does during one boot. */
export interface Environment {
  readonly name: string;
  /** What the server would have the device do; `stale`: it repeats its first answer. undefined: there is no answer. */
  readonly server: 'assigned' | 'withdrawn' | 'nothing' | 'older' | 'stale' | undefined;
  /** Leave of the device's own software; one that changes its mind takes back its leave to restart. */
  readonly interlock: 'yes' | 'no' | 'changes its mind';
  readonly selfTest: 'pass' | 'fail' | 'hang' | 'kill';
  /** Whether what the boot loader counts reaches the disk; GRUB's may not. */
  readonly count: 'kept' | 'lost';
  /** The group in trial never reaches its agent: a watchdog restarts the device. */
  readonly trialStarts: boolean;
  /** Half way: the first of a hook's two steps is done. */
  readonly hooks: 'work' | 'fail' | 'fail half way';
  readonly restart: 'works' | 'fails' | 'never comes';
  readonly clock: 'right' | 'ten years ahead' | 'ten years pass while images are proven' | '1970';
  /** Whether the operator consents, where that is asked. */
  readonly consent: 'given' | 'not given';
  /** Whether the record can be flushed; where not, each flush of it fails and what was written is gone. */
  readonly recordDisk: 'sound' | 'takes no flush';
  readonly bootDisk: 'sound' | 'takes no write';
  readonly logDisk: 'sound' | 'takes no write';
  readonly tpm: 'works' | 'does not answer';
  /** Images come whole, broken off after three sectors again and again, or with one bit changed. */
  readonly images: 'whole' | 'broken off' | 'damaged';
}

const good: Environment = {
  name: 'good',
  server: 'assigned',
  interlock: 'yes',
  selfTest: 'pass',
  count: 'kept',
  trialStarts: true,
  hooks: 'work',
  restart: 'works',
  clock: 'right',
  consent: 'given',
  recordDisk: 'sound',
  bootDisk: 'sound',
  logDisk: 'sound',
  tpm: 'works',
  images: 'whole',
};

/** Each is another boot that the world may give a device; every state is booted in every one. */
export const environments: readonly Environment[] = [
  good,
  { ...good, name: 'count lost', count: 'lost' },
  { ...good, name: 'self-test fails', selfTest: 'fail' },
  { ...good, name: 'self-test hangs', selfTest: 'hang' },
  { ...good, name: 'self-test kills the agent', selfTest: 'kill' },
  { ...good, name: 'trial never starts', trialStarts: false },
  { ...good, name: 'no server', server: undefined },
  { ...good, name: 'interlock says no', interlock: 'no' },
  { ...good, name: 'interlock changes its mind', interlock: 'changes its mind' },
  { ...good, name: 'withdrawn', server: 'withdrawn' },
  { ...good, name: 'nothing assigned', server: 'nothing' },
  { ...good, name: 'stale answers', server: 'stale' },
  { ...good, name: 'hooks fail', hooks: 'fail' },
  { ...good, name: 'hooks fail half way', hooks: 'fail half way' },
  { ...good, name: 'restart fails', restart: 'fails' },
  { ...good, name: 'restart never comes', restart: 'never comes' },
  { ...good, name: 'record takes no flush', recordDisk: 'takes no flush' },
  { ...good, name: 'boot control takes no write', bootDisk: 'takes no write' },
  { ...good, name: 'log takes no write', logDisk: 'takes no write' },
  { ...good, name: 'TPM does not answer', tpm: 'does not answer' },
  { ...good, name: 'operator does not consent', consent: 'not given' },
  { ...good, name: 'older release assigned', server: 'older' },
  { ...good, name: 'ten years pass', clock: 'ten years pass while images are proven' },
  { ...good, name: 'image breaks off', images: 'broken off' },
  { ...good, name: 'image is damaged', images: 'damaged' },
  { ...good, name: 'clock ten years ahead', clock: 'ten years ahead' },
  { ...good, name: 'clock in 1970', clock: '1970' },
];

export const goodEnvironment: Environment = good;

export function environmentOf(name: string): Environment {
  const found = environments.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no environment ${name}`);
  return found;
}

const fields: readonly (keyof Environment)[] = [
  'server',
  'interlock',
  'selfTest',
  'count',
  'trialStarts',
  'hooks',
  'restart',
  'clock',
  'consent',
  'recordDisk',
  'bootDisk',
  'logDisk',
  'tpm',
  'images',
];

export interface Watched {
  readonly asking: Environment;
  /** What was asked of it so far. */
  readonly asked: ReadonlySet<string>;
  /** Whether anything was answered otherwise than the good environment would. */
  readonly differed: () => boolean;
}

/** The same environment, noting what is asked of it. */
export function watched(given: Environment): Watched {
  const asked = new Set<string>();
  let differed = false;
  const asking = new Proxy(given, {
    get(target, field, receiver): unknown {
      const answer: unknown = Reflect.get(target, field, receiver);
      if (typeof field !== 'string' || field === 'name') return answer;
      asked.add(field);
      differed ||= answer !== Reflect.get(good, field);
      return answer;
    },
  });
  return { asking, asked, differed: () => differed };
}

/** Whether an environment differs from the good one in anything that was asked. */
export function differs(environment: Environment, asked: ReadonlySet<string>): boolean {
  return fields.some((field) => asked.has(field) && environment[field] !== good[field]);
}
