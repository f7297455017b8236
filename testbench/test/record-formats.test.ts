/**
 * Two record formats side by side, an agent that knows one and an agent that knows both: whoever of the two writes,
 * and wherever the power goes, the other one reads what was left (REQ-OTA-APPLY-10).
 *
 * Each played history is judged by what a disk may hold after it: the last write that returned or the one under way.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DiskError, type DeviceState, type Disk, type RecordStore } from '@airlock/agent';
import { Power, SimDisk } from '../../packages/agent/test/support/sim-disk.ts';
import { agentVariants, type AgentModule } from '../src/crash/agent-variants.ts';

const { previous, next } = await agentVariants();
const folder = '/state';
const files = ['record', 'record-2'].map((name) => `${folder}/${name}`);
const installed = { version: 1, manifestSha256: '0'.repeat(64) };
type Who = 'previous' | 'next';
const moduleOf = (who: Who): AgentModule => (who === 'next' ? next : previous);
const portOf = (disk: SimDisk, power = new Power()): Disk => disk.port(power, (op, path) => `${op} ${path}`);

/** What a test looks at: `floor` stands in both formats, `remark` in the second only. */
interface Content {
  readonly floor: number;
  readonly remark: string | undefined;
}

function stateOf({ floor, remark }: Content): DeviceState {
  const record: DeviceState = {
    schema: 'airlock-record/1',
    state: 'Idle',
    confirmed: { group: 'A', ...installed },
    groups: { A: installed, B: undefined },
    floor,
    failures: [],
    refusals: [],
  };
  return remark === undefined ? record : Object.assign(record, { remark });
}

function contentOf(record: DeviceState): Content {
  const remark = 'remark' in record ? String(record.remark) : undefined;
  return { floor: record.floor, remark };
}

/** Every whole copy on the medium, read by the agent that knows all formats. */
function copiesOn(disk: SimDisk): { sequence: number; floor: number; format: number }[] {
  return next.recordFormats.flatMap(({ file, decode }, format) =>
    [0, 4096].flatMap((at) => {
      const copy = decode(disk.bytes(`${folder}/${file}`)?.slice(at, at + 4096) ?? new Uint8Array());
      return copy === undefined ? [] : [{ sequence: copy.sequence, floor: copy.record.floor, format }];
    }),
  );
}

/** The disk of one start. A cut may tear the write before it: so many of its sectors reach the medium first. */
function tearing(disk: SimDisk, power: Power, tornSectors: number, cutBefore: number): Disk {
  const port = portOf(disk, power);
  return {
    ...port,
    open: async (path) => {
      const file = await port.open(path);
      if (file === undefined) return undefined;
      return {
        ...file,
        write: async (position, bytes) => {
          // The flush that would follow is the operation that the cut prevents.
          if (power.trace.length === cutBefore - 1 && tornSectors > 0) {
            const part = bytes.subarray(0, tornSectors * 512);
            const medium = await portOf(disk).open(path);
            await medium?.write(position, part);
            await medium?.flush();
          }
          await file.write(position, bytes);
        },
      };
    },
  };
}

interface Start {
  readonly who: Who;
  readonly writes: number;
  readonly cutBefore: number | undefined;
  readonly tornSectors: number;
  /** Found before the start. */
  readonly loss: 'none' | 'copy' | 'newer file' | 'newer copies' | 'older copies';
}

const starts: fc.Arbitrary<Start> = fc.record({
  who: fc.constantFrom<Who>('previous', 'next'),
  writes: fc.nat({ max: 3 }),
  cutBefore: fc.option(fc.nat({ max: 34 }), { nil: undefined }),
  tornSectors: fc.constantFrom(0, 0, 1, 3, 8),
  loss: fc.constantFrom('none', 'none', 'none', 'none', 'copy', 'newer file', 'newer copies', 'older copies'),
});

/** One device's life, and what its disk may say by now. */
class History {
  readonly disk = new SimDisk();
  /** What the next reader may find; undefined: that every copy is lost. */
  may: (Content | undefined)[] = [];
  /** Whether all copies hold one record, but for a newer file that is blank. */
  #settled = true;
  #floor = 1;
  rebuilt = 0;
  completed = 0;

  static async begun(): Promise<History> {
    const history = new History();
    const first = await portOf(history.disk).create(files[0] ?? '', 8192);
    await portOf(history.disk).flushFolder(folder);
    await first.close();
    await previous.recordStore(portOf(history.disk), folder).write(stateOf({ floor: 1, remark: undefined }));
    history.may = [{ floor: 1, remark: undefined }];
    return history;
  }

  async play(start: Start): Promise<void> {
    this.#lose(start);
    const power = new Power(start.cutBefore);
    const port = tearing(this.disk, power, start.tornSectors, start.cutBefore ?? -1);
    const life = this.#live(start.who, moduleOf(start.who).recordStore(port, folder), start.writes);
    const cut = (await Promise.race([life, power.lost])) === 'cut';
    if (cut) this.#settled = false;
    this.disk.loseUnflushed();
    this.#checkNumbers();
  }

  async #live(who: Who, store: RecordStore, writes: number): Promise<void> {
    const held = await store.read();
    this.#checkRead(who, held?.record);
    // The older agent repairs its own file only.
    if (who === 'next') this.#settled = held !== undefined;
    let remark = held === undefined ? undefined : contentOf(held.record).remark;
    // A device that lost its record writes another one before all else.
    for (let write = held === undefined ? -1 : 0; write < writes; write += 1) {
      this.#floor += 1;
      if (who === 'next') remark = `written with ${this.#floor}`;
      await this.#write(who, store, { floor: this.#floor, remark });
      this.#settled = true;
    }
  }

  async #write(who: Who, store: RecordStore, content: Content): Promise<void> {
    const before = this.may;
    const withRemarkBefore = before.map((one) => ({ ...content, remark: one?.remark }));
    const blanked = before.map((one) => one && { ...one, remark: undefined });
    // Under way: the record before, or this one. The newer agent completes this one by the remark before it; the older
    // one has blanked the newer file first.
    this.may = [...before, content, ...(who === 'next' ? withRemarkBefore : blanked)];
    await store.write(stateOf(content));
    this.may = [content];
  }

  #checkRead(who: Who, record: DeviceState | undefined): void {
    const found = record === undefined ? undefined : contentOf(record);
    const asSeen = (one: Content | undefined) =>
      one === undefined ? 'lost' : who === 'next' ? `${one.floor} ${one.remark}` : `${one.floor}`;
    const allowed = this.may.filter((one) => asSeen(one) === asSeen(found));
    const told = this.may.map((one) => asSeen(one)).join(' or ');
    assert.ok(allowed.length > 0, `${who} reads ${asSeen(found)}, which may be ${told}`);
    // What the older agent lost, the newer one may still have, until the older one writes.
    if (found !== undefined || who === 'next') this.may = allowed;
    if (found === undefined) this.rebuilt += 1;
    else if (found.remark !== undefined) this.completed += 1;
  }

  /** Two formats never say different things under one number: then it does not matter which of them is read. */
  #checkNumbers(): void {
    const bySequence = Map.groupBy(copiesOn(this.disk), ({ sequence }) => sequence);
    for (const [sequence, copies] of bySequence) {
      assert.equal(new Set(copies.map(({ floor }) => floor)).size, 1, `number ${sequence} has one meaning`);
    }
  }

  #lose({ loss, writes }: Start): void {
    if (!this.#settled || loss === 'none') return;
    this.#settled = false;
    const [older = '', newer = ''] = files;
    const hasNewer = copiesOn(this.disk).some(({ format }) => format === 1);
    if (loss === 'copy') {
      // Either copy, of either file: nothing is lost.
      const path = hasNewer && writes % 2 === 0 ? newer : older;
      if (this.disk.bytes(path) !== undefined) this.disk.damage(path, (writes > 1 ? 4096 : 0) + 70);
    } else if (loss === 'older copies') {
      for (const at of [70, 4096 + 70]) this.disk.damage(older, at);
      // The agent that knows the newer file goes on from it, if it was not blanked; the older one has lost all.
      this.may = [...this.may.filter(() => hasNewer), undefined];
    } else if (this.disk.bytes(newer) !== undefined) {
      if (loss === 'newer file') this.disk.forget(newer);
      else for (const at of [70, 4096 + 70]) this.disk.damage(newer, at);
      this.may = this.may.map((one) => one && { ...one, remark: undefined });
    }
  }
}

test('TEST-OTA-887 REQ-OTA-APPLY-10, REQ-OTA-APPLY-07: an older and a newer agent writing in any order, the power cut or a write torn anywhere, copies and files lost: each reads the last write or the one under way, and no number has two meanings', async () => {
  const seen = { rebuilt: 0, completed: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(starts, { minLength: 1, maxLength: 9 }), async (played) => {
      const history = await History.begun();
      for (const start of played) await history.play(start);
      seen.rebuilt += history.rebuilt;
      seen.completed += history.completed;
    }),
    { numRuns: 600 },
  );
  assert.ok(
    seen.rebuilt > 50 && seen.completed > 200,
    `the histories reach what they are about: ${JSON.stringify(seen)}`,
  );
});

/** The same disk without room for one more file. */
function full(disk: Disk): Disk {
  return {
    ...disk,
    create: async (path) => {
      throw new DiskError('OTA_DISK_FULL', path, `no room for ${path}`);
    },
  };
}

test('TEST-OTA-888 REQ-OTA-APPLY-10, REQ-OTA-APPLY-06: no room for the file of a newer format, or power lost while it is made: the record goes on in the older one alone, is told, and has both again at a later start', async () => {
  const { disk } = await History.begun();
  const crowded = next.recordStore(full(portOf(disk)), folder);
  assert.deepEqual((await crowded.read())?.unmade, ['airlock-record/2: no room for /state/record-2']);
  await crowded.write(stateOf({ floor: 2, remark: 'lost with the room' }));
  assert.equal(disk.bytes(`${folder}/record-2`), undefined);
  const older = await previous.recordStore(portOf(disk), folder).read();
  assert.equal(older?.record.floor, 2);
  // A file system may keep the name of a file that has no blocks yet.
  await portOf(disk).create(`${folder}/record-2`, 0);
  await portOf(disk).flushFolder(folder);
  assert.equal((await next.recordStore(full(portOf(disk)), folder).read())?.record.floor, 2);
  const roomy = next.recordStore(portOf(disk), folder);
  const held = await roomy.read();
  assert.deepEqual([held?.unmade, held?.repaired, held?.record.floor], [[], false, 2]);
  await roomy.write(stateOf({ floor: 3, remark: 'kept' }));
  const again = await next.recordStore(full(portOf(disk)), folder).read();
  assert.deepEqual(again && contentOf(again.record), { floor: 3, remark: 'kept' });
});

test("TEST-OTA-889 REQ-OTA-APPLY-10: a newer format's file that the older agent could not blank: what it wrote counts, and is not completed by what stood before", async () => {
  const { disk } = await History.begun();
  const newer = next.recordStore(portOf(disk), folder);
  await newer.read();
  await newer.write(stateOf({ floor: 2, remark: 'before the rollback' }));
  const older = previous.recordStore(portOf(disk), folder);
  await older.read();
  disk.faults.push({ op: 'write', path: `${folder}/record-2` });
  for (const floor of [3, 4]) await older.write(stateOf({ floor, remark: undefined }));
  assert.ok(
    copiesOn(disk).some(({ format }) => format === 1),
    'it stands there still',
  );
  const held = await next.recordStore(portOf(disk), folder).read();
  assert.deepEqual(held && contentOf(held.record), { floor: 4, remark: undefined });
});
