/**
 * What every Disk must do, real or simulated: the durability contract of ports/disk.ts as tests.
 *
 * Only behaviour that a caller can see without a power cut; what a cut leaves is shown by the crash explorer (for the
 * simulated disk) and by the virtual device (for the real one).
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Disk, DiskFile } from '../../src/ports/disk.ts';

export interface DiskUnderTest {
  readonly disk: Disk;
  /** An existing, empty folder on the disk. */
  readonly folder: string;
  dispose(): Promise<void>;
}

/** Registers eight tests, numbered from `firstNumber`. `makeDisk` gives a fresh, empty disk for each. */
export function diskContract(
  name: string,
  makeDisk: () => Promise<DiskUnderTest>,
  firstNumber: number,
): void {
  const contract = (
    offset: number,
    requirements: string,
    subject: string,
    body: (under: DiskUnderTest) => Promise<void>,
  ): void => {
    test(`TEST-OTA-${firstNumber + offset} ${requirements}: ${name}, ${subject}`, async () => {
      const under = await makeDisk();
      try {
        await body(under);
      } finally {
        await under.dispose();
      }
    });
  };

  contract(
    0,
    'REQ-OTA-APPLY-07',
    'a name that does not exist: undefined, not an error',
    async ({ disk, folder }) => {
      assert.equal(await disk.open(join(folder, 'nothing')), undefined);
      await disk.remove(join(folder, 'nothing'));
      assert.deepEqual(await disk.list(folder), []);
    },
  );

  contract(
    1,
    'REQ-OTA-APPLY-06',
    'a file is created: zeros of the exact size, and never over an existing name',
    async ({ disk, folder }) => {
      const path = join(folder, 'a record');
      const file = await disk.create(path, 10_001);
      assert.equal(file.sizeBytes, 10_001);
      assert.ok((await file.read(0, 10_001)).every((byte) => byte === 0));
      await file.write(0, new Uint8Array([7]));
      await file.flush();
      await file.close();
      await assert.rejects(disk.create(path, 5));
      const again = await opened(disk, path);
      assert.equal(again.sizeBytes, 10_001);
      assert.deepEqual([...(await again.read(0, 2))], [7, 0]);
      await again.close();
    },
  );

  contract(
    2,
    'REQ-OTA-APPLY-03',
    'any writes: reads and the medium agree with a plain array',
    async ({ disk, folder }) => {
      const sizeBytes = 20_000;
      const write = fc.record({
        position: fc.nat(sizeBytes - 1),
        bytes: fc.uint8Array({ minLength: 1, maxLength: 9000 }),
      });
      let count = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(write, { maxLength: 6 }),
          fc.nat(sizeBytes),
          fc.nat(sizeBytes),
          async (writes, from, length) => {
            count += 1;
            const file = await disk.create(join(folder, `model ${count}`), sizeBytes);
            const model = new Uint8Array(sizeBytes);
            for (const { position, bytes } of writes) {
              const fitting = bytes.subarray(0, sizeBytes - position);
              await file.write(position, fitting);
              model.set(fitting, position);
            }
            assert.deepEqual(
              Buffer.from(await file.read(from, length)),
              Buffer.from(model.subarray(from, from + length)),
            );
            await file.flush();
            const asked = Math.min(length, sizeBytes - from);
            assert.deepEqual(
              await collected(file, from, asked),
              Buffer.from(model.subarray(from, from + asked)),
            );
            await file.close();
            await disk.remove(join(folder, `model ${count}`));
          },
        ),
        { numRuns: 25 },
      );
    },
  );

  contract(
    3,
    'REQ-OTA-APPLY-06',
    'a write past the end: refused, and the size stays',
    async ({ disk, folder }) => {
      const path = join(folder, 'slot');
      const file = await disk.create(path, 4096);
      await assert.rejects(file.write(4000, new Uint8Array(97)));
      await file.write(4000, new Uint8Array(96).fill(1));
      await file.flush();
      await file.close();
      const again = await opened(disk, path);
      assert.equal(again.sizeBytes, 4096);
      await again.close();
    },
  );

  contract(
    4,
    'REQ-OTA-MAN-05',
    'more than the file holds is read: a short read, and an error from the medium',
    async ({ disk, folder }) => {
      const file = await disk.create(join(folder, 'slot'), 5000);
      assert.equal((await file.read(4990, 100)).length, 10);
      assert.equal((await file.read(6000, 1)).length, 0);
      await assert.rejects(collected(file, 4990, 11));
      assert.equal((await collected(file, 4990, 10)).length, 10);
      assert.equal((await collected(file, 5000, 0)).length, 0);
      await file.close();
    },
  );

  contract(
    5,
    'REQ-OTA-MAN-05',
    'three megabytes and a bit are read back from an odd position: every byte in order',
    async ({ disk, folder }) => {
      const sizeBytes = 3 * 1024 * 1024 + 12_345;
      const file = await disk.create(join(folder, 'slot'), sizeBytes);
      const bytes = new Uint8Array(sizeBytes);
      for (let index = 0; index < sizeBytes; index += 1) bytes[index] = (index * 31 + (index >> 12)) & 0xff;
      await file.write(0, bytes);
      await file.flush();
      assert.ok((await collected(file, 0, sizeBytes)).equals(Buffer.from(bytes)));
      assert.ok(
        (await collected(file, 4097, sizeBytes - 5000)).equals(
          Buffer.from(bytes.subarray(4097, sizeBytes - 903)),
        ),
      );
      await file.close();
    },
  );

  contract(
    6,
    'REQ-OTA-APPLY-03',
    'a new file takes the place of an old one: names move as a whole',
    async ({ disk, folder }) => {
      for (const [letter, value] of [
        ['b', 1],
        ['a', 2],
      ] as const) {
        const file = await disk.create(join(folder, letter), 10);
        await file.write(0, new Uint8Array([value]));
        await file.flush();
        await file.close();
      }
      assert.deepEqual(await disk.list(folder), ['a', 'b']);
      await disk.rename(join(folder, 'a'), join(folder, 'b'));
      await disk.flushFolder(folder);
      assert.deepEqual(await disk.list(folder), ['b']);
      const file = await opened(disk, join(folder, 'b'));
      assert.deepEqual([...(await file.read(0, 1))], [2]);
      await file.close();
      await disk.remove(join(folder, 'b'));
      await disk.flushFolder(folder);
      assert.deepEqual(await disk.list(folder), []);
    },
  );

  contract(
    7,
    'REQ-OTA-APPLY-06',
    'reading from the medium is broken off: the file is usable afterwards',
    async ({ disk, folder }) => {
      const sizeBytes = 4 * 1024 * 1024;
      const file = await disk.create(join(folder, 'slot'), sizeBytes);
      for await (const piece of file.readMedium(0, sizeBytes)) {
        assert.ok(piece.length > 0);
        break;
      }
      await file.write(0, new Uint8Array([9]));
      await file.flush();
      assert.equal((await collected(file, 0, 1))[0], 9);
      await file.close();
    },
  );
}

async function opened(disk: Disk, path: string): Promise<DiskFile> {
  const file = await disk.open(path);
  if (file === undefined) throw new Error(`${path} is missing`);
  return file;
}

/** All pieces, copied at once: each is valid only until the next is asked for. */
export async function collected(file: DiskFile, position: number, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of file.readMedium(position, length)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
