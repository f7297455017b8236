/**
 * Telling the device's own software what runs: a release in its trial, a confirmed one, one that was rolled back.
 *
 * Keeps true: it is told of a trial before the first self-test, and of `confirmed` only once the record says so, so
 * that clinical use can wait for it; and at every start again, so that one call that was lost is not lost for good.
 * Telling decides nothing: a failure of it is logged and blocks nothing. Asking for leave is `executor-leave.ts`'s.
 */
import type { DeviceCode } from '@airlock/protocol';
import type { GroupLetter, Manifest } from '@airlock/trust';
import { messageOf } from './core/operating-error.ts';
import { isInTrial, type DeviceState, type Installed } from './core/record.ts';
import type { GroupManifests } from './durable/group-manifests.ts';
import type { Interlock, InterlockNews, ReleaseBrief } from './ports/platform.ts';

/** Never throws for what the interlock does. */
export async function tellInterlock(
  context: {
    readonly interlock: Interlock;
    readonly manifests: GroupManifests;
    note(code: DeviceCode, reason: string): Promise<void>;
  },
  news: InterlockNews,
  { version, manifestSha256 }: Installed,
): Promise<void> {
  try {
    const manifest = await context.manifests.read(manifestSha256);
    await context.interlock.tell(news, briefOf({ version, manifestSha256 }, manifest));
  } catch (error) {
    await context.note('OTA_INTERLOCK_NOT_TOLD', `${news} ${version}: ${messageOf(error)}`);
  }
}

/** What is known of a release whose manifest may be lost. */
export function briefOf(
  { version, manifestSha256 }: Installed,
  manifest: Pick<Manifest, 'name' | 'urgency' | 'emergency'> | undefined,
): ReleaseBrief {
  return {
    version,
    manifestSha256,
    name: manifest?.name ?? '',
    urgency: manifest?.urgency ?? { level: 'routine' },
    ...(manifest?.emergency === true ? { emergency: true } : {}),
  };
}

/** What runs outside any trial; undefined in one, and where the group's content is not known. */
export function confirmedRunning(record: DeviceState, bootedGroup: GroupLetter): Installed | undefined {
  if (isInTrial(record, bootedGroup)) return undefined;
  const { confirmed, groups } = record;
  return groups[bootedGroup] ?? (confirmed.group === bootedGroup ? confirmed : undefined);
}
