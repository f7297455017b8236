/** Who says when, in the configuration: strict, and nothing that could never be answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../src/config.ts';
import { exampleConfig } from './support/example-config.ts';

const parsed = (changes: Readonly<Record<string, unknown>>) =>
  parseConfig(Buffer.from(JSON.stringify({ ...exampleConfig, ...changes })), '/etc/airlock/agent.json');

const socket = { uid: 0, gid: 990, mode: '660' };
const service = (sockets: Readonly<Record<string, unknown>>) => ({ folder: '/run/airlock', sockets });

test('TEST-OTA-1130 REQ-OTA-POL-06, REQ-OTA-POL-08, REQ-OTA-OPS-01: interlock, sockets and consent in the configuration: read, or refused with the field; what nobody could answer is refused too', () => {
  const good = parsed({
    service: service({ status: { ...socket, mode: '666' }, consent: socket, interlock: socket }),
    interlock: { command: ['/bin/busy'], timeLimitSeconds: 3, socket: { timeLimitSeconds: 2 } },
    consent: { required: true, validSecondsMax: 600 },
  });
  assert.ok(good.ok, good.ok ? '' : good.error.message);
  assert.deepEqual(good.value.service?.sockets.consent, { uid: 0, gid: 990, mode: 0o660 });
  assert.deepEqual(good.value.interlock, {
    command: ['/bin/busy'],
    timeLimitSeconds: 3,
    socket: { timeLimitSeconds: 2 },
  });
  const alone = parsed({ service: service({ interlock: socket }), interlock: { socket: {} } });
  assert.deepEqual(alone.ok && alone.value.interlock, { socket: { timeLimitSeconds: 10 } });
  const wrong: readonly [Readonly<Record<string, unknown>>, RegExp][] = [
    [{ service: service({ consent: { ...socket, mode: '666' } }) }, /consent\.mode: expected "600" or "660"/],
    [{ service: service({ status: { ...socket, gid: 'wheel' } }) }, /status\.gid: expected an integer/],
    [{ service: service({ status: { uid: 0, mode: '600' } }) }, /status\.gid: /],
    [{ service: service({ root: socket }) }, /sockets\.root: is not a field/],
    [{ service: { sockets: {} } }, /service\.folder: expected a path/],
    [{ interlock: { socket: {} } }, /interlock\.socket: expected the socket in service\.sockets\.interlock/],
    [{ service: service({ interlock: socket }) }, /sockets\.interlock: expected "socket" in interlock/],
    [{ interlock: { socket: {}, timeLimitSeconds: 5 } }, /interlock\.timeLimitSeconds: expected nothing/],
    [{ interlock: {} }, /interlock\.command: /],
    [{ interlock: 'yes' }, /interlock: expected .*"none"/],
    [{ consent: { required: true } }, /consent\.required: expected somebody who can consent/],
    [
      { consent: { required: false, validSecondsMax: 10 ** 9 } },
      /consent\.validSecondsMax: expected an integer/,
    ],
  ];
  for (const [changes, expected] of wrong) {
    const refused = parsed(changes);
    assert.match(refused.ok ? 'read' : refused.error.message, expected, JSON.stringify(changes));
  }
});
