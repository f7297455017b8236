/**
 * Making what a device is provisioned with: record, TLS identity, log key, roots, and its agent's configuration.
 *
 * The two private keys of a device lie in clear in its folder, for their owner only: the device must start by itself.
 * Move the folder to the device and delete it here.
 */
import { join } from 'node:path';
import {
  type DeviceRecord,
  type ImageView,
  parseDeviceRecord,
  type PublicKeyJson,
  publicKeyFrom,
  publicKeyJson,
  type Signer,
  signEnvelope,
  type UtcSeconds,
} from '@airlock/trust';
import { type Identity, makeDeviceCertificate, privateKeyPem } from './certificates.ts';
import { type NewFile, publicMode, secretMode } from './files.ts';
import { pretty } from './home.ts';
import { generateKey, type KeyType } from './keys.ts';
import { need, stop } from './stop.ts';

/** Once an hour: a withdrawal is seen within the working day, and a fleet of 100 000 asks 28 times a second. */
const pollIntervalSeconds = 3600;

export interface DeviceInput {
  readonly record: DeviceRecord;
  readonly view: ImageView;
  readonly provisioning: readonly Signer[];
  readonly authority: Identity;
  /** Certificate of the authority that signed the server's. */
  readonly serverAuthority: string;
  readonly directorRoot: string;
  readonly deviceUrl: string;
  readonly logKeyType: KeyType;
  readonly slots: Readonly<Record<string, { readonly A: string; readonly B: string }>>;
  /** Fields of agent.json that the integrator gives; they win over the defaults. */
  readonly template: Readonly<Record<string, unknown>>;
  readonly folder: string;
  readonly now: UtcSeconds;
}

export interface MadeDevice {
  readonly files: readonly NewFile[];
  readonly record: string;
  readonly certificate: string;
  readonly logKey: PublicKeyJson;
}

/** Class and market must be known to root and policy, or the device could never install anything. Code: CLI_DEVICE. */
export function checkDevice(record: DeviceRecord, view: ImageView): DeviceRecord {
  const minimum = view.root.image?.minimum;
  const { safetyClass, market } = record;
  if (minimum?.classes[safetyClass] === undefined || view.policy.classes[safetyClass] === undefined) {
    return stop(
      'CLI_DEVICE',
      `class ${safetyClass} is not in the minimum and the policy of ${record.product}`,
      '--class',
    );
  }
  const known = Object.keys(view.policy.markets).filter((name) =>
    Object.keys(minimum.markets).includes(name),
  );
  if (!known.includes(market)) {
    const list = known.length === 0 ? 'none' : known.join(', ');
    return stop(
      'CLI_DEVICE',
      `market "${market}" is not known to ${record.product}; known: ${list}`,
      '--market',
    );
  }
  return need(parseDeviceRecord(record));
}

/** Everything that the device is given, made and signed; nothing is written yet. */
export async function makeDevice(input: DeviceInput): Promise<MadeDevice> {
  const { record, authority, folder, now } = input;
  const tls = await makeDeviceCertificate(authority, record.device, now);
  const logKey = generateKey(input.logKeyType);
  const envelope = Buffer.from(signEnvelope(record, input.provisioning)).toString('utf8');
  const file = (name: string, bytes: string, mode: number): NewFile => ({
    path: join(folder, name),
    bytes,
    mode,
  });
  return {
    record: envelope,
    certificate: tls.certificate,
    logKey: publicKeyJson(publicKeyFrom(logKey)),
    files: [
      file('tls.key', privateKeyPem(tls.privateKey), secretMode),
      file('log.key', privateKeyPem(logKey), secretMode),
      file('tls.pem', tls.certificate, publicMode),
      file('server-authority.pem', input.serverAuthority, publicMode),
      file('device-record.json', envelope, publicMode),
      file('image-root.json', input.view.state.root, publicMode),
      file('director-root.json', input.directorRoot, publicMode),
      file('agent.json', pretty(agentConfig(input)), publicMode),
    ],
  };
}

/** What stands in for a decision that only the integrator can make, and what it means if nobody makes it. */
const openDecisions: Readonly<Record<string, string>> = {
  interlock: 'left open: the agent refuses to start until it is written',
  selfTest: 'no tests: only the check built into the agent decides whether a release is kept',
  identity: 'where an image says what it is: a guess',
  bootControl: 'a file: a guess, not the boot loader of your hardware',
  bootloaderVersion: '0: a guess; releases that ask for more are refused',
  fallbackAllowed: 'true: a guess',
  reboot: 'left open: the agent refuses to start until it is written',
};

/** Fields of `agent.json` that the template left to the defaults, each with what its default means. */
export function decisionsLeft(template: Readonly<Record<string, unknown>>): [string, string][] {
  return Object.entries(openDecisions).filter(([name]) => template[name] === undefined);
}

/**
 * What the integrator must fill in: the agent's parser refuses a text in these places and says what belongs there. A
 * default would restart whatever machine the agent is first tried on, in whatever use that machine is.
 */
const fillIn = '(fill in: see the guide for the integrator)';

/** `airlock-agent-config/1`, a template; relative paths are meant from the file's own folder. */
function agentConfig(input: DeviceInput): Record<string, unknown> {
  const { record, slots } = input;
  const component = Object.keys(slots)[0] ?? 'rootfs';
  return {
    stateFolder: 'state',
    slots,
    identity: { kind: 'tar', component, member: 'airlock-image.json' },
    bootControl: { kind: 'file', file: 'boot-control' },
    selfTest: { tests: [] },
    interlock: fillIn,
    poll: { intervalSeconds: pollIntervalSeconds },
    bootloaderVersion: 0,
    fallbackAllowed: true,
    reboot: fillIn,
    ...input.template,
    schema: 'airlock-agent-config/1',
    device: record.device,
    product: record.product,
    server: {
      url: input.deviceUrl,
      authorityFile: 'server-authority.pem',
      certificateFile: 'tls.pem',
      keyFile: 'tls.key',
    },
    logKeyFile: 'log.key',
  };
}
