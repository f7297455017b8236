/** `release create` with every wrong input that a person can give it: one clear line, a status, nothing changed. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Company, makeCompany, removeCompany, sitDown } from './support/company.ts';
import { refused } from './support/refused.ts';

let company: Company;
before(async () => {
  company = await makeCompany();
});
after(async () => {
  await removeCompany(company);
});

const complete = [
  '--name',
  '1.2.0',
  '--compat',
  'hw:rev2',
  '--change-record',
  'CR-1',
  '--impact',
  'none',
  '--touches',
  'none',
  '--link',
  'https://qms.example/CR-1',
  '--regulatory',
  'none needed',
  '--author',
  'bo',
];
const image = ['--image', 'rootfs=image'];
const changeOptions = ['--change-record', '--impact', '--touches', '--regulatory', '--link'];

function create(version: string, ...options: readonly string[]): string[] {
  return ['release', 'create', 'pump', version, ...options];
}

function without(option: string): string[] {
  const at = complete.indexOf(option);
  return [...complete.slice(0, at), ...complete.slice(at + 2)];
}

test('TEST-OTA-521 REQ-OTA-OPS-01, REQ-OTA-POL-03: release create, each wrong input: one line that names the option or file, nothing changed', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  await writeFile(join(desk.folder, 'empty'), '');
  await writeFile(join(desk.folder, 'broken.json'), '{"name": ');
  await writeFile(join(desk.folder, 'unknown.json'), '{"nmae": "1.2.0"}');
  await writeFile(join(desk.folder, 'nested.json'), '{"requires": {"instaledMin": 3}}');
  await writeFile(join(desk.folder, 'other.json'), '{"version": 6}');
  for (const version of ['0', '-1', '1.5', '1e3', '0x10', '01', 'twelve', '2147483648', '']) {
    await refused(
      desk,
      ['release', 'create', ...complete, ...image, '--', 'pump', version],
      'CLI_NUMBER',
      'VERSION',
      2,
    );
  }
  await refused(
    desk,
    create('5', ...complete, '--image', 'rootfs=nowhere'),
    'CLI_FILE_MISSING',
    'nowhere',
    2,
  );
  await refused(desk, create('5', ...complete, '--image', 'rootfs=empty'), 'CLI_IMAGE_EMPTY', '--image', 2);
  await refused(desk, create('5', ...complete, '--image', 'rootfs=.'), 'CLI_FILE_READ', '--image', 2);
  await refused(desk, create('5', ...complete, '--image', 'rootfs'), 'CLI_IMAGE_OPTION', 'COMPONENT=FILE', 2);
  await refused(
    desk,
    create('5', ...complete, ...image, '--image', 'rootfs=image'),
    'OTA_MANIFEST',
    'images[1]',
    1,
  );
  await refused(desk, create('5', ...complete), 'OTA_MANIFEST', '--image', 1);
  await refused(
    desk,
    create('5', ...complete, '--manifest', 'nowhere.json'),
    'CLI_FILE_MISSING',
    'nowhere.json',
    2,
  );
  await refused(desk, create('5', ...complete, '--manifest', 'broken.json'), 'CLI_JSON', 'broken.json', 2);
  await refused(
    desk,
    create('5', ...complete, '--manifest', 'unknown.json'),
    'CLI_MANIFEST_FIELD',
    'nmae',
    2,
  );
  await refused(
    desk,
    create('5', ...complete, ...image, '--manifest', 'nested.json'),
    'OTA_MANIFEST',
    'instaledMin',
    1,
  );
  await refused(
    desk,
    create('5', ...complete, '--manifest', 'other.json'),
    'CLI_MANIFEST_FIELD',
    'version',
    2,
  );
  for (const option of [...changeOptions, '--name', '--compat', '--author']) {
    await refused(desk, create('5', ...without(option), ...image), 'OTA_MANIFEST', option, 1);
  }
  await refused(desk, create('5', ...complete, ...image, '--colour', 'red'), 'CLI_USAGE', '--colour', 2);
  await refused(
    desk,
    ['release', 'create', 'ghost', '5', ...complete, ...image],
    'CLI_PRODUCT_UNKNOWN',
    'ghost',
    1,
  );
});

test('TEST-OTA-522 REQ-OTA-OPS-01: release create, the version is used already: refused before anything is uploaded', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  const made = await desk.run(...create('5', ...complete, ...image));
  assert.equal(made.status, 0, made.err);
  await refused(desk, create('5', ...complete, ...image), 'CLI_VERSION_USED', 'the highest is 5', 1);
});
