/**
 * Planted defects: each leaves out or turns round one thing that keeps a device safe, in a copy of the agent's sources.
 *
 * The explorer must find every one of them. A defect names where it is most quickly found - a hint that costs nothing
 * when it is wrong, since all the other ways are tried as well.
 */
import { type Mutant, one } from './mutant.ts';
import { mutantsOfRules } from './mutants-of-rules.ts';

const small = ['small release'];
const killed = ['agent killed'];
const armed = ['update over an armed fallback'];

const recordStore = 'durable/record-store.ts';
const bootFile = 'durable/boot-file.ts';
const eventLog = 'durable/event-log.ts';
const folderFile = 'durable/folder-file.ts';
const slotWriter = 'durable/slot-writer.ts';
const moves = 'core/moves.ts';
const effects = 'executor-effects.ts';
const ending = 'core/transitions-ending.ts';

const mutantsOfSteps: readonly Mutant[] = [
  {
    name: 'record: its copies are not flushed',
    changes: one(
      recordStore,
      'await file.write(place, block);\n    await file.flush();',
      'await file.write(place, block);',
    ),
    scenarios: small,
  },
  {
    name: 'record: rewritten in place, the newest copy first, and none repaired at a start',
    changes: [
      ...one(
        recordStore,
        'newestPlace.get(format) === 0 ? [1, 0] : [0, 1]',
        'newestPlace.get(format) === 0 ? [0, 1] : [1, 0]',
      ),
      ...one(recordStore, 'if (behind.length === 0) return;', 'if (behind.length >= 0) return;'),
    ],
    scenarios: small,
  },
  {
    name: 'record: no second copy',
    changes: one(
      recordStore,
      'newestPlace.get(format) === 0 ? [1, 0] : [0, 1]',
      'newestPlace.get(format) === 0 ? [1] : [0]',
    ),
    scenarios: small,
  },
  {
    name: 'record: a failed flush is ignored',
    changes: one(
      recordStore,
      'await file.write(place, block);\n    await file.flush();',
      'await file.write(place, block);\n    await file.flush().catch(() => undefined);',
    ),
    scenarios: ['record takes no flush'],
  },
  {
    name: 'start: what a killed agent left in the cache is built upon',
    changes: one('executor-load.ts', 'await settleFolder(disk, settings.stateFolder);', ''),
    scenarios: killed,
  },
  {
    name: 'boot file: a copy that is only cached counts as durable',
    changes: one(bootFile, 'await file.flush();\n      const held', 'const held'),
    scenarios: killed,
  },
  {
    name: 'boot file: the newest copy is written first',
    changes: one(
      bootFile,
      'firstIsNewest ? [bootCopySpacingBytes, 0] : [0, bootCopySpacingBytes]',
      'firstIsNewest ? [0, bootCopySpacingBytes] : [bootCopySpacingBytes, 0]',
    ),
    scenarios: small,
  },
  {
    name: 'boot file: its copies are not flushed',
    changes: one(
      bootFile,
      'await file.write(place, bytes);\n    await file.flush();',
      'await file.write(place, bytes);',
    ),
    scenarios: small,
  },
  {
    name: 'boot file: a damaged copy is not written again',
    changes: one(bootFile, 'repair: () => change((state) => state),', ''),
    scenarios: ['trust state lost'],
  },
  {
    name: 'metadata: not flushed before it is renamed',
    changes: one(
      folderFile,
      'await file.write(0, bytes);\n    // Before the rename: else the new name could stand for bytes that were never written.\n    await file.flush();',
      'await file.write(0, bytes);',
    ),
    scenarios: small,
  },
  {
    name: 'metadata: the folder is not flushed after a rename',
    changes: one(
      folderFile,
      'await disk.rename(temporary, `${folder}/${name}`);\n  await disk.flushFolder(folder);',
      'await disk.rename(temporary, `${folder}/${name}`);',
    ),
    scenarios: small,
  },
  {
    name: 'metadata: swapped in place, the newest copy first',
    changes: [
      ...one(
        folderFile,
        'const temporary = `${folder}/${name}.new`;',
        'const temporary = `${folder}/${name}`;',
      ),
      ...one(
        'durable/trust-store.ts',
        'newest?.place === 0 ? ([1, 0] as const) : ([0, 1] as const)',
        'newest?.place === 0 ? ([0, 1] as const) : ([1, 0] as const)',
      ),
    ],
    scenarios: small,
  },
  {
    name: 'metadata: what was verified is not kept',
    changes: one(
      'executor-trust.ts',
      "if (next.value.kind === 'keep') await this.#keep(next.value.state);",
      "if (next.value.kind === 'keep') this.#state = next.value.state;",
    ),
    scenarios: small,
  },
  {
    name: 'begin: the other group is written while it is armed',
    changes: one(
      moves,
      "...logOnly('OTA_ATTEMPT_BEGUN', `${attempt.kind} into group ${attempt.group}`),\n      { kind: 'disarm', step: 'begin.b', group: attempt.group },",
      "...logOnly('OTA_ATTEMPT_BEGUN', `${attempt.kind} into group ${attempt.group}`),",
    ),
    scenarios: armed,
  },
  {
    name: 'begin: written before it is disarmed',
    changes: one(
      moves,
      "      { kind: 'disarm', step: 'begin.b', group: attempt.group },\n      { kind: 'write-slots', step: 'begin.cd' },\n    ],\n  };\n}\n\n/** After a restart",
      "      { kind: 'write-slots', step: 'begin.cd' },\n      { kind: 'disarm', step: 'begin.b', group: attempt.group },\n    ],\n  };\n}\n\n/** After a restart",
    ),
    scenarios: armed,
  },
  {
    name: 'begin: the running group is written',
    changes: one(
      'executor-images.ts',
      'settings.slots.components[image.component]?.[group]',
      'settings.slots.components[image.component]?.[bootedGroup]',
    ),
    scenarios: small,
  },
  {
    name: 'begin: slots are not flushed',
    changes: one(
      slotWriter,
      'const came = await writer.finish();\n    await file.flush();',
      'const came = await writer.finish();',
    ),
    scenarios: small,
  },
  {
    name: 'begin: images are not read back',
    changes: one(
      'executor-images.ts',
      "if (!proven.ok) return failed(proven.error.code, proven.error.message);\n  }\n  return { kind: 'staged' };",
      "}\n  return { kind: 'staged' };",
    ),
    scenarios: [],
    faults: true,
  },
  {
    name: 'read-back: the cache is read instead of the medium',
    changes: one(
      slotWriter,
      'for await (const piece of file.readMedium(0, target.len)) digest.add(piece);',
      'digest.add(await file.read(0, target.len));',
    ),
    scenarios: [],
    faults: true,
  },
  {
    name: 'activate: armed without a second look at the images',
    changes: one('core/transitions.ts', "{ kind: 'prove-slots', step: 'activate.a' },", ''),
    scenarios: [],
    faults: true,
  },
  {
    name: 'activate: armed before the record says so',
    changes: one(
      moves,
      "{ kind: 'write-record', step: 'activate.c', record: next },\n      ...logOnly('OTA_ACTIVATING', `group ${attempt.group}, ${facts.trialTries} tries`),\n      { kind: 'arm', step: 'activate.d', group: attempt.group, tries: facts.trialTries },",
      "{ kind: 'arm', step: 'activate.d', group: attempt.group, tries: facts.trialTries },\n      { kind: 'write-record', step: 'activate.c', record: next },",
    ),
    scenarios: small,
  },
  {
    name: 'activate: waits in Pending, armed',
    changes: one(
      ending,
      "row(['Pending', 'not-now', 'Staged'], 'not now', always, (record, attempt, event) =>\n    backToStaged(record, attempt, { code: 'OTA_WAITING', reason: event.reason }),\n  ),",
      "row(['Pending', 'not-now', 'Pending'], 'not now', always, (record) => ({ record, effects: [] })),",
    ),
    scenarios: small,
  },
  {
    name: 'back to Staged: the record before the boot control',
    changes: one(
      moves,
      "{ kind: 'disarm', step: 'back.a', group: attempt.group },\n      { kind: 'write-record', step: 'back.b', record: next },",
      "{ kind: 'write-record', step: 'back.b', record: next },\n      { kind: 'disarm', step: 'back.a', group: attempt.group },",
    ),
    scenarios: small,
  },
  {
    name: 'trial: its own count is not written',
    changes: one(moves, "{ kind: 'write-record', step: 'trial.a', record: next },", ''),
    scenarios: small,
  },
  {
    name: 'trial: tries without end',
    changes: one(
      'core/rows.ts',
      'attempt.trialBoots < facts.trialTries;',
      'attempt.trialBoots < facts.trialTries + 1000;',
    ),
    scenarios: small,
  },
  {
    name: 'trial: the booted group is taken from the record',
    changes: one(
      'core/rows.ts',
      'export const inTarget: Guard = (attempt, facts) => facts.bootedGroup === attempt.group;\nexport const inOther: Guard = (attempt, facts) => facts.bootedGroup !== attempt.group;',
      "export const inTarget: Guard = (_attempt, _facts, record) => ['Pending', 'Trial', 'Confirming'].includes(record.state);\nexport const inOther: Guard = (_attempt, _facts, record) => !['Pending', 'Trial', 'Confirming'].includes(record.state);",
    ),
    scenarios: small,
  },
  {
    name: 'trial: confirmed whatever the self-test says',
    changes: one(
      'executor-self-test.ts',
      'if (result.passed) return undefined;',
      'if (result.passed || result.failed !== undefined) return undefined;',
    ),
    scenarios: small,
  },
  {
    name: 'confirm: the floor rises before the boot control confirmed',
    changes: one(
      ending,
      "const next: DeviceState = { ...record, state: 'Confirming' };",
      "const next: DeviceState = { ...record, state: 'Confirming', floor: Math.max(record.floor, attempt.version) };",
    ),
    scenarios: small,
  },
  {
    name: 'result: logged twice',
    changes: one(effects, 'if (!this.#parts.log.hasResult(this.#attempt().id)) await', 'await'),
    scenarios: small,
  },
  {
    name: 'result: not logged',
    changes: one(
      effects,
      'if (!this.#parts.log.hasResult(this.#attempt().id)) await this.#append(code, reason, { result: true });',
      '',
    ),
    scenarios: small,
  },
  {
    name: 'result: the log is not flushed',
    changes: one(
      eventLog,
      'encodeLogCell({ entry, uploaded }));\n    await file.flush();',
      'encodeLogCell({ entry, uploaded }));',
    ),
    scenarios: small,
  },
  {
    name: 'result: a log that cannot be written is taken for written',
    changes: one(
      effects,
      "not at most once.\n      return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason: `log: ${messageOf(error)}` } };",
      "messageOf(error);\n      return { event: { kind: 'settled' } };",
    ),
    scenarios: [],
    faults: true,
  },
  {
    name: 'start: the starts of a confirmed group are not given back',
    changes: one(
      effects,
      'if (mayRestore(state, group, known, bootControl.confirmedStarts)) await bootControl.confirm(group);',
      '',
    ),
    scenarios: ['starts are counted'],
  },
  {
    name: 'failed: the group stays armed',
    changes: one(
      moves,
      "    { kind: 'disarm', step: 'fail.b', group: attempt.group },\n    { kind: 'restore-starts', group: facts.bootedGroup },",
      "    { kind: 'restore-starts', group: facts.bootedGroup },",
    ),
    scenarios: small,
  },
  {
    name: 'lost record: nobody is told',
    changes: one(effects, 'if (!this.#lossTold) await this.#append(code, reason, {});', ''),
    scenarios: ['record lost'],
  },
  {
    name: 'TPM: settled before the record is written, and not after',
    changes: one(
      moves,
      "{ kind: 'write-record', step: 'confirm.c', record: next },\n      // Before the counter, which may not answer: what is confirmed is confirmed, and the older group goes.\n      ...dropped,\n      ...settleSeal(facts),",
      "...settleSeal(facts),\n      { kind: 'write-record', step: 'confirm.c', record: next },\n      ...dropped,",
    ),
    scenarios: ['floor in a TPM'],
  },
  {
    name: 'TPM: the counter does not grow',
    changes: one(
      moves,
      "return facts.sealed ? [{ kind: 'settle-seal', step: 'seal.b' }] : [];",
      'return [];',
    ),
    scenarios: ['floor in a TPM'],
  },
  {
    name: 'fail: the data are not reverted',
    changes: one(moves, "...(attempt.staged ? [{ kind: 'revert-data', step: 'fail.d' } as const] : []),", ''),
    scenarios: small,
  },
  {
    name: 'confirm: the data are not committed',
    changes: one(moves, "{ kind: 'commit-data', step: 'confirm.d' },", ''),
    scenarios: small,
  },
];

export const mutants: readonly Mutant[] = [...mutantsOfSteps, ...mutantsOfRules];
