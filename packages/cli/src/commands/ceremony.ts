/** `keys ceremony start | show | sign | finish` and `keys rotate-online`: keys change, by holders who never meet. */
import { confirmSigning, requiredReason } from '../acts.ts';
import {
  alone,
  openCeremony,
  type Opened,
  publishCeremony,
  showCeremony,
  signCeremony,
  startCeremony,
  writeCeremony,
} from '../ceremony.ts';
import { type CeremonyGround, heldKeys, ownerName, parseOwner, readGround } from '../ceremony-ground.ts';
import type { CommandSpec, Context } from '../command.ts';
import {
  type CeremonyAct,
  type CeremonyFile,
  type CeremonyOwner,
  ceremonyBytesMax,
  encodeCeremony,
  readCeremony,
} from '../core/ceremony-file.ts';
import { obstacleWords, recordNeeds, secureBootNeeds } from '../core/key-plan.ts';
import { ceremonyRecord, grouped } from '../core/ceremony-words.ts';
import { exists, nearestFolder, publicMode, readJsonFile, writeNewFiles } from '../files.ts';
import { readPlanFacts } from '../key-plan-facts.ts';
import { nextOnlineKeys, retireOnlineKeys } from '../online-keys.ts';
import { need, Stop, stop } from '../stop.ts';
import { actOptions, onlineChanges, readAct, readNumbers } from './ceremony-act.ts';
import { serverConfig, withServer } from './product.ts';

function rootOption(context: Context): { readonly rootFile?: string } {
  const file = context.options.text('root');
  return file === undefined ? {} : { rootFile: context.path(file) };
}

/** A key that devices need does not go by mistake (REQ-OTA-KEYS-02); one that was stolen goes with --now. */
async function refuseNeeded(context: Context, owner: CeremonyOwner, act: CeremonyAct): Promise<void> {
  const revoked = act.rules?.secureBootRevoke ?? [];
  const provisioning = act.keys.find(({ role }) => role === 'provisioning')?.remove ?? [];
  if (owner.repository === 'director' || context.options.flag('now')) return;
  if (revoked.length === 0 && provisioning.length === 0) return;
  const facts = await readPlanFacts(context, owner.product);
  const needs = [
    ...revoked.flatMap((key) => secureBootNeeds(facts, key)),
    ...recordNeeds(facts, provisioning),
  ];
  if (needs.length === 0) return;
  stop('CLI_KEY_NEEDED', `${obstacleWords(needs)}; if the key was stolen, say --now`, '--now');
}

/** Makes the file of an act on what stands, at the second argument; the act is judged before the file is written. */
export async function beginCeremony(
  context: Context,
  owner: CeremonyOwner,
  actOn: (on: CeremonyGround) => Promise<CeremonyAct>,
): Promise<void> {
  const path = context.path(context.argument(1));
  const reason = requiredReason(context);
  await context.home.settings();
  const on = await readGround(context, owner, { offline: false, ...rootOption(context) });
  const act = await actOn(on);
  await refuseNeeded(context, owner, act);
  const file = await startCeremony(context, on, act, { reason, numbers: readNumbers(context) });
  await writeNewFiles([{ path, bytes: encodeCeremony(file), mode: publicMode }], await nearestFolder(path));
  const opened = await openCeremony(context, file, { offline: false });
  showCeremony(context, opened);
  context.out.result(
    stateOf(opened, path),
    `Made ${path}; nothing is signed yet.\nEach holder: airlock keys ceremony sign FILE. Then: airlock keys ceremony finish FILE\n`,
  );
}

async function runStart(context: Context): Promise<void> {
  await beginCeremony(context, parseOwner(context.argument(0)), (on) => readAct(context, on));
}

async function readFile(context: Context): Promise<{ path: string; file: CeremonyFile }> {
  const path = context.path(context.argument(0));
  return { path, file: readCeremony(need(await readJsonFile(path, ceremonyBytesMax)), path) };
}

function stateOf({ file, checked, inForce }: Opened, path: string) {
  return {
    file: path,
    owner: ownerName(file.owner),
    fingerprint: checked.fingerprint,
    reason: file.reason,
    inForce,
    roles: checked.roles.map(({ role, version, changes, needs, enough }) => ({
      role,
      version,
      changes: changes.map(({ words }) => words),
      enough,
      needs: needs.map(({ by, threshold, signedBy, keys }) => ({
        by,
        threshold,
        signedBy,
        missing: keys.map(({ keyId }) => keyId).filter((keyId) => !signedBy.includes(keyId)),
      })),
    })),
    policyChanges: checked.policyChanges.map(({ words }) => words),
  };
}

async function runShow(context: Context): Promise<void> {
  const { path, file } = await readFile(context);
  await context.home.settings();
  const opened = await openCeremony(context, file, {
    offline: context.options.flag('offline'),
    ...rootOption(context),
  });
  showCeremony(context, opened);
  context.out.result(stateOf(opened, path), recordOf(context, opened, false));
}

function recordOf(context: Context, { file, checked, nameOf, inForce }: Opened, finished: boolean): string {
  const published = finished || inForce.length === Object.keys(file.files).length;
  return ceremonyRecord(file, checked, { nameOf, printed: context.io.now(), published });
}

/** The person repeats the beginning of the fingerprint: of this file, and of no other that they had open. */
async function confirm(context: Context, fingerprint: string): Promise<void> {
  const shown = grouped(fingerprint.slice(0, 8));
  const question = `the first two groups of the fingerprint (${shown})`;
  await confirmSigning(context, shown, question, (typed) => typed.replaceAll(' ', '').trim());
}

async function runSign(context: Context): Promise<void> {
  const { path, file } = await readFile(context);
  const { options } = context;
  const name = options.text('name');
  await alone(context, `ceremony ${path}`, async () => {
    const offline = options.flag('offline');
    const opened = await openCeremony(context, file, { offline, ...rootOption(context) });
    showCeremony(context, opened);
    const signed = await signCeremony(context, opened, {
      keys: options.list('key'),
      ...(name === undefined ? {} : { printedName: name }),
      instead: options.flag('instead'),
      confirm: async (fingerprint) => await confirm(context, fingerprint),
    });
    await writeCeremony(path, encodeCeremony(signed));
    const after = await openCeremony(context, signed, { offline });
    const open = after.checked.roles.filter(({ enough }) => !enough).map(({ role }) => role);
    const next =
      open.length === 0
        ? 'Every signature is there: airlock keys ceremony finish FILE'
        : `Hand it on; signatures are missing for ${open.join(', ')}`;
    context.out.result(stateOf(after, path), `Signed ${path}.\n${next}\n`);
  });
}

async function runFinish(context: Context): Promise<void> {
  const { path, file } = await readFile(context);
  const record = context.path(context.options.text('record') ?? `${path}.record.txt`);
  const settings = await context.home.settings();
  await withServer(context, settings, async (api) => {
    const opened = await openCeremony(context, file, { offline: false, ...rootOption(context) });
    await publishCeremony(context, api, opened);
    await writeCeremony(record, recordOf(context, opened, true));
    const online = file.act.keys.some(({ role, remove }) => role === 'timestamp' && remove.length > 0);
    const retired =
      online && settings.serverConfig !== undefined
        ? await retireOnlineKeys(context.home.path(settings.serverConfig), file.owner)
        : [];
    const gone = retired.length === 0 ? '' : `Destroyed at the server: ${retired.join(', ')}\n`;
    context.out.result(
      { ...stateOf(opened, path), published: true, record, retired },
      `Published and verified. The record, for paper, is in ${record}\n${gone}`,
    );
  });
}

/** One owner's online keys: new ones at the server, a root that names them, signed here if this home can. */
async function rotateOnline(context: Context, owner: CeremonyOwner, reason: string): Promise<Rotated> {
  const settings = await context.home.settings();
  const config = serverConfig(context, settings);
  const on = await readGround(context, owner, { offline: false });
  const name = ownerName(owner);
  const path = context.home.path('ceremonies', `${name}-root-${on.root.version + 1}.json`);
  if (await exists(path)) {
    stop('CLI_EXISTS', `${path} waits for its signatures; finish that ceremony, or remove the file`, name);
  }
  const keys = await nextOnlineKeys(config, owner);
  const act = { keys: onlineChanges(on, keys), holders: [], drop: [], renew: [] };
  const file = await startCeremony(context, on, act, { reason, numbers: {} });
  await writeCeremony(path, encodeCeremony(file));
  const opened = await openCeremony(context, file, { offline: false });
  showCeremony(context, opened);
  if ((await heldKeys(context, on.root.roles.root.keys)).length === 0) return { owner: name, file: path };
  const signed = await signCeremony(context, opened, {
    keys: [],
    // The file of the same number that was left unsigned or half signed is gone: it was this home's own.
    instead: true,
    confirm: async (print) => await confirm(context, print),
  });
  await writeCeremony(path, encodeCeremony(signed));
  const after = await openCeremony(context, signed, { offline: false });
  if (after.checked.roles.some(({ enough }) => !enough)) return { owner: name, file: path };
  await publishCeremony(context, await context.api(), after);
  await writeCeremony(`${path}.record.txt`, recordOf(context, after, true));
  return { owner: name, file: path, retired: await retireOnlineKeys(config, owner) };
}

interface Rotated {
  readonly owner: string;
  readonly file: string;
  /** The old keys that were destroyed; absent: the ceremony waits for others. */
  readonly retired?: readonly string[];
}

async function runRotateOnline(context: Context): Promise<void> {
  const settings = await context.home.settings();
  const reason = requiredReason(context);
  const named = context.options.list('for').map(parseOwner);
  const all = [...(await context.home.products()), 'director'].map(parseOwner);
  const owners = named.length > 0 ? named : all;
  const done: Rotated[] = [];
  await alone(context, 'rotate-online', async () => {
    await withServer(context, settings, async () => {
      for (const owner of owners) {
        try {
          done.push(await rotateOnline(context, owner, reason));
        } catch (error) {
          // What is done stays done and is told; the command goes on from there when it is run again.
          if (error instanceof Stop && done.length > 0) context.out.note(lines(done));
          throw error;
        }
      }
    });
  });
  context.out.result({ rotated: done }, `${lines(done)}\n`);
}

function lines(done: readonly Rotated[]): string {
  return done
    .map(({ owner, file, retired }) =>
      retired === undefined
        ? `${owner}: waits for the holders of its root keys; hand on ${file}, then keys ceremony finish`
        : `${owner}: new online keys are in force; destroyed: ${retired.join(', ') || 'none'}`,
    )
    .join('\n');
}

const fileOptions = [
  { flags: '--root <file>', describe: 'root to pin, on a machine that sees the owner for the first time' },
];
const signOptions = [
  ...fileOptions,
  { flags: '--offline', describe: 'without a server: roots only, followed from the one pinned here' },
];

export const ceremonyCommands: readonly CommandSpec[] = [
  {
    usage: 'keys ceremony start <owner> <file>',
    summary: 'write a file that changes keys, for each holder to sign',
    help: 'OWNER is a product or "director". Nothing is signed; the file names one act and says why. A key that goes, or a\nthreshold that rises, has the role signed anew in the same ceremony.',
    example:
      'keys ceremony start infusion-pump stolen.json --stolen quality=ada --function quality="Dr. Eve Stone <eve>" --key eve=eve.public.json --reason "CAPA-81: laptop of ada stolen"',
    options: [
      { flags: '--reason <text>', describe: 'why (needed); stands in the file and on the record' },
      ...actOptions,
      { flags: '--now', describe: 'a key that devices still need goes all the same, since it was stolen' },
      ...fileOptions,
    ],
    run: runStart,
  },
  {
    usage: 'keys ceremony show <file>',
    summary: 'what a ceremony does and who has signed; prints its record',
    example: 'keys ceremony show stolen.json',
    options: signOptions,
    run: runShow,
  },
  {
    usage: 'keys ceremony sign <file>',
    summary: "add this home's signatures to a ceremony",
    help: 'This machine verifies what stands, makes the role files of the act itself, and refuses anything that differs.',
    example: 'keys ceremony sign stolen.json',
    options: [
      ...signOptions,
      { flags: '--key <name>', describe: 'sign with this key of the home only', many: true },
      { flags: '--name <text>', describe: 'name for the record, where the policy does not know the key' },
      { flags: '--instead', describe: 'the other root of this number that was signed here is destroyed' },
      { flags: '--yes', describe: 'do not ask; what would be shown is shown all the same' },
    ],
    run: runSign,
  },
  {
    usage: 'keys ceremony finish <file>',
    summary: 'publish a ceremony with enough signatures, and write its record',
    example: 'keys ceremony finish stolen.json --record stolen.record.txt',
    options: [
      ...fileOptions,
      { flags: '--record <file>', describe: 'where the printed record goes (default: FILE.record.txt)' },
    ],
    run: runFinish,
  },
  {
    usage: 'keys rotate-online',
    summary: 'new online keys for director and products, without stopping the server',
    help: 'Makes the keys at the server, signs the roots that name them with the root keys of this home, publishes, and\ndestroys the old keys. Where this home holds too few root keys, a ceremony file is left for the others.',
    example: 'keys rotate-online --reason "CAPA-90: server replaced"',
    options: [
      { flags: '--reason <text>', describe: 'why (needed)' },
      { flags: '--for <owner>', describe: 'only these: a product, or director', many: true },
      { flags: '--yes', describe: 'do not ask; what would be shown is shown all the same' },
    ],
    run: runRotateOnline,
  },
];
