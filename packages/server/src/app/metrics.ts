/** Figures for an operator's monitoring: roles that come to their end, proposals that wait. Read when they are asked for. */
import { alarms } from '@airlock/protocol';
import { Gauge, Registry } from 'prom-client';
import { viewOf } from '../core/files.ts';
import { termOf, termsOf } from '../core/queue.ts';
import { directorOwner } from '../core/versions.ts';
import type { Context } from './context.ts';
import { directorName } from './director.ts';
import { listProposals } from './proposals.ts';
import { loadImage } from './repositories.ts';

export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

/** A registry for each answer: nothing is left of products that are gone, and two servers in one process share none. */
export async function metricsText(context: Context): Promise<MetricsText> {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const roles = ['product', 'role'];
  const expires = gauge('airlock_role_expires_seconds', 'When a role ends, in Unix seconds', roles);
  const due = gauge('airlock_role_renewal_due', '1 when a role is to be renewed', roles);
  const alarm = gauge('airlock_role_alarm', '1 for the alarm that stands', [...roles, 'alarm']);
  const open = gauge('airlock_proposal_open', 'Open proposals, by state', [...roles, 'state']);
  const until = gauge('airlock_proposal_until_seconds', 'When an open proposal ends by itself', roles);
  const now = context.clock.now();
  const products = (await context.store.products()).map(({ product }) => product);
  const director = (await context.store.currentRoles(directorOwner)).find(({ role }) => role === 'root');
  const terms =
    director === undefined
      ? []
      : [
          {
            product: directorName,
            term: termOf({ ...director, expires: viewOf(director.file).expires }, false, now),
          },
        ];
  for (const product of products) {
    const image = await loadImage(context.store, product);
    for (const term of image === undefined ? [] : termsOf(image, now)) terms.push({ product, term });
    const proposals = await listProposals(context, product);
    for (const status of proposals.ok ? proposals.value : []) {
      open.set({ product, role: status.role, state: status.state }, 1);
      until.set({ product, role: status.role }, status.until);
    }
  }
  for (const { product, term } of terms) {
    const labels = { product, role: term.role };
    expires.set(labels, Date.parse(term.expires) / 1000);
    due.set(labels, term.due ? 1 : 0);
    for (const name of alarms) alarm.set({ ...labels, alarm: name }, term.alarm === name ? 1 : 0);
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}
