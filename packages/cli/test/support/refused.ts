/** One refusal as a person sees it: checked the same way wherever it comes from. */
import assert from 'node:assert/strict';
import type { Desk } from './company.ts';

/** The line that a person reads must begin with `code`, contain `words`, and the home must be as it was. */
export async function refused(
  desk: Desk,
  argv: readonly string[],
  code: string,
  words: string,
  status: number,
): Promise<void> {
  const hash = await desk.hashHome();
  const said = desk.server.requests.filter((call) => !call.startsWith('GET')).length;
  const outcome = await desk.run(...argv);
  const lines = outcome.err
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('airlock: '));
  assert.equal(lines.length, 1, outcome.err);
  const line = lines[0] ?? '';
  assert.ok(line.startsWith(`airlock: ${code}: `), line);
  assert.ok(line.includes(words), `${line} names ${words}`);
  assert.match(line, /Remedy: \S/);
  assert.equal(outcome.status, status, line);
  assert.equal(outcome.out, '');
  assert.equal(await desk.hashHome(), hash, `${argv.join(' ')} changed the home`);
  assert.equal(desk.server.requests.filter((call) => !call.startsWith('GET')).length, said);
}
