/** The server's configuration file, `airlock-server-config/1`. Every fault is one line naming file and field. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fail, ok, type Result } from '@airlock/trust';
import { strict } from '@airlock/protocol';
import { type Static, Type } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { ProviderSchema, resolveProvider } from './config-provider-schema.ts';

const PathText = Type.String({ minLength: 1, maxLength: 4096 });
const listener = {
  host: Type.String({ minLength: 1, maxLength: 255 }),
  /** 0: any free port; the ready line tells which. */
  port: Type.Integer({ minimum: 0, maximum: 65535 }),
  certificateFile: PathText,
  keyFile: PathText,
};

export const ServerConfigSchema = Type.Object(
  {
    schema: Type.Literal('airlock-server-config/1'),
    folder: PathText,
    /** `clientAuthorityFile`: certificates (PEM) of the authorities that issue devices' certificates. */
    deviceListener: Type.Object({ ...listener, clientAuthorityFile: PathText }, strict),
    peopleListener: Type.Object(listener, strict),
    onlineKeys: Type.Object({ passphraseFile: PathText }, strict),
    /** Where people sign in who are known elsewhere (OpenID Connect); see docs/guides/operator.md. */
    identityProvider: Type.Optional(ProviderSchema),
  },
  strict,
);
export type ServerConfig = Static<typeof ServerConfigSchema>;

/** Errors: API_CONFIG. Relative paths in the file are relative to it. */
export async function readConfig(file: string): Promise<Result<ServerConfig>> {
  const text = await readText(file, file);
  if (!text.ok) return text;
  let value: unknown;
  try {
    value = JSON.parse(text.value);
  } catch {
    return fail('API_CONFIG', `${file}: is not JSON`, file);
  }
  const config = parseConfig(value);
  if (!config.ok) return fail('API_CONFIG', `${file}: ${config.error.message}`, config.error.field);
  return ok(resolveAll(config.value, path.dirname(path.resolve(file))));
}

/** Errors: API_CONFIG with the field's path. */
export function parseConfig(value: unknown): Result<ServerConfig> {
  if (Check(ServerConfigSchema, value)) return ok(value);
  const errors = Errors(ServerConfigSchema, value);
  // A misspelt field is two faults, one missing and one unknown: the one that stands in the file is named.
  const first = errors.find(({ keyword }) => keyword === 'additionalProperties') ?? errors[0];
  const named: Record<string, unknown> = { ...first?.params };
  const extra = [named['additionalProperties'], named['requiredProperties']]
    .flat()
    .find((it) => typeof it === 'string');
  const parts = (first?.instancePath ?? '').split('/').filter((part) => part !== '');
  if (typeof extra === 'string') parts.push(extra);
  const field = parts.length === 0 ? 'file' : parts.join('.');
  const unknown = named['additionalProperties'] !== undefined;
  const missing = named['requiredProperties'] !== undefined;
  const what = unknown
    ? 'is not a field of the configuration'
    : missing
      ? 'is missing'
      : (first?.message ?? 'is not valid');
  return fail('API_CONFIG', `${field}: ${what}`, field);
}

function resolveAll(config: ServerConfig, base: string): ServerConfig {
  const at = (name: string) => path.resolve(base, name);
  const { deviceListener: devices, peopleListener: people, identityProvider: provider } = config;
  return {
    ...config,
    ...(provider === undefined ? {} : { identityProvider: resolveProvider(provider, at) }),
    folder: at(config.folder),
    deviceListener: {
      ...devices,
      certificateFile: at(devices.certificateFile),
      keyFile: at(devices.keyFile),
      clientAuthorityFile: at(devices.clientAuthorityFile),
    },
    peopleListener: { ...people, certificateFile: at(people.certificateFile), keyFile: at(people.keyFile) },
    onlineKeys: { passphraseFile: at(config.onlineKeys.passphraseFile) },
  };
}

/** Reads a text file that the configuration names. Error: API_CONFIG naming field and file. */
export async function readText(file: string, field: string): Promise<Result<string>> {
  try {
    return ok(await readFile(file, 'utf8'));
  } catch (error) {
    const code: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${String(code)})`;
    return fail('API_CONFIG', `${field}: file ${file} ${why}`, field);
  }
}

/** The passphrase of the online keys. Error: API_CONFIG; the passphrase itself is in no message. */
export async function readPassphrase(config: ServerConfig): Promise<Result<string>> {
  const text = await readText(config.onlineKeys.passphraseFile, 'onlineKeys.passphraseFile');
  if (!text.ok) return text;
  const passphrase = text.value.replace(/\r?\n$/, '');
  if (passphrase !== '') return ok(passphrase);
  return fail('API_CONFIG', 'onlineKeys.passphraseFile: the file is empty', 'onlineKeys.passphraseFile');
}
