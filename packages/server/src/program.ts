/**
 * The server's own program: `run`, `online-keys`, `administrator`, `token`. Exit status 0: done; 1: refused or failed; 2: wrong usage.
 *
 * Answers are JSON on standard output, faults one line on standard error (a JSON object with --json).
 */
import { parseArgs } from 'node:util';
import { fail, ok, type Result } from '@airlock/trust';
import { readConfig, type ServerConfig } from './config.ts';
import { onlineKeys } from './program-keys.ts';
import { makeAdministrator, makeToken } from './program-people.ts';
import { serverVersion, startServer } from './server.ts';

const usage = `Usage: airlock-server <command> --config FILE [options] [--json]

  run                                  serve devices and people until SIGTERM; prints one JSON line when ready
  online-keys --for director           make the director's online keys (once), print the public halves as JSON
  online-keys --for image:<product>    the same for a product's snapshot and timestamp
  online-keys --for audit              the same for the audit log's checkpoints; prints the log's name too
  online-keys --for ... --next         make those that the next root or policy shall name, beside the ones in force
  online-keys --for ... --retire       destroy those that no root or policy in force names any more
  administrator --user USER            make a user who manages users, or give one a new one-time secret; printed this once
    --roles ROLE,ROLE                  further roles, for a company of one person
  token --user USER --name NAME        make an API token of a user, or replace the one of that name; printed this once
    --permissions P,P --days N
  version                              print the version

  --config FILE   configuration, JSON of schema airlock-server-config/1
  --json          faults as JSON too
  --until-stdin-ends  stop when standard input ends too, as it does when the program that started it is killed
`;

const options = {
  config: { type: 'string' },
  for: { type: 'string' },
  user: { type: 'string' },
  roles: { type: 'string' },
  days: { type: 'string' },
  name: { type: 'string' },
  permissions: { type: 'string' },
  next: { type: 'boolean', default: false },
  retire: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  // Acted upon in main.ts, which has the stream.
  'until-stdin-ends': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

type Values = ReturnType<typeof parse>['values'];

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
}

/** Where a program writes and what can stop it; given, so that tests run it in their own process. */
export interface Surroundings {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Resolves when the program shall stop. */
  readonly stopped: Promise<unknown>;
}

/** Runs one command; answers the exit status. */
export async function runProgram(args: readonly string[], around: Surroundings): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'wrong arguments';
    return wrongUsage(why, args.includes('--json'), around);
  }
  const { values, positionals } = parsed;
  const [command] = positionals;
  if (values.help || command === undefined) {
    around.out(usage);
    return values.help ? 0 : 2;
  }
  if (command === 'version') {
    around.out(`${serverVersion}\n`);
    return 0;
  }
  const commands: Record<
    string,
    (config: ServerConfig, values: Values, around: Surroundings) => Promise<Result<unknown>>
  > = {
    run,
    'online-keys': keys,
    administrator,
    token,
  };
  const act = Object.hasOwn(commands, command) ? commands[command] : undefined;
  if (act === undefined || positionals.length > 1) {
    const why = `unknown command "${positionals.join(' ')}"; see airlock-server --help`;
    return wrongUsage(why, values.json, around);
  }
  const done = await guarded(
    async () => await withConfig(values, async (config) => await act(config, values, around)),
  );
  if (done.ok) return 0;
  around.err(
    values.json
      ? `${JSON.stringify(done.error)}\n`
      : `airlock-server: ${done.error.message} (${done.error.code})\n`,
  );
  return 1;
}

function wrongUsage(why: string, json: boolean, around: Surroundings): number {
  around.err(json ? `${JSON.stringify(fail('API_CONFIG', why).error)}\n` : `airlock-server: ${why}\n`);
  return 2;
}

async function guarded(act: () => Promise<Result<unknown>>): Promise<Result<unknown>> {
  try {
    return await act();
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown';
    return isNoSpace(error)
      ? fail('API_DISK_FULL', 'no space is left on the disk')
      : fail('API_INTERNAL', why);
  }
}

/** ENOSPC, EDQUOT or SQLITE_FULL, also as the cause of what was thrown: a migration wraps what stopped it. */
function isNoSpace(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code: unknown = Reflect.get(error, 'code');
  return (
    code === 'ENOSPC' || code === 'EDQUOT' || Reflect.get(error, 'errcode') === 13 || isNoSpace(error.cause)
  );
}

async function withConfig(
  values: Values,
  act: (config: ServerConfig) => Promise<Result<unknown>>,
): Promise<Result<unknown>> {
  if (values.config === undefined) return fail('API_CONFIG', '--config FILE is needed', '--config');
  const config = await readConfig(values.config);
  return config.ok ? await act(config.value) : config;
}

async function run(config: ServerConfig, _values: Values, around: Surroundings): Promise<Result<unknown>> {
  const server = await startServer(config);
  if (!server.ok) return server;
  const { deviceUrl, peopleUrl } = server.value;
  around.out(`${JSON.stringify({ event: 'listening', deviceUrl, peopleUrl })}\n`);
  await around.stopped;
  await server.value.close();
  return ok(undefined);
}

async function keys(config: ServerConfig, values: Values, around: Surroundings): Promise<Result<unknown>> {
  const { next, retire } = values;
  if (next && retire) return fail('API_CONFIG', '--next and --retire are two steps', '--retire');
  const step = retire ? 'retire' : next ? 'next' : 'first';
  const answer = await onlineKeys(config, values.for ?? '', step);
  if (answer.ok) around.out(`${JSON.stringify(answer.value)}\n`);
  return answer;
}

async function administrator(
  config: ServerConfig,
  values: Values,
  around: Surroundings,
): Promise<Result<unknown>> {
  const answer = await makeAdministrator(config, { user: values.user, roles: values.roles });
  if (answer.ok) around.out(`${JSON.stringify(answer.value)}\n`);
  return answer;
}

async function token(config: ServerConfig, values: Values, around: Surroundings): Promise<Result<unknown>> {
  const { user, name, permissions, days } = values;
  const answer = await makeToken(config, { user, name, permissions, days });
  if (answer.ok) around.out(`${JSON.stringify(answer.value)}\n`);
  return answer;
}
