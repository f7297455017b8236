/**
 * A reporter of node:test: one JSON line for each test that counts, with name, file and outcome.
 *
 * A test counts when it stands by itself or carries a number; the steps inside one do not. The stream ends with
 * a line `{"end":true}`, so that a reader can tell a run that was cut short.
 */
import path from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export type Outcome = 'passed' | 'failed' | 'skipped';

const root = path.resolve(import.meta.dirname, '..', '..');

interface Ended {
  readonly name: string;
  readonly nesting: number;
  readonly file?: string | undefined;
  readonly skip?: string | boolean | undefined;
  readonly todo?: string | boolean | undefined;
  readonly details: { readonly type?: string | undefined };
}

function counts(data: Ended): boolean {
  if (data.details.type === 'suite') return false;
  return data.nesting === 0 || data.name.startsWith('TEST-OTA-');
}

function outcomeOf(data: Ended, passed: boolean): Outcome {
  if (!passed) return 'failed';
  // A test that is left for later proves nothing.
  return (data.skip ?? false) !== false || (data.todo ?? false) !== false ? 'skipped' : 'passed';
}

function lineOf(data: Ended, passed: boolean): string {
  const file = data.file === undefined ? '' : path.relative(root, data.file);
  const reason = typeof data.skip === 'string' && data.skip !== '' ? { reason: data.skip } : {};
  return `${JSON.stringify({ name: data.name, file, outcome: outcomeOf(data, passed), ...reason })}\n`;
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    if (counts(event.data)) yield lineOf(event.data, event.type === 'test:pass');
  }
  yield '{"end":true}\n';
}
