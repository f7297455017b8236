/**
 * The guide of the first release, typed: every command of docs/guides/first-release.md, in its order, by the person it
 * names, at a terminal of their own; passphrases through pseudo-terminals; what is shown compared with the guide.
 *
 * Put in its place is only what must differ from one desk to the next: two port numbers by free ones. A command ends
 * well, or, where the guide says `# refused: CODE`, badly and with that code. A `text` block stands for the screen of the
 * block before it: its lines in their order, `...` for anything, keys, hashes and times by their form.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { cleanUp, removeAtEnd } from '../src/processes.ts';
import { Person, type Secrets, terminalMissing } from './support/person.ts';

const top = resolve(import.meta.dirname, '../..');
const people = ['dora', 'rosa', 'sam', 'bo', 'ada', 'cy'] as const;
/** The server takes no password that holds the name of its user. */
const secretsOf = (name: string): Secrets => ({
  passphrase: `the passphrase of ${name}`,
  password: `what only number ${people.findIndex((one) => one === name)} knows`,
});
const allSecrets = people.map(secretsOf).flatMap(({ passphrase, password }) => [passphrase, password]);

interface Block {
  readonly kind: 'sh' | 'text';
  /** `ada`, `everybody`, or `dora server`: a terminal in which a command stays. */
  readonly who: string;
  readonly text: string;
  readonly line: number;
}

/** Fenced blocks, in order; another one than these would be a command that nobody types. */
function blocksOf(guide: string): Block[] {
  const blocks: Block[] = [];
  for (const found of guide.matchAll(/^```(\S*) ?(.*)\n([^]*?)^```$/gm)) {
    const [, kind = '', who = '', text = ''] = found;
    const line = guide.slice(0, found.index).split('\n').length;
    assert.ok(kind === 'sh' || kind === 'text', `line ${line}: a block of kind "${kind}"`);
    assert.ok(kind === 'text' || who !== '', `line ${line}: nobody types this`);
    blocks.push({ kind, who, text, line });
  }
  return blocks;
}

/** Commands of a block: a line that ends with a backslash, or that bash finds incomplete, goes on in the next one. */
function commandsOf(text: string): string[] {
  const commands: string[] = [];
  let open = '';
  for (const line of text.trimEnd().split('\n')) {
    open = open === '' ? line : `${open}\n${line}`;
    if (line.endsWith('\\')) continue;
    commands.push(open);
    open = '';
  }
  return commands;
}

/** Keys, hashes and times by their form. */
function formOf(text: string): string {
  return text
    .replaceAll(/\b[0-9a-f]{64}\b/g, '<sha256>')
    .replaceAll(/\b[0-9a-f]{32}\b/g, '<log>')
    .replaceAll(/\bentry \d+/g, 'entry <n>')
    .replaceAll(/\bafter \d+ entries/g, 'after <n> entries')
    .replaceAll(/\b[0-9a-f]{16}\b/g, '<key>')
    .replaceAll(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, '<time>')
    .replaceAll(/\b[0-9a-f]{4}(?: [0-9a-f]{4})+/g, '<fingerprint>')
    .replaceAll(/\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b/g, '<key>')
    .replaceAll(/ +/g, ' ')
    .trim();
}

/** Changes of keys stand in the order of their ids, which are others at each desk: additions first, on both sides. */
function keysInOrder(lines: readonly string[]): string[] {
  const rank = (line: string): number =>
    ['Adds key', 'Removes key'].findIndex((word) => line.startsWith(word));
  const sorted: string[] = [];
  for (const line of lines) {
    const at = sorted.findLastIndex(
      (before) => rank(line) < 0 || rank(before) < 0 || rank(before) <= rank(line),
    );
    sorted.splice(at + 1, 0, line);
  }
  return sorted;
}

/** Every line of the guide stands on the screen, in that order; between `...` nothing else does. */
function compare(shown: string, wanted: Block): void {
  const screen = keysInOrder(shown.split('\n').map(formOf));
  let at = 0;
  let gap = true;
  for (const line of keysInOrder(wanted.text.trimEnd().split('\n'))) {
    if (line.trim() === '...') {
      gap = true;
      continue;
    }
    const form = formOf(line);
    const found = screen.findIndex((row, index) => index >= at && fits(form, row));
    const words = `line ${wanted.line} of the guide shows:\n  ${form}\nthe screen, from line ${at}:\n${screen.slice(at).join('\n')}`;
    assert.ok(found >= 0 && (gap || found === at), words);
    at = found + 1;
    gap = false;
  }
}

/** `...` inside a line stands for anything as well. */
function fits(form: string, row: string): boolean {
  const parts = form.split('...').map((part) => RegExp.escape(part));
  return new RegExp(`^${parts.join('.*')}$`).test(row);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

after(cleanUp);

test('TEST-OTA-1320 REQ-OTA-POL-01, REQ-OTA-POL-03, REQ-OTA-POL-10, REQ-OTA-SIGN-06: the guide of the first release, typed by six people at terminals: every command does what it says, what is shown is what the guide shows, and no passphrase or password is ever on a screen or in a file', async (context) => {
  const missing = terminalMissing();
  if (missing !== undefined) return context.skip(missing);
  const folder = mkdtempSync(join(tmpdir(), 'airlock-guide-'));
  removeAtEnd(folder);
  const ports = { '8443': await freePort(), '8444': await freePort() };
  const atDesk = (text: string) =>
    text.replaceAll(/\b844[34]\b/g, (port) => String(ports[port as keyof typeof ports]));
  mkdirSync(join(folder, 'handed'));
  const terminals = new Map<string, Person>();
  const terminal = async (name: string): Promise<Person> => {
    const open = terminals.get(name);
    if (open !== undefined) return open;
    const [person = ''] = name.split(' ');
    const home = join(folder, person);
    mkdirSync(home, { recursive: true });
    if (!readdirSync(home).includes('airlock')) symlinkSync(top, join(home, 'airlock'));
    const made = new Person(home, secretsOf(person));
    terminals.set(name, made);
    await made.begin();
    return made;
  };
  const guide = atDesk(readFileSync(join(top, 'docs/guides/first-release.md'), 'utf8'));
  let screen = '';
  let typed = 0;
  try {
    for (const block of blocksOf(guide)) {
      if (block.kind === 'text') {
        compare(screen, block);
        continue;
      }
      screen = '';
      for (const name of block.who === 'everybody' ? people : [block.who]) {
        const person = await terminal(name);
        for (const command of commandsOf(block.text)) {
          if (name.endsWith(' server') && command.startsWith('airlock server')) {
            await person.leaveRunning(command, '"listening"');
            continue;
          }
          const said = await person.type(command);
          typed += 1;
          const refusal = /# refused: (\w+)$/.exec(command)?.[1];
          const words = `line ${block.line}, ${name}: ${command}\n${said.screen}`;
          assert.equal(said.status === 0, refusal === undefined, words);
          if (refusal !== undefined)
            assert.match(said.screen, new RegExp(`^airlock: ${refusal}: `, 'm'), words);
          for (const secret of allSecrets) assert.ok(!said.screen.includes(secret), words);
          screen += said.screen;
        }
      }
    }
  } finally {
    for (const person of terminals.values()) await person.leave();
  }
  assert.ok(typed > 40, `${typed} commands were typed`);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.parentPath.includes('/airlock/')) continue;
    const bytes = readFileSync(join(entry.parentPath, entry.name));
    for (const secret of allSecrets) assert.ok(!bytes.includes(secret), entry.name);
  }
});
