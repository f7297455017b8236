/**
 * A company for the demo and the end-to-end tests: everything it does, it does with real `airlock` processes.
 *
 * One product, one server, holders whose passphrases lie in a file (the root says `demo`). Acts run one after the
 * other, as people's would. Keeps nothing in memory that is not in the home folder but what releases were made.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeManifest, type Manifest, sha256Hex } from '@airlock/trust';
import { startProcess } from '../processes.ts';
import { waitUntil } from '../waiting.ts';

const airlockProgram = fileURLToPath(new URL('../../../packages/cli/bin/airlock.mjs', import.meta.url));
/** The longest act uploads an image of 150 MB on a busy machine. */
const actMsMax = 120_000;

export const product = 'infusion-pump';
export const functionNames = ['engineering', 'quality'] as const;
export type FunctionName = (typeof functionNames)[number];

export interface ReleaseOptions {
  readonly version: number;
  readonly image: string;
  /** Hardware that the manifest names; absent: what every device of the demo has. */
  readonly hardware?: string;
}

export interface Release {
  readonly version: number;
  readonly image: string;
  readonly manifestText: string;
  readonly manifestFile: string;
}

export interface HomePaths {
  readonly apiUrl: string;
  readonly deviceUrl: string;
}

export class Company {
  readonly home: string;
  readonly passphrase = 'demo-passphrase-of-nobody';
  readonly passphraseFile: string;
  readonly #folder: string;
  readonly #onAct: (words: string) => void;
  /** Dozens of short processes of one program: compiling it once saves a third of each. */
  readonly #environment: Readonly<Record<string, string>>;
  #turn: Promise<unknown> = Promise.resolve();
  #server: ReturnType<typeof startProcess> | undefined;
  readonly releases = new Map<number, Release>();

  constructor(folder: string, onAct: (words: string) => void = () => {}) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
    this.home = join(folder, 'home');
    this.#onAct = onAct;
    this.#environment = { NODE_COMPILE_CACHE: join(folder, 'compile-cache') };
    this.passphraseFile = join(folder, 'passphrase');
    writeFileSync(this.passphraseFile, `${this.passphrase}\n`, { mode: 0o600 });
  }

  /** `airlock init`: roots, keys, server identity, the product and its functions. */
  async init(): Promise<void> {
    await this.airlock(
      [
        ['init', '--demo'],
        ['--product', product, '--class', 'C', '--market', 'us', '--udi', '(01)00844588003288'],
        ['--function', 'engineering=Bo Lind <bo>', '--function', 'quality=Ada Quill <ada>'],
        ['--minimum', 'C=engineering,quality', '--minimum', 'us='],
      ].flat(),
    );
  }

  /** `airlock server` as a process of its own; resolves when it answers. */
  async startServer(): Promise<void> {
    const logFile = join(this.#folder, 'server.log');
    writeFileSync(logFile, '');
    const server = startProcess({
      command: process.execPath,
      args: [airlockProgram, 'server', '--home', this.home],
      logFile,
      env: this.#environment,
    });
    this.#server = server;
    let over = false;
    void server.ended.then(() => (over = true));
    await waitUntil('the server to listen', 60_000, () => {
      const text = readFileSync(logFile, 'utf8');
      if (over) throw new Error(`the server ended: ${text}`);
      return text.includes('"listening"') ? true : undefined;
    });
  }

  async stopServer(): Promise<void> {
    this.#server?.child.kill('SIGTERM');
    await this.#server?.ended;
    this.#server = undefined;
  }

  /** Where the listeners are, as the home says. */
  paths(): HomePaths {
    return JSON.parse(readFileSync(join(this.home, 'airlock.json'), 'utf8')) as HomePaths;
  }

  async createRelease(options: ReleaseOptions): Promise<Release> {
    const { version, image } = options;
    const made = (await this.airlock(
      [
        ['release', 'create', product, String(version), '--name', `demo ${version}`],
        ['--image', `rootfs=${image}`, '--compat', options.hardware ?? 'hw:rev2'],
        [
          '--change-record',
          `CR-${version}`,
          '--impact',
          'demo: no risk to a patient',
          '--touches',
          'none',
          '--link',
          `https://qms.example/CR-${version}`,
          '--author',
          'cy',
        ],
        ['--regulatory', 'letter to file', '--regulatory-reference', `RA-${version}`],
        // Lanes that run side by side make theirs in any order.
        ['--below-highest'],
      ].flat(),
    )) as { manifest: Manifest; manifestSha256: string };
    const bytes = encodeManifest(made.manifest);
    if (sha256Hex(bytes) !== made.manifestSha256) throw new Error('the manifest does not encode to its hash');
    const manifestText = new TextDecoder().decode(bytes);
    const manifestFile = join(this.#folder, `manifest-${version}.json`);
    writeFileSync(manifestFile, manifestText);
    const release = { version, image, manifestText, manifestFile };
    this.releases.set(version, release);
    return release;
  }

  async approve(version: number, by: readonly FunctionName[] = functionNames): Promise<void> {
    for (const name of by) await this.#sign(['release', 'approve', product, String(version)], name);
  }

  async withdraw(version: number, by: FunctionName): Promise<void> {
    const reason = 'found faulty in the field';
    await this.#sign(['release', 'withdraw', product, String(version), '--reason', reason], by);
  }

  async release(options: ReleaseOptions): Promise<Release> {
    const release = await this.createRelease(options);
    await this.approve(options.version);
    return release;
  }

  async assign(device: string, version: number): Promise<void> {
    await this.airlock(['assign', device, String(version)]);
  }

  /** `airlock device add`; answers the folder with what the device is given. */
  async addDevice(
    device: string,
    slots: Readonly<Record<'A' | 'B', string>>,
    market = 'us',
  ): Promise<string> {
    await this.airlock(
      [
        ['device', 'add', device, '--product', product, '--hardware', 'hw:rev2', '--market', market],
        ['--slot', `rootfs=${slots.A},${slots.B}`],
      ].flat(),
    );
    return join(this.home, 'devices', device);
  }

  async #sign(args: readonly string[], name: FunctionName): Promise<void> {
    await this.airlock([...args, '--as', name, '--yes']);
  }

  /** Runs one `airlock` command with --json, in its turn; answers what it printed. Throws with its error line. */
  async airlock(args: readonly string[]): Promise<unknown> {
    const mine = this.#turn.then(() => this.#run(args));
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  async #run(args: readonly string[]): Promise<unknown> {
    this.#onAct(`airlock ${args.slice(0, 4).join(' ')}`);
    const { child, ended } = startProcess({
      command: process.execPath,
      args: [
        airlockProgram,
        ...args,
        '--home',
        this.home,
        '--passphrase-file',
        this.passphraseFile,
        '--json',
      ],
      env: this.#environment,
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), actMsMax);
    let output = '';
    let errors = '';
    child.stdout?.on('data', (piece: Buffer) => (output += piece.toString()));
    child.stderr?.on('data', (piece: Buffer) => (errors += piece.toString()));
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const { code } = await ended;
    await closed;
    clearTimeout(timer);
    if (code !== 0)
      throw new Error(`airlock ${args.join(' ')} ended with ${code}: ${errors.trim() || output.trim()}`);
    return output.trim() === '' ? undefined : JSON.parse(output);
  }
}
