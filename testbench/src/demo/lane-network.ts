/**
 * Scenario 12: a server with the wrong certificate, and a device that the server does not know.
 */
import { join } from 'node:path';
import { makeAuthority, makeDeviceIdentity, makeServerIdentity, writeIdentity } from '../certificates.ts';
import { startHostileServer } from '../hostile-server.ts';
import { writeDeviceConfig } from '../virtual-device/device-config.ts';
import { openDeviceAuthority, readServerConfig } from '../world/thief.ts';
import { askAgent } from '../world/device.ts';
import { addDevice, type Found, type Run, scenario } from './run.ts';

export async function networkLane(run: Run): Promise<void> {
  const device = await addDevice(run, 'pump-12');
  const from = join(device.given, 'agent.json');
  const { folder } = device;
  // One boot with the truth: `check` asks the kernel which group runs.
  device.virtual.powerOn();
  await device.waitForCode('OTA_BOOT');
  await device.virtual.killAgent();
  await scenario(
    run,
    {
      number: '12a',
      requirement: 'REQ-OTA-NET-01',
      done: 'a server of the right name with a certificate of another authority',
    },
    async () => {
      const identity = await makeServerIdentity(await makeAuthority('Somebody else'));
      const files = writeIdentity(run.folder, 'foreign-server', identity);
      const { clientAuthorityFile } = readServerConfig(run.company).deviceListener;
      const foreign = await startHostileServer({
        ...files,
        clientAuthorityFile,
        deviceIdentity: () => files,
      });
      try {
        writeDeviceConfig({ from, folder, serverUrl: foreign.url });
        const found = answered(
          await askAgent(device, run.images.agentFile, 'check'),
          'OTA_SERVER_CERTIFICATE',
        );
        return foreign.requests.length === 0
          ? { ...found, answer: `${found.answer}; it asked that server nothing` }
          : { ...found, fault: `it asked ${foreign.requests.join(' ')}` };
      } finally {
        await foreign.close();
      }
    },
  );
  await scenario(
    run,
    {
      number: '12b',
      requirement: 'REQ-OTA-NET-02',
      done: 'a device with a good certificate that the server does not know',
    },
    async () => {
      const stranger = await makeDeviceIdentity(openDeviceAuthority(run.company), 'pump-stranger');
      const identity = writeIdentity(run.folder, 'stranger', stranger);
      writeDeviceConfig({ from, folder, identity });
      return answered(await askAgent(device, run.images.agentFile, 'check'), 'OTA_SERVER_REFUSED');
    },
  );
}

/** `airlock-agent: CODE: reason`, as the agent's `check` prints it. */
function answered(output: string, expected: string): Found {
  const [, code = '-', reason = output] = /airlock-agent: (OTA_[A-Z_]+): (.*)/.exec(output) ?? [];
  const found = { code, answer: `${code}: ${reason}` };
  return code === expected ? found : { ...found, fault: `expected ${expected}` };
}
