/**
 * `policy show | set` and `root minimum`: who must approve, for each class and market.
 *
 * Setting signs nothing: it writes a ceremony (ADR 0017), which the holders of `targets` - or of the root, for the
 * minimum - read on their own machines and sign. What every device would refuse is refused before anybody signs.
 */
import { type FunctionThresholds, type Minimum, parsePolicy, type Policy } from '@airlock/trust';
import { type CeremonyGround, parseOwner } from '../ceremony-ground.ts';
import type { CommandSpec, Context, OptionSpec } from '../command.ts';
import type { CeremonyAct, RulesChange } from '../core/ceremony-file.ts';
import { parseThresholds } from '../core/company.ts';
import { changeSets, followMinimum } from '../core/policy-change.ts';
import { plain, table } from '../output.ts';
import { need, stop } from '../stop.ts';
import { verifyRepository } from '../signer.ts';
import { readHolderChanges } from './ceremony-act.ts';
import { beginCeremony } from './ceremony.ts';

/** `engineering, quality (2)`; a dash for nobody. */
function setWords(set: FunctionThresholds | undefined): string {
  if (set === undefined) return 'not known';
  const words = Object.entries(set).map(([name, count]) => (count === 1 ? name : `${name} (${count})`));
  return words.toSorted().join(', ') || '-';
}

function setRows(minimum: Minimum, policy: Policy): string[][] {
  const classes = (['A', 'B', 'C'] as const)
    .filter((letter) => minimum.classes[letter] !== undefined || policy.classes[letter] !== undefined)
    .map((letter) => [
      `class ${letter}`,
      setWords(minimum.classes[letter]),
      setWords(policy.classes[letter]),
    ]);
  const least = new Map(Object.entries(minimum.markets));
  const asked = new Map(Object.entries(policy.markets));
  const markets = [...new Set([...least.keys(), ...asked.keys()])]
    .toSorted()
    .map((market) => [`market ${market}`, setWords(least.get(market)), setWords(asked.get(market))]);
  const emergency = policy.emergency === undefined ? [] : [['emergency', '-', setWords(policy.emergency)]];
  return [...classes, ...markets, ...emergency];
}

async function runShow(context: Context): Promise<void> {
  const product = context.argument(0);
  const rootFile = context.options.text('root');
  const pin = rootFile === undefined ? undefined : context.path(rootFile);
  const api = await context.api();
  const { view } = await verifyRepository(context.home, product, api, context.io.now(), pin);
  const { policy, root, targets } = view;
  const minimum = root.image?.minimum ?? { classes: {}, markets: {} };
  const functions = targets.functions.map(({ name, threshold, keys }) => ({
    function: name,
    threshold,
    holders: keys.map(({ keyId }) => {
      const held = policy.holders.find((entry) => entry.keyId === keyId);
      return { keyId, holder: held?.holder ?? '', name: held?.name ?? '' };
    }),
  }));
  const json = {
    product,
    root: root.version,
    targets: targets.version,
    demo: view.demo,
    minimum,
    policy: need(parsePolicy(Buffer.from(view.policyText))),
    functions,
  };
  const holders = functions.flatMap(({ function: name, threshold, holders: own }) =>
    own.map((held) => [
      name,
      `${threshold} of ${own.length}`,
      `${held.name} <${held.holder}>`,
      held.keyId.slice(0, 16),
    ]),
  );
  const lines = [
    `${plain(product)}: root ${root.version}, targets ${targets.version}${view.demo ? ' (DEMO root)' : ''}\n`,
    table(['FOR', 'ROOT MINIMUM', 'POLICY'], setRows(minimum, policy)),
    table(['FUNCTION', 'NEEDED', 'HOLDER', 'KEY'], holders),
    'A device demands both columns of its class and market, and what the manifest adds.\n',
  ];
  context.out.result(json, lines.join('\n'));
}

/** What stands, of a product. */
function standing({ ground, root }: CeremonyGround): { minimum: Minimum; policy: Policy } {
  const minimum = root.image?.minimum;
  if (ground.image === undefined || minimum === undefined) {
    return stop('CLI_CEREMONY_ACT', 'the director has no policy', 'PRODUCT');
  }
  return { minimum, policy: need(parsePolicy(Buffer.from(ground.image.policy))) };
}

function setsOf({ options }: Context) {
  return { set: options.list('set'), drop: options.list('drop') };
}

const noAct: CeremonyAct = { keys: [], holders: [], drop: [], renew: [] };

async function policyAct(context: Context, on: CeremonyGround): Promise<CeremonyAct> {
  const { policy } = standing(on);
  const change = setsOf(context);
  const sets = need(changeSets(policy, change));
  const named = context.options.text('emergency');
  const dropEmergency = context.options.flag('drop-emergency');
  if (named !== undefined && dropEmergency) {
    stop('CLI_USAGE', '--emergency and --drop-emergency exclude each other', '--drop-emergency');
  }
  if (dropEmergency && policy.emergency === undefined) {
    stop('CLI_CEREMONY_ACT', 'there is no emergency set to drop', '--drop-emergency');
  }
  const emergency: RulesChange['emergency'] =
    named === undefined ? (dropEmergency ? 'none' : undefined) : need(parseThresholds(named, '--emergency'));
  const changesSets = change.set.length > 0 || change.drop.length > 0;
  const holders = await readHolderChanges(context, on);
  if (!changesSets && emergency === undefined && holders.length === 0) {
    return stop('CLI_USAGE', 'say what changes: --set, --drop, --emergency or --function', '--set');
  }
  const rules = {
    ...(changesSets ? sets : {}),
    ...(emergency === undefined ? {} : { emergency }),
  };
  return { ...noAct, holders, ...(Object.keys(rules).length === 0 ? {} : { rules }) };
}

function minimumAct(context: Context, on: CeremonyGround): CeremonyAct {
  const before = standing(on);
  const change = setsOf(context);
  if (change.set.length === 0 && change.drop.length === 0) {
    return stop('CLI_USAGE', 'say what changes: --set or --drop', '--set');
  }
  const minimum = need(changeSets(before.minimum, change));
  const rules = context.options.flag('with-policy') ? followMinimum(before.policy, minimum) : undefined;
  return { ...noAct, minimum, ...(rules === undefined ? {} : { rules }) };
}

async function runSet(context: Context): Promise<void> {
  await beginCeremony(context, parseOwner(context.argument(0)), (on) => policyAct(context, on));
}

async function runMinimum(context: Context): Promise<void> {
  await beginCeremony(context, parseOwner(context.argument(0)), (on) =>
    Promise.resolve(minimumAct(context, on)),
  );
}

const rootOption: OptionSpec = {
  flags: '--root <file>',
  describe: 'root to pin, on a machine that sees the product for the first time',
};
const setOptions: readonly OptionSpec[] = [
  {
    flags: '--set <spec>',
    describe: 'C=engineering,quality:2 or us=regulatory-us: what a class or market asks afterwards',
    many: true,
  },
  { flags: '--drop <name>', describe: 'a class or market that goes', many: true },
  { flags: '--reason <text>', describe: 'why (needed); stands in the file and on the record' },
  rootOption,
];

export const policyCommands: readonly CommandSpec[] = [
  {
    usage: 'policy show <product>',
    summary: 'who must approve for each class and market, and who holds which key',
    example: 'policy show infusion-pump',
    options: [rootOption],
    run: runShow,
  },
  {
    usage: 'policy set <product> <file>',
    summary: 'write a ceremony that changes the policy, for the holders of targets to sign',
    help: 'Nothing is signed. A policy below the minimum of the root is refused here, by the server, and counts for nothing\non a device. Then: keys ceremony sign FILE, keys ceremony finish FILE.',
    example:
      'policy set infusion-pump open-de.json --set de=regulatory-de --function regulatory-de="Jo Roth <jo>" --key jo=jo.public.json --reason "CR-31: Germany"',
    options: [
      ...setOptions,
      { flags: '--emergency <functions>', describe: 'who approves a release marked as an emergency' },
      { flags: '--drop-emergency', describe: 'there is no emergency set any more' },
      { flags: '--function <spec>', describe: 'a new holder: quality="Dr. Eve Stone <eve>"', many: true },
      { flags: '--key <spec>', describe: "a new holder's key: eve=FILE", many: true },
      { flags: '--threshold <spec>', describe: 'signatures that a function needs: quality=2', many: true },
    ],
    run: runSet,
  },
  {
    usage: 'root minimum <product> <file>',
    summary: 'write a ceremony that changes the minimum in the root, for the holders of the root to sign',
    help: 'The minimum is what no policy can go below. It is raised only as far as policy and functions already go, or with\nthem (--with-policy); a new market opens when both minimum and policy name it.',
    example: 'root minimum infusion-pump minimum.json --set de= --reason "CR-31: Germany"',
    options: [
      ...setOptions,
      {
        flags: '--with-policy',
        describe:
          'the policy follows in the same ceremony: it asks at least as much, of the same classes and markets',
      },
    ],
    run: runMinimum,
  },
];
