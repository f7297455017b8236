/**
 * Commands that documents name: npm scripts, and the programs of the workspace with their options.
 *
 * The programs are asked themselves (`--help`), so that a document cannot promise what a program does not take.
 * Only lines in fenced blocks are read as commands; `npm run x` is also read in running text.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { environment, isRecord, readJson, readText, repositoryFiles } from '../lib/repository.ts';

const run = promisify(execFile);
const helpSecondsMax = 20;

/** Scripts named in a text that package.json does not have. */
export function unknownScripts(text: string, scripts: readonly string[]): string[] {
  const named = [...text.matchAll(/\bnpm run (?:-s |--silent )?([a-z][\w:-]*)/g)].map(
    (match) => match[1] ?? '',
  );
  const short = [...text.matchAll(/\bnpm (start|test)\b/g)].map((match) => match[1] ?? '');
  return [...new Set([...named, ...short])].filter((name) => !scripts.includes(name));
}

/** Lines of fenced shell blocks, continued lines joined, without prompt, comment and environment. */
export function shellLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|bash|console|shell)\n([\s\S]*?)^```/gm)].map(
    (match) => match[1] ?? '',
  );
  return blocks
    .flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
    .flatMap((line) => line.split(/\s+(?:&&|\||&)\s+/))
    .map((line) =>
      line
        .replace(/^\$ /, '')
        .replace(/\s#.*$/, '')
        .trim(),
    )
    .map((line) => line.replace(/^(?:[A-Z_]+=\S+ +)*(?:npx +)?/, ''));
}

/** Programs of the workspace: name to file. */
function programsOf(root: string): Map<string, string> {
  const manifests = repositoryFiles(root).filter((name) =>
    /^(?:packages\/[^/]+|testbench)\/package\.json$/.test(name),
  );
  return new Map(
    manifests.flatMap((name) => {
      const value = readJson(root, name);
      const bin = isRecord(value) && isRecord(value['bin']) ? Object.entries(value['bin']) : [];
      return bin.map(([program, file]): [string, string] => [
        program,
        path.join(path.dirname(name), String(file)),
      ]);
    }),
  );
}

/** Asks for the help of a program's command; undefined when it has none. */
export type AskHelp = (program: string, command: readonly string[]) => Promise<string | undefined>;

function commandsIn(help: string): string[] {
  const [, list = ''] = help.split(/^Commands:$/m);
  return [...list.matchAll(/^ {2}([a-z][\w-]*)/gm)].map((match) => match[1] ?? '');
}

/** What is wrong with one command line, or undefined. */
export async function judgeCommand(line: string, ask: AskHelp): Promise<string | undefined> {
  const [program = '', ...words] = line.split(/\s+/);
  const command: string[] = [];
  let help = await ask(program, command);
  for (const word of words) {
    const known = commandsIn(help ?? '');
    if (known.length === 0 || word.startsWith('-')) break;
    if (!known.includes(word)) return `${[program, ...command].join(' ')} has no command ${word}`;
    command.push(word);
    help = await ask(program, command);
  }
  if (help === undefined) return `${[program, ...command].join(' ')} shows no help`;
  const options = words.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0] ?? '');
  const whole = `${help}${(await ask(program, [])) ?? ''}`;
  const unknown = options.find((option) => !new RegExp(`${option}(?![\\w-])`).test(whole));
  return unknown === undefined ? undefined : `${[program, ...command].join(' ')} has no option ${unknown}`;
}

function askPrograms(root: string, programs: ReadonlyMap<string, string>): AskHelp {
  const answers = new Map<string, Promise<string | undefined>>();
  return (program, command) => {
    const key = [program, ...command].join(' ');
    const known = answers.get(key);
    if (known !== undefined) return known;
    const file = programs.get(program) ?? '';
    const options = { cwd: root, env: environment(), timeout: helpSecondsMax * 1000 };
    const asked = run(process.execPath, [path.join(root, file), ...command, '--help'], options).then(
      ({ stdout }) => stdout,
      () => undefined,
    );
    answers.set(key, asked);
    return asked;
  };
}

export async function checkCommands(root: string): Promise<string[]> {
  const manifest = readJson(root, 'package.json');
  const scripts = isRecord(manifest) && isRecord(manifest['scripts']) ? Object.keys(manifest['scripts']) : [];
  const programs = programsOf(root);
  const ask = askPrograms(root, programs);
  const files = repositoryFiles(root).filter((name) => name.endsWith('.md'));
  const problems: string[] = [];
  for (const file of files) {
    const text = readText(root, file);
    for (const name of unknownScripts(text, scripts))
      problems.push(`${file}: npm run ${name}: no such script`);
    for (const line of shellLines(text)) {
      const program = line.split(/\s+/)[0] ?? '';
      if (!/^airlock(?:-|$)/.test(program)) continue;
      const problem = programs.has(program)
        ? await judgeCommand(line, ask)
        : `${program} is no program of a package`;
      if (problem !== undefined) problems.push(`${file}: ${problem}`);
    }
  }
  return problems;
}
