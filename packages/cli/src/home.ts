/**
 * The home folder: where everything of one company (or one signer) lies, and how it is read and written.
 *
 *     airlock.json          where server, authority and token are (`airlock-home/1`)
 *     token                 the API token (0600); absent where only people sign in
 *     session.json          the session of whoever signed in here last (0600); see session-file.ts
 *     administrator.secret  the one-time secret of the user that `init` made (0600), until it is used
 *     keys/<name>.key.json  sealed private keys; the public half can be listed without a passphrase
 *     key-use.jsonl         which key signed what, when, and whether anybody typed its passphrase
 *     tls/                  certificates of the two authorities
 *     director/<n>.root.json
 *     products/<product>/   product.json, policy.json, 1.root.json: what was made at `product add`
 *     signer/<product>.json this machine's own verified state of the product's image repository
 *     audit/<log>.json      the newest checkpoint of the audit log that this machine verified; see audit-memory.ts
 *     statements/           what was stated with each signature made here (DSSE envelopes)
 *     server/               the server's configuration, its certificates and its data folder
 *     devices/<id>/         what `device add` made
 *     *.lock                while a command signs (`signing.lock`) or verifies (`verify.lock`); see lock.ts
 *
 * Files are written atomically, secrets for their owner only. What the files mean is left to those who read them.
 */
import { randomUUID } from 'node:crypto';
import { open, readdir } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import type { SafetyClass } from '@airlock/trust';
import { exists, readJsonFile, secretMode, writeFailure, writeFileAtomic } from './files.ts';
import { Reader } from './fields.ts';
import { need, Stop, stop } from './stop.ts';

/** `airlock.json`: paths are relative to the home. */
export interface HomeSettings {
  readonly schema: 'airlock-home/1';
  /** The listener for people. */
  readonly apiUrl: string;
  /** The listener for devices; goes into every `agent.json`. Absent on a machine that only signs. */
  readonly deviceUrl?: string;
  /** Certificate (PEM) of the authority that signed the server's certificates. */
  readonly authorityFile: string;
  readonly tokenFile: string;
  /** Absent on a machine that only signs: then the server runs elsewhere. */
  readonly serverConfig?: string;
}

/** `products/<product>/product.json`: what later commands take when an option is not given. */
export interface ProductSettings {
  readonly schema: 'airlock-product/1';
  readonly product: string;
  readonly safetyClass: SafetyClass;
  readonly udi?: string;
}

/** One line of `key-use.jsonl`. */
export interface KeyUse {
  readonly time: string;
  readonly keyId: string;
  readonly key: string;
  readonly act: string;
  /** True when the passphrase came from a file or a variable: nobody stood at the keyboard. */
  readonly unattended: boolean;
  readonly reason?: string;
}

const lineFeed = 10;
const settingsName = 'airlock.json';
export const homeDefault = 'airlock-home';

export class Home {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = resolve(folder);
  }

  /** A path inside the home; absolute ones stay as they are. */
  path(...parts: readonly string[]): string {
    const joined = join(...parts);
    return isAbsolute(joined) ? joined : join(this.folder, joined);
  }

  keyFile(name: string): string {
    return this.path('keys', `${name}.key.json`);
  }

  productFile(product: string, name: string): string {
    return this.path('products', product, name);
  }

  signerFile(product: string): string {
    return this.path('signer', `${product}.json`);
  }

  deviceFolder(device: string): string {
    return this.path('devices', device);
  }

  /** The settings. Stops with CLI_NO_HOME when there are none. */
  async settings(): Promise<HomeSettings> {
    const file = this.path(settingsName);
    if (!(await exists(file))) {
      return stop(
        'CLI_NO_HOME',
        `${this.folder} is not an Airlock home: it has no ${settingsName}`,
        '--home',
      );
    }
    const reader = new Reader(need(await readJsonFile(file)), { code: 'CLI_HOME_DAMAGED', name: file });
    reader.object(['schema', 'apiUrl', 'deviceUrl', 'authorityFile', 'tokenFile', 'serverConfig']);
    const deviceUrl = reader.optional('deviceUrl')?.text();
    const serverConfig = reader.optional('serverConfig')?.text();
    return {
      schema: reader.at('schema').choice(['airlock-home/1']),
      apiUrl: reader.at('apiUrl').text(),
      authorityFile: reader.at('authorityFile').text(),
      tokenFile: reader.at('tokenFile').text(),
      ...(deviceUrl === undefined ? {} : { deviceUrl }),
      ...(serverConfig === undefined ? {} : { serverConfig }),
    };
  }

  /** Written last by `init`: a folder without it is no home. */
  async writeSettings(settings: HomeSettings): Promise<void> {
    await writeFileAtomic(this.path(settingsName), pretty(settings), secretMode);
  }

  async product(product: string): Promise<ProductSettings> {
    const file = this.productFile(product, 'product.json');
    if (!(await exists(file))) {
      const known = await this.products();
      const list = known.length === 0 ? 'none yet' : known.join(', ');
      return stop('CLI_PRODUCT_UNKNOWN', `this home has no product ${product}; it has: ${list}`, 'PRODUCT');
    }
    const reader = new Reader(need(await readJsonFile(file)), { code: 'CLI_HOME_DAMAGED', name: file });
    reader.object(['schema', 'product', 'safetyClass', 'udi']);
    const udi = reader.optional('udi')?.text();
    return {
      schema: reader.at('schema').choice(['airlock-product/1']),
      product: reader.at('product').choice([product]),
      safetyClass: reader.at('safetyClass').choice(['A', 'B', 'C']),
      ...(udi === undefined ? {} : { udi }),
    };
  }

  /** Names of the products that were made here, sorted. */
  async products(): Promise<string[]> {
    const names = await readdir(this.path('products')).catch((): string[] => []);
    return names.toSorted();
  }

  /**
   * Appends to the record of key use. A line that was cut by a power loss is seen by its missing end, and stands alone:
   * what is appended begins on a line of its own.
   */
  async recordKeyUse(uses: readonly KeyUse[]): Promise<void> {
    const file = this.path('key-use.jsonl');
    const lines = uses.map((use) => `${JSON.stringify({ id: randomUUID(), ...use })}\n`).join('');
    try {
      const record = await open(file, 'a+', secretMode);
      try {
        const { size } = await record.stat();
        const last = size === 0 ? undefined : await record.read(Buffer.alloc(1), 0, 1, size - 1);
        const torn = last !== undefined && last.buffer[0] !== lineFeed;
        await record.appendFile(`${torn ? '\n' : ''}${lines}`);
        await record.sync();
      } finally {
        await record.close();
      }
    } catch (error) {
      throw new Stop(writeFailure(error, file));
    }
  }
}

/** JSON as people read it, with its final line break. */
export function pretty(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
