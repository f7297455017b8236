/** The local sockets: who may ask what, lines that are no requests, and the interlock and consent over them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import {
  serviceAsks,
  serviceLimits,
  servicePermissions,
  serviceTable,
  type ServicePermission,
} from '@airlock/protocol';
import { openServiceSockets, type SocketFile } from '../src/adapters/service-sockets.ts';
import { interlockClients } from '../src/adapters/socket-interlock.ts';
import {
  connectAgent,
  ServiceError,
  type InterlockAnswers,
  type ServiceClient,
} from '../src/client/index.ts';
import type { Agent } from '../src/index.ts';
import type { ReleaseBrief } from '../src/ports/platform.ts';
import { serviceHandler } from '../src/service.ts';
import { consentDesk } from '../src/service-consent.ts';
import { scratchFolder } from './support/scratch.ts';

const release: ReleaseBrief = {
  version: 2,
  name: 'Release 2',
  manifestSha256: 'a'.repeat(64),
  urgency: { level: 'routine' },
};
const ids = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const scratch = await scratchFolder();
after(scratch.dispose);
let folders = 0;

interface Bench {
  readonly folder: string;
  readonly noted: string[];
  readonly clients: ReturnType<typeof interlockClients>;
  woken: number;
  client(permission: ServicePermission, answers?: InterlockAnswers): Promise<ServiceClient>;
}

/** Real sockets before an agent of which only the answers are made up. */
async function bench(t: TestContext, sockets = allSockets(0o600), timeLimitSeconds = 5): Promise<Bench> {
  folders += 1;
  const folder = join(scratch.folder, `run-${folders}`);
  const noted: string[] = [];
  const clients = interlockClients(timeLimitSeconds);
  const agent: Agent = {
    boot: async () => undefined,
    poll: async () => ({ kind: 'idle' }),
    run: async () => undefined,
    close: async () => undefined,
    status: () => ({
      ready: false,
      bootedGroup: 'A',
      record: undefined,
      inTrial: false,
      inFallback: false,
      logHead: undefined,
    }),
    release: () => release,
    waiting: () => undefined,
    consentRequired: () => true,
    moment: () => ({ now: 1000, monotonicMs: 0 }),
    wake: () => void (made.woken += 1),
    log: async () => [],
    note: async (code, reason, facts) => void noted.push(`${code} ${reason} ${JSON.stringify(facts)}`),
  };
  const desk = consentDesk(3600, () => agent.moment());
  const handler = serviceHandler({ device: 'pump-1', product: 'pump', agent, desk, clients });
  const opened = await openServiceSockets({ folder, sockets }, handler);
  assert.ok(opened.ok, opened.ok ? '' : opened.error.message);
  const open: ServiceClient[] = [];
  t.after(async () => {
    for (const client of open) client.close();
    await opened.value.close();
  });
  const made: Bench = {
    folder,
    noted,
    clients,
    woken: 0,
    client: async (permission, answers) => {
      const client = await connectAgent(folder, permission, answers);
      open.push(client);
      return client;
    },
  };
  return made;
}

function allSockets(mode: number): Record<ServicePermission, SocketFile> {
  const file = { ...ids, mode };
  return { status: file, log: file, install: file, consent: file, interlock: file };
}

/** Lines sent as they are, and all that came back until the connection ended or so many lines were there. */
async function say(path: string, lines: readonly string[], wanted: number): Promise<readonly string[]> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    let text = '';
    const end = (): void => {
      socket.destroy();
      resolve(text.split('\n').slice(0, -1));
    };
    socket.on('data', (piece) => {
      text += piece.toString();
      if (text.split('\n').length > wanted) end();
    });
    socket.on('error', () => undefined);
    socket.on('close', end);
    socket.write(lines.map((line) => `${line}\n`).join(''));
  });
}

const requests: Readonly<Record<string, object>> = {
  consent: { operator: 'nurse-17', manifestSha256: release.manifestSha256 },
  withdraw: { operator: 'nurse-17' },
};

test('TEST-OTA-1118 REQ-OTA-POL-08, REQ-OTA-LOG-02: every request on every socket: answered or OTA_SERVICE_FORBIDDEN as the one table says', async (t) => {
  const { folder } = await bench(t);
  for (const permission of servicePermissions) {
    for (const [id, ask] of serviceAsks.entries()) {
      const line = JSON.stringify({ id, ask, ...requests[ask] });
      const [hello, answer] = await say(join(folder, permission), [line], 2);
      assert.match(hello ?? '', new RegExp(`"permission":"${permission}"`));
      const said = JSON.parse(answer ?? '{}') as { id: number; answer?: object; refused?: { code: string } };
      assert.equal(said.id, id);
      const allowed = serviceTable[permission].includes(ask);
      assert.equal(
        said.refused?.code,
        allowed ? undefined : 'OTA_SERVICE_FORBIDDEN',
        `${ask} on ${permission}`,
      );
    }
  }
});

test('TEST-OTA-1119 REQ-OTA-POL-08: socket files: owner, group and mode are those configured; another user is refused by the kernel, and a folder that others may write by the agent', async (t) => {
  const sockets = { ...allSockets(0o600), status: { ...ids, mode: 0o666 }, consent: { ...ids, mode: 0o660 } };
  const { folder } = await bench(t, sockets);
  await chmod(scratch.folder, 0o755);
  for (const permission of servicePermissions) {
    const facts = await stat(join(folder, permission));
    assert.deepEqual(
      [facts.mode & 0o777, facts.uid, facts.gid],
      [sockets[permission].mode, ids.uid, ids.gid],
    );
  }
  // Only root can become somebody else; elsewhere the modes above have been looked at.
  if (ids.uid === 0) {
    const script = `require('node:net').connect(process.argv[1]).on('connect',()=>process.exit(0)).on('error',(e)=>{console.log(e.code);process.exit(1)})`;
    const as = (permission: string, uid: number, gid: number) =>
      spawnSync(process.execPath, ['-e', script, join(folder, permission)], { uid, gid, encoding: 'utf8' });
    assert.equal(as('status', 65_534, 65_534).status, 0, 'everybody may read the status');
    assert.equal(as('consent', 65_534, 65_534).stdout, 'EACCES\n');
    assert.equal(as('consent', 65_534, 0).status, 0, 'the group may');
    assert.equal(as('interlock', 65_534, 0).stdout, 'EACCES\n', 'the owner alone');
  }
  const open = join(scratch.folder, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  const handler = { opened: () => undefined, heard: () => undefined, closed: () => undefined };
  const refused = await openServiceSockets({ folder: open, sockets }, handler);
  assert.match(refused.ok ? '' : refused.error.message, /service\.folder: .*nobody else may write/);
  await writeFile(join(scratch.folder, 'file'), '');
  const none = await openServiceSockets({ folder: join(scratch.folder, 'file'), sockets }, handler);
  assert.ok(!none.ok);
});

test('TEST-OTA-1120 REQ-OTA-OPS-01, REQ-OTA-NET-04: lines that are no requests, too long, too many or of nobody: refused with the field, or hung up on, and the next program is served', async (t) => {
  const made = await bench(t);
  const consent = join(made.folder, 'consent');
  const refusals: [string, RegExp][] = [
    ['nothing', /"id":0,.*OTA_SERVICE_REQUEST.*JSON object/],
    ['[]', /OTA_SERVICE_REQUEST/],
    ['{"id":7,"ask":"dance"}', /"id":7,.*OTA_SERVICE_REQUEST.*ask: expected/],
    ['{"id":-1,"ask":"status"}', /OTA_SERVICE_REQUEST.*id: /],
    ['{"id":1,"ask":"status","extra":1}', /OTA_SERVICE_REQUEST.*extra/],
    ['{"id":1,"ask":"consent","operator":"two words"}', /OTA_SERVICE_REQUEST.*(operator|manifestSha256)/],
    ['{"id":1,"ask":"withdraw","operator":""}', /OTA_SERVICE_REQUEST.*operator/],
  ];
  for (const [line, expected] of refusals) {
    const [, answer] = await say(consent, [line], 2);
    assert.match(answer ?? '', expected, line);
  }
  const long = await say(consent, ['x'.repeat(serviceLimits.requestBytesMax + 1)], 9);
  assert.equal(long.length, 1, 'greeted and hung up on');
  const endless = await say(consent, [`{"id":1,"ask":"${'x'.repeat(10_000)}`], 9);
  assert.equal(endless.length, 1);
  const flood = Array.from({ length: 500 }, () => '{"id":1,"ask":"status"}');
  assert.ok((await say(consent, flood, 501)).length < 100, 'hung up on');
  assert.deepEqual(made.noted, [], 'nothing was decided');
  assert.equal((await (await made.client('consent')).status()).clinicalUse, 'wait', 'no record was read yet');
});

test('TEST-OTA-1121 REQ-OTA-POL-06: interlock over its socket - nobody there, yes, no, throwing, silent, gone in the middle, two that differ, one that comes meanwhile: only a yes of everybody is one', async (t) => {
  const made = await bench(t, allSockets(0o600), 0.3);
  const { interlock } = made.clients;
  const asked = async (): Promise<string> => {
    const answer = await interlock.allows('reboot', release);
    return answer.allowed ? 'yes' : answer.reason;
  };
  assert.equal(await asked(), 'interlock: nobody is connected to its socket');
  let answer: () => unknown = () => ({ allowed: true });
  const told: string[] = [];
  const answers: InterlockAnswers = {
    allows: (may, { version }) => {
      assert.deepEqual([may, version], ['reboot', 2]);
      return answer() as { allowed: boolean };
    },
    told: (news, { version }) => void told.push(`${news} ${version}`),
  };
  const first = await made.client('interlock', answers);
  assert.equal(await asked(), 'yes');
  for (const [next, reason] of [
    [() => ({ allowed: false, reason: 'therapy' }), 'interlock: therapy'],
    [() => ({ allowed: 1 }), 'interlock: it says no'],
    [() => undefined, 'interlock: nobody answers here'],
    [() => assert.fail('broken\u001b[2J'), 'interlock: broken [2J'],
    [() => new Promise(() => undefined), 'interlock: no answer within 0.3 s'],
    [
      () => (first.close(), new Promise(() => undefined)),
      'interlock: the connection ended while it was asked',
    ],
  ] as const) {
    answer = next;
    assert.equal(await asked(), reason);
  }
  await first.closed;
  answer = () => ({ allowed: true });
  const second = await made.client('interlock', answers);
  const third = await made.client('interlock', {
    ...answers,
    allows: () => ({ allowed: false, reason: 'mine' }),
  });
  assert.equal(await asked(), 'interlock: mine');
  third.close();
  await third.closed;
  while ((await asked()) === 'interlock: mine') await new Promise(setImmediate);
  // Whoever comes while the others are asked may be the one that knows of a therapy.
  answer = async () => {
    await made.client('interlock', answers);
    return { allowed: true };
  };
  assert.equal(await asked(), 'interlock: a program connected or left while it was asked');
  second.close();
  // A line that is no clear answer ends the connection, and with it is a no.
  for (const line of ['{"question":1,"allowed":"yes"}', '{"question":"1","allowed":true}'])
    assert.equal((await say(join(made.folder, 'interlock'), [line], 9)).length, 1);
});

test('TEST-OTA-1122 REQ-OTA-POL-06: news over the interlock socket: told to who is connected, and what stands - a trial, a confirmed release - to who comes later', async (t) => {
  const made = await bench(t);
  const { interlock } = made.clients;
  await interlock.tell('trial', release);
  const told: string[] = [];
  const { promise: heard, resolve } = Promise.withResolvers<void>();
  await made.client('interlock', {
    allows: () => ({ allowed: true }),
    told: (news) => {
      told.push(news);
      if (news === 'confirmed') resolve();
    },
  });
  await interlock.tell('overdue', release);
  await interlock.tell('called-off', release);
  await interlock.tell('confirmed', release);
  await heard;
  assert.deepEqual(told, ['trial', 'overdue', 'called-off', 'confirmed']);
  const later: string[] = [];
  const late = await made.client('interlock', {
    allows: () => ({ allowed: true }),
    told: (news) => void later.push(news),
  });
  await late.again();
  assert.deepEqual(later, ['confirmed']);
  assert.equal(made.woken, 1, 'asked again now');
});

test('TEST-OTA-1123 REQ-OTA-POL-06, REQ-OTA-LOG-01: consent over its socket - for the release that waits, another one, too long, taken back: logged with the operator, shown in the status, and counted for that manifest alone', async (t) => {
  const made = await bench(t);
  const client = await made.client('consent');
  const operator = 'nurse-17';
  const { manifestSha256 } = release;
  await assert.rejects(client.consent({ operator, manifestSha256: 'b'.repeat(64) }), (error) => {
    assert.ok(error instanceof ServiceError && error.code === 'OTA_SERVICE_NOT_NOW');
    return true;
  });
  await assert.rejects(client.consent({ operator, manifestSha256, validSeconds: 3601 }), /at most 3600 s/);
  assert.deepEqual(made.noted, []);
  const status = await client.status();
  assert.deepEqual([status.consentRequired, status.consent, status.release?.version], [true, undefined, 2]);
  assert.deepEqual(await client.consent({ operator, manifestSha256, validSeconds: 60 }), { until: 1060 });
  assert.deepEqual((await client.status()).consent, { operator, manifestSha256, until: 1060 });
  assert.equal(made.woken, 1);
  assert.match(
    made.noted.join(),
    /^OTA_CONSENT operator nurse-17 consents to version 2 until 1970-01-01T00:17:40Z .*"answer":"yes"/,
  );
  assert.equal(await client.withdraw('nurse-18'), true);
  assert.match(made.noted.join('\n'), /OTA_CONSENT operator nurse-18 takes back the consent of nurse-17/);
  assert.equal((await client.status()).consent, undefined);
  assert.equal(await client.withdraw('nurse-18'), false);
});

test('TEST-OTA-1124 REQ-OTA-OPS-01: client, without a socket, on something that is no agent, and when the connection ends: an error with a code, and nothing hangs', async (t) => {
  const code = (wanted: string) => (error: unknown) => error instanceof ServiceError && error.code === wanted;
  await assert.rejects(connectAgent(join(scratch.folder, 'none'), 'status'), code('ENOENT'));
  const made = await bench(t);
  const client = await made.client('status');
  client.close();
  await client.closed;
  await assert.rejects(client.status(), code('OTA_SERVICE_CLOSED'));
});
