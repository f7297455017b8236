/**
 * Planted defects, the second part: rules that were added after somebody invented a defect that none of the older ones
 * saw. What a defect is, and how it is hunted, `mutants.ts` and `hunt.ts` say.
 */
import { type Mutant, one } from './mutant.ts';

const effects = 'executor-effects.ts';
const ending = 'core/transitions-ending.ts';
const moves = 'core/moves.ts';

export const mutantsOfRules: readonly Mutant[] = [
  {
    name: 'floor: a version that is not above it is installed',
    changes: one('executor-judge.ts', 'floor: Math.max(record.floor, held.value.floor ?? 0),', 'floor: 0,'),
    scenarios: ['record lost', 'older release assigned'],
  },
  {
    name: 'TPM: a record behind the counter counts as whole',
    changes: one(
      'core/floor-seal.ts',
      "return record.counter === reading.counter + 1 ? 'uncommitted' : 'restored';",
      "return record.counter === reading.counter + 1 ? 'uncommitted' : 'whole';",
    ),
    scenarios: ['old copy of the state restored'],
  },
  {
    name: 'TPM: confirmed although the counter cannot be read',
    changes: one(
      ending,
      "...settleSeal(facts),\n        { kind: 'write-record', step: 'confirm.a', record: next },",
      "{ kind: 'write-record', step: 'confirm.a', record: next },",
    ),
    scenarios: ['TPM that does not answer'],
  },
  {
    name: 'lost record: the group in trial counts as confirmed',
    changes: one(
      'core/lost.ts',
      'unproven ? otherGroup(facts.bootedGroup) : facts.bootedGroup;',
      'unproven ? facts.bootedGroup : otherGroup(otherGroup(facts.bootedGroup));',
    ),
    scenarios: ['record lost'],
  },
  {
    name: 'lost record: written before the group in trial is disarmed',
    changes: one(
      'core/lost.ts',
      "if (trial !== undefined) effects.push({ kind: 'disarm', step: 'fail.b', group: trial, onFault: 'wait' });\n  effects.push({ kind: 'write-record', step: 'fail.a', record });",
      "effects.push({ kind: 'write-record', step: 'fail.a', record });\n  if (trial !== undefined) effects.push({ kind: 'disarm', step: 'fail.b', group: trial, onFault: 'wait' });",
    ),
    scenarios: ['record lost'],
  },
  {
    name: 'lost record: told again after a cut',
    changes: one(
      'executor-load.ts',
      "told ? [] : [{ kind: 'tell-loss', code, reason }];",
      "told && reason === '' ? [] : [{ kind: 'tell-loss', code, reason }];",
    ),
    scenarios: ['record lost'],
  },
  {
    name: 'lost record: written although the log takes no entry',
    changes: one(
      effects,
      "return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason: `log: ${messageOf(error)}` } };\n    }\n  }\n\n  async #logResult",
      'messageOf(error);\n      return undefined;\n    }\n  }\n\n  async #logResult',
    ),
    scenarios: ['record lost'],
  },
  {
    name: 'record: one that is owed is forgotten',
    changes: one(effects, 'this.#owed = next;', ''),
    scenarios: [],
    faults: true,
  },
  {
    name: 'leave: the answer of the interlock is not looked at',
    changes: one('executor-leave.ts', 'if (!answer.allowed) return refused(answer.reason);', ''),
    scenarios: ['leave that is taken back'],
  },
  {
    name: 'leave: not asked once more when the group is armed',
    changes: one(
      effects,
      "if (!leave.granted) return { event: { kind: 'not-now', reason: leave.reason } };",
      '',
    ),
    scenarios: ['leave that is taken back'],
  },
  {
    name: 'leave: the operator is not asked',
    changes: one('executor-leave.ts', "if (what === 'fetch' || !wanted)", "if (what !== 'fetch' || !wanted)"),
    scenarios: ['leave that is taken back'],
  },
  {
    name: 'leave: rotted images are fetched on the leave to activate',
    changes: one(
      moves,
      "      { kind: 'disarm', step: 'begin.b', group: attempt.group },\n    ],\n  };\n}\n\n/** Activate (c)",
      "      { kind: 'disarm', step: 'begin.b', group: attempt.group },\n      { kind: 'write-slots', step: 'begin.cd' },\n    ],\n  };\n}\n\n/** Activate (c)",
    ),
    scenarios: [],
    faults: true,
  },
  {
    name: 'activate: the verdict is not computed again',
    changes: one('core/transitions.ts', "{ kind: 'judge', step: 'activate.a' },", ''),
    scenarios: ['leave that is taken back'],
  },
  {
    name: 'activate: although the data could not be prepared',
    changes: one(
      effects,
      "if (!(await this.#hook('prepare')))",
      "if (!(await this.#hook('prepare')) && false)",
    ),
    scenarios: ['small release'],
  },
  {
    name: 'self-test: the server that could be reached before is not asked for',
    changes: one(
      'executor-self-test.ts',
      '(await runPrograms(context, manifest)) ?? (await runBuiltIn(context, attempt))',
      "(await runPrograms(context, manifest)) ?? (attempt.id === '' ? await runBuiltIn(context, attempt) : undefined)",
    ),
    scenarios: ['small release'],
  },
  {
    name: 'confirm: an older group is kept where no fallback is allowed',
    changes: one(moves, 'facts.fallbackAllowed\n    ? []', 'facts.trialTries > 0\n    ? []'),
    scenarios: ['no fallback allowed'],
  },
  {
    name: 'confirm: a failure is recorded while the boot control may hold the group as confirmed',
    changes: one(ending, 'effects: [first, ...effects]', 'effects: first === undefined ? [] : effects'),
    scenarios: ['boot control takes no write'],
  },
  {
    name: 'confirm: the data are not committed by the group that was fallen back to',
    changes: one(
      ending,
      "{ kind: 'commit-data', step: 'confirm.d' },\n        confirmDone(attempt),",
      'confirmDone(attempt),',
    ),
    scenarios: ['starts are counted'],
    statesMax: 2500,
  },
  {
    name: 'failed: not counted against the release',
    changes: one(moves, "const counts = code === 'OTA_NOT_TRIED' ||", "const counts = code === '' &&"),
    scenarios: ['two tries, two attempts', 'small release'],
  },
  {
    name: 'failed: restarts out of a trial without end',
    changes: one(
      moves,
      'return attempt.trialBoots < 2 * facts.trialTries;',
      'return attempt.trialBoots < 200 * facts.trialTries;',
    ),
    scenarios: ['boot control takes no write'],
  },
  {
    name: 'failed: the old group restarts as well',
    changes: one(
      moves,
      "...(attempt.staged ? [{ kind: 'revert-data', step: 'fail.d' } as const] : []),",
      "...(attempt.staged ? [{ kind: 'revert-data', step: 'fail.d' } as const] : []),\n    { kind: 'restart-out-of-trial', step: 'fail.c' },",
    ),
    scenarios: ['small release'],
  },
  {
    name: 'begin: only the first image is read back',
    changes: one(
      'executor-images.ts',
      "if (!proven.ok) return failed(proven.error.code, proven.error.message);\n  }\n  return { kind: 'staged' };",
      "if (!proven.ok) return failed(proven.error.code, proven.error.message);\n    break;\n  }\n  return { kind: 'staged' };",
    ),
    scenarios: [],
    faults: true,
  },
  {
    name: 'fail: the data are committed',
    changes: one(
      moves,
      "{ kind: 'revert-data', step: 'fail.d' } as const",
      "{ kind: 'commit-data', step: 'fail.d' } as const",
    ),
    scenarios: ['small release'],
  },
  {
    name: 'confirm: the data are reverted',
    changes: one(
      moves,
      "{ kind: 'commit-data', step: 'confirm.d' },\n      confirmDone(attempt),",
      "{ kind: 'revert-data', step: 'confirm.d' },\n      confirmDone(attempt),",
    ),
    scenarios: ['small release'],
  },
  {
    name: 'activate: rotted images are written again without end',
    changes: one(moves, 'rotted: attempt.rotted + 1', 'rotted: attempt.rotted'),
    scenarios: [],
    faults: true,
  },
  {
    name: 'lost record: a group that is out of the boot order counts as confirmed',
    changes: one(
      'core/standing.ts',
      "return mayBoot.includes(bootedGroup) || mayBoot.length === 0 ? 'confirmed' : 'unproven';",
      "return boot.trial !== bootedGroup ? 'confirmed' : 'unproven';",
    ),
    scenarios: ['record lost in a trial'],
  },
  {
    name: 'lost record: what only the cache of the boot control says is believed',
    changes: one('executor-load.ts', 'await bootControlDo(async () => await bootControl.repair?.());', ''),
    scenarios: ['record lost in a trial'],
  },
];
