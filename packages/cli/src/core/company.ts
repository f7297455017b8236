/**
 * A product's functions, holders and demands as a person writes them on a command line, judged before a key is made.
 *
 * Forms: `quality=Dr. Ada Quill <ada>` (a holder of a function), `quality=2` (its threshold), `C=engineering,quality:2`
 * and `us=regulatory-us` (who must approve for a class or a market). Pure. What is refused here would be refused by
 * every device: one person or key in two functions, a class that asks fewer than two functions, a function that
 * nobody holds, a threshold that cannot be reached.
 */
import {
  checkMinimumMet,
  fail,
  type FunctionThresholds,
  isFunctionName,
  ok,
  type Result,
  type SafetyClass,
} from '@airlock/trust';

export interface Holder {
  readonly function: string;
  /** Stable id of the person. */
  readonly holder: string;
  /** As it is printed in approvals. */
  readonly name: string;
}

export interface Sets {
  readonly classes: Readonly<Partial<Record<SafetyClass, FunctionThresholds>>>;
  readonly markets: Readonly<Record<string, FunctionThresholds>>;
}

/** Everything about a product but its keys. */
export interface Company {
  readonly functions: readonly {
    readonly name: string;
    readonly threshold: number;
    readonly holders: readonly Holder[];
  }[];
  readonly minimum: Sets;
  readonly policy: Sets;
  readonly emergency?: FunctionThresholds;
}

export interface CompanyInput {
  readonly product: string;
  readonly safetyClass: SafetyClass;
  readonly markets: readonly string[];
  readonly functions: readonly string[];
  readonly thresholds: readonly string[];
  readonly minimum: readonly string[];
  readonly policy: readonly string[];
  readonly emergency?: string;
}

const classes: readonly string[] = ['A', 'B', 'C'];
const holderPattern = /^([^=]+)=\s*(.+?)\s*<([A-Za-z0-9][A-Za-z0-9._@-]{0,63})>$/;

export function isSafetyClass(text: string): text is SafetyClass {
  return classes.includes(text);
}

/** `quality=Dr. Ada Quill <ada>`. Code: CLI_FUNCTION. */
export function parseHolder(text: string): Result<Holder> {
  const [, name, person, holder] = holderPattern.exec(text) ?? [];
  if (name === undefined || person === undefined || holder === undefined || !isFunctionName(name)) {
    const message = `"${text}" must be FUNCTION=NAME <ID>, such as quality=Dr. Ada Quill <ada>`;
    return fail('CLI_FUNCTION', message, '--function');
  }
  return ok({ function: name, holder, name: person });
}

/** `engineering,quality:2` as thresholds; an empty text is an empty set. Code: CLI_SET. */
export function parseThresholds(text: string, field: string): Result<FunctionThresholds> {
  const found = new Map<string, number>();
  for (const entry of text.split(',').filter((part) => part.trim() !== '')) {
    const [, name, count] = /^\s*([a-z][a-z0-9-]*)(?::([1-9]\d?))?\s*$/.exec(entry) ?? [];
    if (name === undefined || !isFunctionName(name) || found.has(name)) {
      return fail(
        'CLI_SET',
        `"${entry.trim()}" in "${text}" must be FUNCTION or FUNCTION:THRESHOLD, once each`,
        field,
      );
    }
    found.set(name, Number(count ?? 1));
  }
  return ok(Object.fromEntries(found));
}

/** `C=engineering,quality` or `us=regulatory-us`, many of them. Code: CLI_SET. */
export function parseSets(texts: readonly string[], field: string): Result<Sets> {
  const byClass: Partial<Record<SafetyClass, FunctionThresholds>> = {};
  const byMarket = new Map<string, FunctionThresholds>();
  for (const text of texts) {
    const at = text.indexOf('=');
    const subject = text.slice(0, Math.max(at, 0));
    const set = parseThresholds(text.slice(at + 1), field);
    if (!set.ok) return set;
    if (isSafetyClass(subject) && byClass[subject] === undefined) byClass[subject] = set.value;
    else if (isFunctionName(subject) && !byMarket.has(subject)) byMarket.set(subject, set.value);
    else {
      const message = `"${text}" must be CLASS=FUNCTIONS or MARKET=FUNCTIONS, such as C=engineering,quality, once each`;
      return fail('CLI_SET', message, field);
    }
  }
  return ok({ classes: byClass, markets: Object.fromEntries(byMarket) });
}

/** Judges the whole. Codes: CLI_FUNCTION, CLI_SET, CLI_KEY_SHARED, CLI_THRESHOLD, CLI_DEMAND. */
export function planCompany(input: CompanyInput): Result<Company> {
  const holders: Holder[] = [];
  for (const text of input.functions) {
    const holder = parseHolder(text);
    if (!holder.ok) return holder;
    holders.push(holder.value);
  }
  const apart = checkHolders(holders);
  if (!apart.ok) return apart;
  const functions = groupFunctions(holders, input.thresholds);
  if (!functions.ok) return functions;
  const minimum = parseSets(input.minimum, '--minimum');
  if (!minimum.ok) return minimum;
  const policy = parseSets(input.policy, '--policy');
  if (!policy.ok) return policy;
  const emergency = parseThresholds(input.emergency ?? '', '--emergency-set');
  if (!emergency.ok) return emergency;
  const company: Company = {
    functions: functions.value,
    minimum: minimum.value,
    policy: merge(minimum.value, policy.value),
    ...(input.emergency === undefined ? {} : { emergency: emergency.value }),
  };
  const demand = checkDemand(input, company);
  return demand.ok ? ok(company) : demand;
}

/** A person signs for one function, with one key: otherwise one act of theirs would count twice. */
function checkHolders(holders: readonly Holder[]): Result<true> {
  const seen = new Map<string, Holder>();
  for (const holder of holders) {
    const other = seen.get(holder.holder);
    if (other !== undefined) {
      const where =
        other.function === holder.function
          ? `${other.function} twice`
          : `${other.function} and ${holder.function}`;
      return fail(
        'CLI_KEY_SHARED',
        `${holder.holder} stands in ${where}; a person holds one key in one function`,
        '--function',
      );
    }
    seen.set(holder.holder, holder);
  }
  return ok(true);
}

function groupFunctions(
  holders: readonly Holder[],
  thresholds: readonly string[],
): Result<Company['functions']> {
  const wanted = new Map<string, number>();
  for (const text of thresholds) {
    const [, name, count] = /^([a-z][a-z0-9-]*)=([1-9]\d?)$/.exec(text) ?? [];
    if (name === undefined || count === undefined || wanted.has(name)) {
      return fail(
        'CLI_THRESHOLD',
        `"${text}" must be FUNCTION=NUMBER, such as quality=2, once each`,
        '--threshold',
      );
    }
    wanted.set(name, Number(count));
  }
  const names = [...new Set(holders.map((holder) => holder.function))].toSorted();
  const unknown = [...wanted.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) return fail('CLI_THRESHOLD', `nobody holds function ${unknown}`, '--threshold');
  const functions = names.map((name) => ({
    name,
    threshold: wanted.get(name) ?? 1,
    holders: holders.filter((holder) => holder.function === name),
  }));
  const short = functions.find(({ threshold, holders: own }) => threshold > own.length);
  if (short === undefined) return ok(functions);
  const message = `function ${short.name} asks ${short.threshold} signatures and has ${short.holders.length} holder(s)`;
  return fail('CLI_THRESHOLD', message, '--threshold');
}

/** The policy says at least what the minimum says. */
function merge(minimum: Sets, policy: Sets): Sets {
  return {
    classes: { ...minimum.classes, ...policy.classes },
    markets: { ...minimum.markets, ...policy.markets },
  };
}

function checkDemand(input: CompanyInput, company: Company): Result<true> {
  const own = company.minimum.classes[input.safetyClass];
  if (own === undefined) {
    const message = `class ${input.safetyClass} has no minimum; say who must approve, such as ${input.safetyClass}=engineering,quality`;
    return fail('CLI_DEMAND', message, '--minimum');
  }
  for (const market of input.markets) {
    if (company.minimum.markets[market] === undefined) {
      return fail(
        'CLI_DEMAND',
        `market ${market} has no minimum; ${market}= asks nobody beside the class`,
        '--minimum',
      );
    }
  }
  for (const { subject, set, field } of allSets(company)) {
    if (subject === 'emergency' && field === '--emergency-set' && Object.keys(set).length < 2) {
      const message =
        'the emergency set must ask at least two functions: no person decides alone, in an emergency either';
      return fail('CLI_DEMAND', message, field);
    }
    if (isSafetyClass(subject) && Object.keys(set).length < 2) {
      return fail(
        'CLI_DEMAND',
        `class ${subject} must ask at least two functions, so that no author approves alone`,
        field,
      );
    }
    for (const [name, threshold] of Object.entries(set)) {
      const offered = company.functions.find((entry) => entry.name === name);
      if (offered === undefined)
        return fail('CLI_DEMAND', `${subject} asks function ${name}, which nobody holds`, field);
      if (offered.threshold < threshold) {
        const message = `${subject} asks ${threshold} signatures of ${name}, whose threshold is ${offered.threshold}`;
        return fail('CLI_DEMAND', message, field);
      }
    }
  }
  const offered = new Map(company.functions.map((entry) => [entry.name, entry]));
  const { emergency } = company;
  const policy = { ...company.policy, ...(emergency === undefined ? {} : { emergency }) };
  const met = checkMinimumMet(company.minimum, policy, offered);
  return met.ok ? met : fail('CLI_DEMAND', met.error.message, '--policy');
}

function* allSets(company: Company): Generator<{ subject: string; set: FunctionThresholds; field: string }> {
  for (const [field, sets] of [
    ['--minimum', company.minimum],
    ['--policy', company.policy],
  ] as const) {
    for (const [subject, set] of Object.entries({ ...sets.markets, ...sets.classes }))
      yield { subject, set, field };
  }
  if (company.emergency !== undefined)
    yield { subject: 'emergency', set: company.emergency, field: '--emergency-set' };
}
