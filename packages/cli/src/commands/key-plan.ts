/** `keys plan`: which key may come or go now, and which devices stand in the way. */
import type { CommandSpec, Context } from '../command.ts';
import { checkPlanOrder, judgePlan, obstacleWords, permitStep, stillBelieved } from '../core/key-plan.ts';
import { readKeyPlan } from '../core/key-plan-file.ts';
import { readJsonFile } from '../files.ts';
import { readPlanFacts } from '../key-plan-facts.ts';
import { plain, table } from '../output.ts';
import { need, stop } from '../stop.ts';

async function runPlan(context: Context): Promise<void> {
  const path = context.path(context.argument(0));
  const plan = readKeyPlan(need(await readJsonFile(path)), path);
  need(checkPlanOrder(plan), path);
  const facts = await readPlanFacts(context, plan.product);
  const states = judgePlan(plan, facts);
  const json = {
    product: plan.product,
    version: plan.version,
    devices: facts.devices.length,
    steps: states.map(({ step, state, obstacles }) => ({
      ...step,
      state,
      obstacles,
      stillBelieved: stillBelieved(step, facts),
    })),
  };
  const wanted = context.options.text('step');
  if (wanted !== undefined) {
    const { step, state } = need(permitStep(states, wanted), path);
    context.out.result(json, `Step ${step.id} ${state === 'done' ? 'is done' : 'may go now'}\n`);
    return;
  }
  const rows = states.map(({ step, state, obstacles }) => {
    const believed = stillBelieved(step, facts);
    const why = obstacles.length > 0 ? obstacles : believed;
    return [
      step.id,
      step.does,
      'role' in step ? `${step.role} ${step.key.slice(0, 12)}` : step.key,
      'release' in step ? String(step.release) : '-',
      state,
      why.length === 0 ? '' : obstacleWords(why),
    ];
  });
  const head = `Key plan ${plan.version} of ${plain(plan.product)}, counted over ${facts.devices.length} devices\n`;
  const text = table(['STEP', 'DOES', 'KEY', 'RELEASE', 'STATE', 'IN THE WAY'], rows);
  context.out.result(json, head + text);
  const early = states.find(({ state }) => state === 'early');
  if (early === undefined) return;
  const message = `step ${early.step.id} was begun too early: ${obstacleWords(early.obstacles)}`;
  stop('CLI_KEY_NEEDED', message, early.step.id);
}

export const keyPlanCommands: readonly CommandSpec[] = [
  {
    usage: 'keys plan <file>',
    summary: 'judge a plan for update keys and secure-boot keys against what devices report',
    help: 'The plan is one document (airlock-key-plan/1, see docs/formats.md). A key stays while either group of any device\nneeds it. With --step the command says whether that step may be done now, and refuses with the devices in the way.',
    example: 'keys plan secure-boot-2027.json --step retire-sb1',
    options: [
      { flags: '--step <id>', describe: 'may this step be done now? Refused with what stands in the way' },
    ],
    run: runPlan,
  },
];
