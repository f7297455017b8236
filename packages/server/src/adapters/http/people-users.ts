/** Routes of users and of API tokens. */
import {
  ApiTokenCreate,
  ApiTokenList,
  ApiTokenMade,
  ApiTokenName,
  GrantSchema,
  strict,
  UserCreate,
  UserId,
  UserList,
  UserMade,
  UserView,
} from '@airlock/protocol';
import { Type } from 'typebox';
import { apiTokenView, createApiToken, revokeApiToken } from '../../app/api-tokens.ts';
import { changeGrant, createUser, endSessions, removeUser, resetSecret, userView } from '../../app/users.ts';
import { sendFailure, sendResult } from './failure.ts';
import { type People, refusals } from './people.ts';

const UserParams = Type.Object({ user: UserId }, strict);
const TokenParams = Type.Object({ name: ApiTokenName }, strict);
const UserTokenParams = Type.Object({ user: UserId, name: ApiTokenName }, strict);
const Empty = Type.Null();

export function addUserRoutes(people: People): void {
  const { app, context, actorOf } = people;
  app.get(
    '/api/v1/users',
    { schema: { response: { 200: UserList, ...refusals } } },
    async (_request, reply) => reply.send({ users: (await context.store.users()).map(userView) }),
  );
  app.post(
    '/api/v1/users',
    { schema: { body: UserCreate, response: { 201: UserMade, ...refusals } } },
    async (request, reply) =>
      sendResult(reply, await createUser(context, request.body, actorOf(request)), 201),
  );
  app.put(
    '/api/v1/users/:user/roles',
    { schema: { params: UserParams, body: GrantSchema, response: { 200: UserView, ...refusals } } },
    async (request, reply) => {
      const { user } = request.params;
      return sendResult(reply, await changeGrant(context, user, request.body, actorOf(request)));
    },
  );
  app.post(
    '/api/v1/users/:user/secret',
    { schema: { params: UserParams, response: { 200: UserMade, ...refusals } } },
    async (request, reply) =>
      sendResult(reply, await resetSecret(context, request.params.user, actorOf(request))),
  );
  app.delete(
    '/api/v1/users/:user/sessions',
    { schema: { params: UserParams, response: { 204: Empty, ...refusals } } },
    async (request, reply) => {
      const done = await endSessions(context, request.params.user, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
  app.delete(
    '/api/v1/users/:user',
    { schema: { params: UserParams, response: { 204: Empty, ...refusals } } },
    async (request, reply) => {
      const done = await removeUser(context, request.params.user, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
  addTokenRoutes(people);
}

function addTokenRoutes({ app, context, actorOf, callerOf }: People): void {
  const listOf = async (user: string) => ({
    apiTokens: (await context.store.apiTokensOf(user)).map(apiTokenView),
  });
  app.get(
    '/api/v1/tokens',
    { schema: { response: { 200: ApiTokenList, ...refusals } } },
    async (request, reply) => reply.send(await listOf(callerOf(request).user)),
  );
  app.post(
    '/api/v1/tokens',
    { schema: { body: ApiTokenCreate, response: { 201: ApiTokenMade, ...refusals } } },
    async (request, reply) => {
      const { user } = callerOf(request);
      return sendResult(reply, await createApiToken(context, user, request.body, actorOf(request)), 201);
    },
  );
  app.delete(
    '/api/v1/tokens/:name',
    { schema: { params: TokenParams, response: { 204: Empty, ...refusals } } },
    async (request, reply) => {
      const { user } = callerOf(request);
      const done = await revokeApiToken(context, user, request.params.name, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
  app.get(
    '/api/v1/users/:user/tokens',
    { schema: { params: UserParams, response: { 200: ApiTokenList, ...refusals } } },
    async (request, reply) => reply.send(await listOf(request.params.user)),
  );
  app.delete(
    '/api/v1/users/:user/tokens/:name',
    { schema: { params: UserTokenParams, response: { 204: Empty, ...refusals } } },
    async (request, reply) => {
      const { user, name } = request.params;
      const done = await revokeApiToken(context, user, name, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
}
