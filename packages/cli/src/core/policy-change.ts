/**
 * Changes of who must approve, as a person writes them, against what stands: whole sets afterwards, for a ceremony.
 *
 * Pure. What is not named stays. Whether the result may stand is judged where the ceremony's files are made
 * (ceremony.ts), the same on every holder's machine.
 */
import { fail, type FunctionThresholds, type Minimum, ok, type Policy, type Result } from '@airlock/trust';
import { isSafetyClass, parseSets, type Sets } from './company.ts';

export interface SetsChange {
  /** `C=engineering,quality:2`, `us=regulatory-us`: in the place of what stood under that name, or new. */
  readonly set: readonly string[];
  /** Classes and markets that go. */
  readonly drop: readonly string[];
}

/** The sets afterwards. Codes: CLI_SET, and CLI_CEREMONY_ACT for a name that does not stand. */
export function changeSets(before: Sets, { set, drop }: SetsChange): Result<Sets> {
  const named = parseSets(set, '--set');
  if (!named.ok) return named;
  const classes = { ...before.classes, ...named.value.classes };
  const markets = new Map([...Object.entries(before.markets), ...Object.entries(named.value.markets)]);
  for (const name of drop) {
    const stands = isSafetyClass(name)
      ? before.classes[name] !== undefined
      : Object.hasOwn(before.markets, name);
    if (!stands) return fail('CLI_CEREMONY_ACT', `${name} is no class or market here`, '--drop');
    const again = isSafetyClass(name)
      ? named.value.classes[name] !== undefined
      : Object.hasOwn(named.value.markets, name);
    if (again) return fail('CLI_USAGE', `${name} cannot be set and dropped at once`, '--drop');
    if (isSafetyClass(name)) delete classes[name];
    else markets.delete(name);
  }
  return ok({ classes, markets: Object.fromEntries(markets) });
}

/**
 * The policy's sets that hold a new minimum: each class and market of the minimum stands, asking at least as much;
 * what the minimum no longer knows goes.
 */
export function followMinimum(
  { classes, markets }: Pick<Policy, 'classes' | 'markets'>,
  minimum: Minimum,
): Sets {
  const followed: { -readonly [K in keyof Sets['classes']]: Sets['classes'][K] } = {};
  for (const letter of ['A', 'B', 'C'] as const) {
    const least = minimum.classes[letter];
    if (least !== undefined) followed[letter] = atLeast(classes[letter], least);
  }
  const held = new Map(Object.entries(markets));
  const next = Object.entries(minimum.markets).map(([market, least]): [string, FunctionThresholds] => [
    market,
    atLeast(held.get(market), least),
  ]);
  return { classes: followed, markets: Object.fromEntries(next) };
}

function atLeast(set: FunctionThresholds = {}, least: FunctionThresholds): FunctionThresholds {
  const joined = new Map(Object.entries(set));
  for (const [name, threshold] of Object.entries(least)) {
    joined.set(name, Math.max(threshold, joined.get(name) ?? 0));
  }
  return Object.fromEntries(joined);
}
