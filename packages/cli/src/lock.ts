/**
 * One command at a time: a lock file in the home, held by a running process.
 *
 * Keeps true: at most one process of a machine holds a lock, also when several find the lock of a dead one at once;
 * a process that was killed (kill -9, power cut) leaves nothing that a person has to clear. A lock file comes into
 * being whole (written beside, then linked), names its holder by process id and start time, and is removed only by
 * its holder or by the one process that proved it dead.
 * Leaves to others: homes shared between machines. Whether a holder on another machine lives cannot be known here, so
 * it counts as living, and the message names the file.
 */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Reader } from './fields.ts';
import { parseJson, secretMode, writeFailure } from './files.ts';
import type { Home } from './home.ts';
import { Stop, stop, systemCode } from './stop.ts';

/** Who holds a lock. */
interface Holder {
  /** Never the same twice: a lock that was read is recognised. */
  readonly id: string;
  readonly pid: number;
  /** Boot and start of the process where the system tells it: a process id alone comes again. */
  readonly started: string;
  readonly host: string;
  readonly since: string;
  readonly act: string;
}

/** A few dead holders in a row are found in as many turns; more turns than this mean a contest, which is no fault. */
const turnsMax = 20;
/** A short write of another command is waited for; a person at a prompt is not. */
const pollMs = 20;

/**
 * Runs `work` while no other process holds `name` in this home. Stops with CLI_HOME_BUSY, naming the home and who
 * holds it, when it is not free within `waitMs`.
 */
export async function withLock<T>(
  home: Home,
  lock: { readonly name: string; readonly act: string; readonly waitMs: number },
  work: () => Promise<T>,
): Promise<T> {
  const path = home.path(lock.name);
  const me: Holder = {
    id: randomBytes(12).toString('hex'),
    pid: process.pid,
    started: (await startOf(process.pid)) ?? '',
    host: hostname(),
    since: new Date().toISOString(),
    act: lock.act,
  };
  const deadline = performance.now() + lock.waitMs;
  for (;;) {
    const other = await take(path, me);
    if (other === undefined) break;
    if (performance.now() >= deadline) refuse(home, path, other);
    await sleep(pollMs);
  }
  try {
    return await work();
  } finally {
    if ((await read(path))?.id === me.id) await rm(path, { force: true });
  }
}

function refuse(home: Home, path: string, other: Holder): never {
  const where = other.host === hostname() ? '' : ` on ${other.host} (if it is gone, remove ${path})`;
  const who = `process ${other.pid}${where}, since ${other.since}: ${other.act}`;
  return stop('CLI_HOME_BUSY', `the home ${home.folder} is in use by ${who}`, '--home');
}

/** undefined: the lock is ours now; otherwise who has it. */
async function take(path: string, me: Holder): Promise<Holder | undefined> {
  let found: Holder | undefined;
  for (let turn = 0; turn < turnsMax; turn += 1) {
    if (await make(path, me)) return undefined;
    found = await read(path);
    if (found === undefined) continue;
    if (await isAlive(found)) return found;
    // Several may find the same dead holder. Who gets this second lock, named after him, is alone in removing his; and
    // he looks again first, since another may have done all this since he read.
    const heir = `${path}.${found.id}`;
    const rival = await take(heir, me);
    if (rival !== undefined) return rival;
    if ((await read(path))?.id === found.id) await rm(path, { force: true });
    await rm(heir, { force: true });
  }
  return found ?? me;
}

/** Makes the lock file, whole or not at all; false when there is one. */
async function make(path: string, me: Holder): Promise<boolean> {
  const beside = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    // Not flushed: a lock has no meaning after a power cut, and one that was cut short counts as dead.
    await writeFile(beside, JSON.stringify(me), { mode: secretMode, flag: 'wx' });
    await link(beside, path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw new Stop(writeFailure(error, path));
  } finally {
    await rm(beside, { force: true });
  }
}

/** undefined: there is none. What cannot be read was cut by a power loss: its holder is as dead as one can be. */
async function read(path: string): Promise<Holder | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new Stop(writeFailure(error, path));
  }
  try {
    const json = parseJson(text, path);
    if (!json.ok) return damaged;
    const reader = new Reader(json.value, { code: 'CLI_HOME_DAMAGED', name: path });
    const id = reader.at('id').text();
    if (!/^[0-9a-f]{24}$/.test(id)) return damaged;
    return {
      id,
      pid: reader.at('pid').integer(1),
      started: reader.at('started').text(),
      host: reader.at('host').text(),
      since: reader.at('since').text(),
      act: reader.at('act').text(),
    };
  } catch (error) {
    if (error instanceof Stop) return damaged;
    throw error;
  }
}

const damaged: Holder = { id: 'damaged', pid: 0, started: '', host: '', since: '', act: '' };

async function isAlive(holder: Holder): Promise<boolean> {
  if (holder === damaged) return false;
  if (holder.host !== hostname()) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, and is another user's.
    if (systemCode(error) === 'ESRCH') return false;
  }
  const started = await startOf(holder.pid);
  return started === undefined || holder.started === '' || started === holder.started;
}

/** Boot id and the tick at which the process started; `ended` for one that is over; undefined where the system has no /proc. */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name of the program stands in brackets and may hold anything; the start is the 20th word after it.
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // Killed and not yet collected by its parent: it does nothing any more.
    return words[0] === 'Z' ? 'ended' : `${boot}:${words[19] ?? ''}`;
  } catch {
    return undefined;
  }
}
