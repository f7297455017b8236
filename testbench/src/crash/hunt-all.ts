/** `npm run crash -- --mutants`: hunts every planted defect, and the agent as it is, in which nothing may be found. */
import { mutants } from './mutants.ts';
import { interruptedStatus, type Options } from './options.ts';
import { runTasks } from './pool.ts';
import { controlName, type TaskResult } from './tasks.ts';

type HuntResult = Extract<TaskResult, { readonly kind: 'mutant' }>;

export async function huntAll({ json, mutant }: Options, print: (line: string) => void): Promise<number> {
  const results: HuntResult[] = [];
  const hunted = mutants.filter(({ name }) => mutant === undefined || name === mutant);
  const names = [...(mutant === undefined ? [controlName] : []), ...hunted.map(({ name }) => name)];
  const report = (interrupted: boolean): boolean => {
    const caught = results.filter((one) => one.name !== controlName && one.caught !== undefined).length;
    const control = results.find(({ name }) => name === controlName);
    // The agent as it is has to be hunted with all of them, not with one that is looked at.
    const sound = mutant !== undefined || (control !== undefined && control.caught === undefined);
    const said = control === undefined ? 'not hunted' : sound ? 'nothing found' : 'SOMETHING FOUND';
    if (json)
      print(JSON.stringify({ caught, all: hunted.length, unchangedAgentSound: sound, interrupted, results }));
    else
      print(
        `${caught} / ${hunted.length} caught${mutant === undefined ? `; the agent as it is: ${said}` : ''}`,
      );
    return caught === hunted.length && sound;
  };
  const stopped = (): void => {
    if (!json) print(`stopped after ${results.length} of ${names.length}`);
    report(true);
    process.exit(interruptedStatus);
  };
  process.once('SIGINT', stopped);
  if (!json) print(`${names.length} to hunt${mutant === undefined ? ', the agent as it is among them' : ''}`);
  await runTasks(
    names.map((name) => ({ kind: 'mutant', name })),
    (result) => {
      if (result.kind !== 'mutant') return;
      results.push(result);
      const { name, caught, trace } = result;
      const [clean, dirty] = name === controlName ? ['sound ', 'BROKEN'] : ['MISSED', 'caught'];
      if (json) return;
      const words = caught === undefined ? clean : dirty;
      print(`${words}  ${results.length} of ${names.length}  ${name}  (${caught ?? 'nothing found'})`);
      if (mutant !== undefined || (name === controlName && caught !== undefined))
        for (const step of trace) print(`        ${step}`);
    },
  );
  process.removeListener('SIGINT', stopped);
  return report(false) ? 0 : 1;
}
