/**
 * What the mark "emergency" of a release means, for the person who signs it. Pure.
 *
 * The mark asks fewer people for some devices, so that it must never be one row among forty: it is told in words,
 * with who stands in, before the passphrase is asked for; and after it, who is still missing on the emergency path.
 */
import type { FunctionThresholds, ImageView } from '@airlock/trust';
import { plain } from '../output.ts';
import type { Act } from './signing.ts';
import { openIn } from './still-needed.ts';

/** A line above the act; empty for a release without the mark. */
export function emergencyNotice(manifest: { readonly emergency: boolean }, view: ImageView): string {
  if (!manifest.emergency) return '';
  const { emergency } = view.policy;
  if (emergency === undefined) {
    return 'EMERGENCY: so the release is marked; the policy has no emergency set, so everybody is asked as ever.\n';
  }
  return (
    `EMERGENCY: on devices whose record allows it, ${setWords(emergency)} stand in for class and market; ` +
    'the minimum of the root is asked as ever.\n'
  );
}

/** What is still missing on the emergency path; empty for a release without the mark, or without such a path. */
export function emergencyStillOpen(
  manifest: { readonly emergency: boolean },
  view: ImageView,
  own: string,
  act: Extract<Act, { kind: 'approve' }>,
): string[] {
  const { emergency } = view.policy;
  const minimum = view.root.image?.minimum;
  if (!manifest.emergency || emergency === undefined || minimum === undefined) return [];
  const sets: FunctionThresholds[] = [
    emergency,
    ...Object.values(minimum.classes),
    ...Object.values(minimum.markets),
  ];
  const names = openIn(view, own, act, sets);
  const missing = names.length === 0 ? 'nobody is missing' : `still missing: ${names.join(', ')}`;
  return [`On the emergency path, for devices whose record allows it, ${missing}`];
}

function setWords(set: FunctionThresholds): string {
  const words = Object.entries(set).map(([name, threshold]) =>
    threshold === 1 ? plain(name) : `${plain(name)} (${threshold})`,
  );
  return words.join(' and ');
}
