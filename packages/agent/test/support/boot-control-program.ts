/** A boot control as an integrator would write it: `boot-control-program.ts STATE-FILE read|disarm|arm|confirm ...`. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

interface State {
  order: string[];
  trial?: string;
  left: Record<string, number>;
}

const [file = '', verb = '', group = '', tries = ''] = process.argv.slice(2);
const state = JSON.parse(readFileSync(file, 'utf8')) as State;
if (verb === 'read') {
  process.stdout.write(JSON.stringify(state));
} else {
  state.order = state.order.filter((letter) => letter !== group);
  if (state.trial === group) delete state.trial;
  delete state.left[group];
  if (verb !== 'disarm') {
    state.order.unshift(group);
    state.left[group] = verb === 'arm' ? Number(tries) : 16;
    if (verb === 'arm') state.trial = group;
  }
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
}
