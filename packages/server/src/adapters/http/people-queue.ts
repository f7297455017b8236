/** Routes of the signing queue and of the reservation of a number. */
import { Name, QueueView, ReservationPut, ReservationView, RoleName, strict } from '@airlock/protocol';
import { Type } from 'typebox';
import { queueOf, reservationView } from '../../app/queue.ts';
import { reserve } from '../../app/reservations.ts';
import { sendFailure } from './failure.ts';
import { type People, refusals } from './people.ts';
import { proposalView } from './people-publishing.ts';

const ProductParams = Type.Object({ product: Name }, strict);
const RoleParams = Type.Object({ product: Name, role: RoleName }, strict);

export function addQueueRoutes({ app, context, actorOf }: People): void {
  app.get(
    '/api/v1/products/:product/queue',
    {
      schema: { params: ProductParams, response: { 200: QueueView, ...refusals } },
    },
    async (request, reply) => {
      const queue = await queueOf(context, request.params.product);
      if (!queue.ok) return sendFailure(reply, queue.error);
      const { product, functions, proposals, terms } = queue.value;
      return reply.send({
        product,
        functions: functions.map(({ proposal, ...rest }) => ({
          ...rest,
          ...(proposal === undefined ? {} : { proposal: proposalView(proposal) }),
        })),
        proposals: proposals.map(proposalView),
        terms: [...terms],
      });
    },
  );
  app.put(
    '/api/v1/products/:product/proposals/:role/reservation',
    {
      schema: { params: RoleParams, body: ReservationPut, response: { 200: ReservationView, ...refusals } },
    },
    async (request, reply) => {
      const asked = { ...request.params, ...request.body, by: actorOf(request) };
      const held = await reserve(context, asked);
      return held.ok ? reply.send(reservationView(held.value)) : sendFailure(reply, held.error);
    },
  );
}
