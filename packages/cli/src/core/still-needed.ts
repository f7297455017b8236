/** Who must still approve a release, by what a signer's machine verified itself. Pure. */
import type { FunctionThresholds, ImageView } from '@airlock/trust';
import type { Act } from './signing.ts';

/** Functions that class and markets still ask for, by what was verified before this act. */
export function stillToApprove(
  view: ImageView,
  own: string,
  act: Extract<Act, { kind: 'approve' }>,
): string[] {
  const minimum = view.root.image?.minimum;
  const open = (sets: (FunctionThresholds | undefined)[]) => openIn(view, own, act, sets);
  const lines: string[] = [];
  for (const letter of ['A', 'B', 'C'] as const) {
    const names = open([minimum?.classes[letter], view.policy.classes[letter]]);
    if (names.length > 0) lines.push(`class ${letter}: ${names.join(', ')}`);
  }
  for (const market of Object.keys(view.policy.markets)) {
    const names = open([minimum?.markets[market], view.policy.markets[market]]);
    if (names.length > 0) lines.push(`market ${market}: ${names.join(', ')}`);
  }
  return lines;
}

/** Functions of these sets that do not approve yet, sorted; `own` is the one that approves now. */
export function openIn(
  view: ImageView,
  own: string,
  act: Extract<Act, { kind: 'approve' }>,
  sets: readonly (FunctionThresholds | undefined)[],
): string[] {
  const approves = (name: string) =>
    name === own ||
    view.functions[name]?.releases.some(
      (entry) => entry.version === act.version && entry.sha256 === act.sha256,
    ) === true;
  return [...new Set(sets.flatMap((set) => Object.keys(set ?? {})))]
    .filter((name) => !approves(name))
    .toSorted();
}
