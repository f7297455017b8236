/**
 * Text for people: tables of `status` and `log`, and lines of the running agent. Decides nothing.
 *
 * Keeps true: what a server, a file or an older agent's log says obeys no terminal and forges no line.
 */
import type { LogEntry } from '@airlock/protocol';
import { type Failure, plainJson, plainText } from '@airlock/trust';
import { restoredWords } from './core/floor-seal.ts';
import type { PollOutcome } from './agent.ts';
import type { Inspection } from './inspect.ts';

/** UTC seconds as people read them. */
export function instant(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString().replace('.000Z', 'Z');
}

/** Two columns, the first one as wide as its longest word. */
function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${plainText(value)}\n`).join('');
}

/** A missing safety net; `requirements/secure-boot.json`, SB-WATCHDOG. */
export const noWatchdog = 'none configured: nothing ends a trial whose agent hangs';

export function statusText(status: Inspection): string {
  const { record, bootControl, trust, log } = status;
  const rows: [string, string][] = [
    ['device', `${status.device} (${status.product})`],
    ['agent', `${status.agent}, ${status.running ? 'running' : 'not running'}`],
    ['booted group', status.bootedGroup ?? 'not known: the kernel command line does not say'],
  ];
  if (record === undefined) {
    rows.push(['record', 'no copy can be read: never provisioned, or OTA_STATE_LOST']);
  } else {
    const { confirmed, attempt, failing, lastResult } = record;
    rows.push(
      ['state', record.state],
      ['confirmed', `version ${confirmed.version} in group ${confirmed.group}`],
    );
    for (const group of ['A', 'B'] as const) {
      const installed = record.groups[group];
      rows.push([
        `group ${group}`,
        installed === undefined ? 'nothing proven' : `version ${installed.version}`,
      ]);
    }
    rows.push(['floor', `version ${record.floor}${sealWords(record, status)}`]);
    if (attempt !== undefined) {
      rows.push([
        'attempt',
        `${status.emergency ? 'EMERGENCY ' : ''}${attempt.kind} to version ${attempt.version} in group ${attempt.group} (${attempt.id})`,
      ]);
    }
    if (failing !== undefined) rows.push(['failing', `${failing.code}: ${failing.reason}`]);
    if (lastResult !== undefined) {
      const { code, version, reason } = lastResult;
      rows.push(['last result', `${code} for version ${version}${reason === '' ? '' : `: ${reason}`}`]);
    }
    rows.push(...newsRows(status.news));
  }
  rows.push(['boot order', bootControl === undefined ? 'cannot be read' : bootOrder(bootControl)]);
  const { watchdog } = status;
  rows.push(['watchdog', watchdog === undefined ? noWatchdog : `${watchdog.file}, in trials`]);
  if (trust === undefined) rows.push(['trust', 'cannot be read: nothing can be installed']);
  else {
    rows.push(['time is at least', instant(trust.timeLowerBound)]);
    rows.push([
      'device record',
      trust.deviceRecord === undefined ? 'cannot be read' : `number ${trust.deviceRecord}`,
    ]);
  }
  rows.push([
    'log',
    log === undefined
      ? 'cannot be read'
      : `${log.sequence} entries, at least ${log.uploaded} known to be at the server`,
  ]);
  return columns(rows);
}

function newsRows({ waiting, refused }: Inspection['news']): [string, string][] {
  const rows: [string, string][] = [];
  if (waiting !== undefined) rows.push(['waits for', `${waiting.reason} (told ${instant(waiting.time)})`]);
  if (refused !== undefined) {
    const { code, reason, time } = refused;
    const told = time === undefined ? '' : ` (first told ${instant(time)})`;
    rows.push(['last refusal', `${code}${reason === undefined ? '' : `: ${reason}`}${told}`]);
  }
  return rows;
}

/** Nothing on a device without a TPM. */
function sealWords(
  record: NonNullable<Inspection['record']>,
  { seal, counter }: Pick<Inspection, 'seal' | 'counter'>,
): string {
  if (seal === 'unbound') return '';
  if (seal === 'whole') return `, sealed with counter ${record.counter}`;
  if (seal === 'uncommitted') return `, to be sealed with counter ${record.counter} at the next start`;
  if (seal === 'unreadable') return ', OTA_FAIL_FLOOR: the TPM cannot be asked, and nothing is installed';
  return `, OTA_STATE_RESTORED: ${restoredWords(record, counter)}`;
}

function bootOrder(state: NonNullable<Inspection['bootControl']>): string {
  const groups = state.order.map((group) => {
    const left = state.left[group];
    const kind = state.trial === group ? 'trial' : 'confirmed';
    return left === undefined ? `${group} (${kind})` : `${group} (${kind}, ${left} left)`;
  });
  return groups.length === 0 ? 'empty' : groups.join(', then ');
}

export function logText(entries: readonly LogEntry[]): string {
  if (entries.length === 0) return 'the log is empty\n';
  return entries
    .map((entry) => {
      const from = entry.fromVersion === undefined ? '' : ` ${entry.fromVersion} ->`;
      const to = entry.toVersion === undefined ? '' : ` ${entry.toVersion}`;
      const reason = entry.reason === '' ? '' : `  ${entry.reason}`;
      const sequence = String(entry.sequence).padStart(6);
      const line = `${sequence}  ${instant(entry.time)}  ${entry.code.padEnd(22)}${from}${to}${reason}`;
      return `${plainText(line)}\n`;
    })
    .join('');
}

/** One JSON list, one entry per line. */
export function logJson(entries: readonly LogEntry[]): string {
  if (entries.length === 0) return '[]\n';
  return `[\n${entries.map((entry) => plainJson(entry)).join(',\n')}\n]\n`;
}

/** What a poll came to, in one line. */
export function outcomeText(outcome: PollOutcome): string {
  if (outcome.kind === 'idle') return 'nothing to do';
  if (outcome.kind === 'waiting') return `waiting: ${outcome.reason}`;
  if (outcome.kind === 'refused') return `refused: ${outcome.code}: ${outcome.reason}`;
  if (outcome.kind === 'ended') return `version ${outcome.version}: ${outcome.code}: ${outcome.reason}`;
  return `failed: ${outcome.code}: ${outcome.reason}`;
}

export type Level = 'info' | 'warning' | 'error';

/** One line of the running agent, on stderr: plain, or JSON for collectors. Never given a secret. */
export function lineOf(level: Level, text: string, json: boolean): string {
  const time = new Date().toISOString();
  return json ? `${plainJson({ time, level, text })}\n` : `${time} ${level} ${plainText(text)}\n`;
}

/** One line on stderr for a command that failed: for people, or the failure itself as JSON for programs. */
export function failureText({ code, message, field }: Failure, json: boolean): string {
  if (json) return `${plainJson({ code, message, ...(field === undefined ? {} : { field }) })}\n`;
  // A fault of the program comes with its stack, line by line.
  return `airlock-agent: ${code}: ${message.split('\n').map(plainText).join('\n')}\n`;
}
