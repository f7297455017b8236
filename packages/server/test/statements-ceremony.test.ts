/**
 * Statements that come in late: holders of a ceremony never meet, so that what they stated may be days old when its
 * `targets` arrives. Goal: that, and nothing else, may be old.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { signStatement, type Statement } from '@airlock/audit';
import { stateOf } from './support/stating.ts';
import {
  type Answer,
  approve,
  functionFile,
  makeRelease,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  targetsFile,
  uploadRelease,
  type World,
} from './support/world.ts';

const day = 86_400;
let world: World;
const first = makeRelease(1);

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await uploadRelease(world, first);
  await approve(world, 1, [first]);
});
after(async () => {
  await world.close();
});

const told = (answer: Answer) => `${answer.status} ${String(answer.body['code'] ?? answer.body['state'])}`;

type Name = 'engineering' | 'quality';

async function stated(role: Name, file: string, changes: Partial<Statement> = {}): Promise<string[]> {
  const statement = await stateOf(world, role, file, changes);
  assert.ok(statement);
  return [Buffer.from(signStatement(statement, world.keys[role])).toString()];
}

test('TEST-OTA-1240 REQ-OTA-POL-04, REQ-OTA-SIGN-05: statements of ten days ago: refused alone, taken beside an open proposal of targets and after the targets that came since; refused when older than the log that they name, or than any ceremony', async () => {
  const { targets, targets2 } = world.keys;
  const begun = world.clock.now();
  const roles = {
    engineering: functionFile(world, 'engineering', 2, [first]),
    quality: functionFile(world, 'quality', 2, [first]),
  };
  const old = {
    engineering: await stated('engineering', roles.engineering),
    quality: await stated('quality', roles.quality),
  };
  const send = async (role: Name, statements: string[]) =>
    told(await propose(world, role, roles[role], { statements }));

  world.clock.moved += 10 * day;
  assert.equal(await send('quality', old.quality), '422 API_STATEMENT', 'no keys change');
  const [open, second] = [[targets], [targets, targets2]].map((signers) => targetsFile(world, 2, signers));
  await must(propose(world, 'targets', open ?? ''), 200);
  // The last entry is some hours old: what is refused from here on is refused for its own time.
  world.clock.moved += 3 * 3600;
  const newer = await stated('quality', roles.quality, { time: begun });
  // The clock of the machine, or the person, lies: the log that it names had an entry of today.
  assert.notEqual(newer[0], old.quality[0]);
  assert.equal(await send('quality', newer), '422 API_STATEMENT', 'older than what it saw');
  const ahead = await stated('quality', roles.quality, { time: world.clock.now() + 2 * 3600 });
  assert.equal(await send('quality', ahead), '422 API_STATEMENT', 'of tomorrow');
  assert.equal(await send('quality', old.quality), '200 published', 'beside an open proposal of targets');

  await must(propose(world, 'targets', second ?? ''), 200);
  assert.equal(await send('engineering', old.engineering), '200 published', 'after its targets');

  const last = functionFile(world, 'quality', 3, [first]);
  const late = await stated('quality', last);
  world.clock.moved += 91 * day;
  await must(propose(world, 'targets', targetsFile(world, 3, [targets, targets2])), 200);
  const again = await propose(world, 'quality', last, { statements: late });
  assert.equal(told(again), '422 API_STATEMENT', 'older than any ceremony');
  const { body } = await must(world.people('GET', `/api/v1/products/${product}`), 200);
  assert.deepEqual(body['published'], { engineering: 2, quality: 2, targets: 3 });
});
