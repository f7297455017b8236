/** Routes of products, policies, images and releases. */
import {
  coversProduct,
  ImageView,
  Name,
  ProductCreate,
  ProductList,
  ProductView,
  ReleaseCreate,
  ReleaseList,
  ReleaseView,
  Sha256,
  strict,
  wireLimits,
} from '@airlock/protocol';
import type { Readable } from 'node:stream';
import { Type } from 'typebox';
import {
  createProduct,
  createRelease,
  productView,
  productViews,
  putImage,
  putPolicy,
  releaseView,
  releaseViews,
} from '../../app/products.ts';
import { sendFailure, sendResult } from './failure.ts';
import { type People, refusals } from './people.ts';

const ProductParams = Type.Object({ product: Name }, strict);
/** Parameters are text: the number in it is bounded by its digits. */
const ReleaseParams = Type.Object(
  { product: Name, version: Type.String({ pattern: '^[1-9][0-9]{0,9}$' }) },
  strict,
);
const ImageParams = Type.Object({ sha256: Sha256 }, strict);
const PolicyParams = Type.Object({ product: Name, sha256: Sha256 }, strict);
const Empty = Type.Null();

export function addProductRoutes(people: People): void {
  const { app, context, actorOf, callerOf } = people;
  app.get(
    '/api/v1/products',
    { schema: { response: { 200: ProductList, ...refusals } } },
    async (request, reply) => {
      const { products } = callerOf(request);
      const views = await productViews(context);
      return reply.send({ products: views.filter(({ product }) => coversProduct(products, product)) });
    },
  );
  app.get(
    '/api/v1/products/:product',
    { schema: { params: ProductParams, response: { 200: ProductView, ...refusals } } },
    async (request, reply) => sendResult(reply, await productView(context, request.params.product)),
  );
  app.post(
    '/api/v1/products',
    {
      schema: { body: ProductCreate, response: { 200: ProductView, 201: ProductView, ...refusals } },
    },
    async (request, reply) => {
      const made = await createProduct(context, request.body.product, request.body.root, actorOf(request));
      if (!made.ok) return sendFailure(reply, made.error);
      return reply.code(made.value.created ? 201 : 200).send(made.value.view);
    },
  );
  addReleaseRoutes(people);
  addUploadRoutes(people);
}

function addReleaseRoutes({ app, context, actorOf }: People): void {
  app.get(
    '/api/v1/products/:product/releases',
    { schema: { params: ProductParams, response: { 200: ReleaseList, ...refusals } } },
    async (request, reply) => {
      const releases = await releaseViews(context, request.params.product);
      return releases.ok ? reply.send({ releases: releases.value }) : sendFailure(reply, releases.error);
    },
  );
  app.get(
    '/api/v1/products/:product/releases/:version',
    { schema: { params: ReleaseParams, response: { 200: ReleaseView, ...refusals } } },
    async (request, reply) => {
      const { product, version } = request.params;
      return sendResult(reply, await releaseView(context, product, Number(version)));
    },
  );
  app.post(
    '/api/v1/products/:product/releases',
    {
      schema: {
        params: ProductParams,
        body: ReleaseCreate,
        response: { 200: ReleaseView, 201: ReleaseView, ...refusals },
      },
    },
    async (request, reply) => {
      const { product } = request.params;
      const by = actorOf(request);
      const made = await createRelease(context, { product, manifest: request.body.manifest, by });
      if (!made.ok) return sendFailure(reply, made.error);
      return reply.code(made.value.created ? 201 : 200).send(made.value.view);
    },
  );
}

/** Bytes as they are, streamed: no multipart, nothing in memory. */
function addUploadRoutes({ app, context, actorOf }: People): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
    scope.put<{ Params: { sha256: string }; Body: Readable }>(
      '/api/v1/images/:sha256',
      {
        bodyLimit: wireLimits.imageBytesMax,
        schema: { params: ImageParams, response: { 200: ImageView, 201: ImageView, ...refusals } },
      },
      async (request, reply) => {
        const { sha256 } = request.params;
        const pieces = piecesOf(request.body);
        const put = await putImage(context, sha256, pieces, wireLimits.imageBytesMax, actorOf(request));
        if (!put.ok) {
          // What still comes is read and dropped: closing on it would reset the connection, and the answer be lost.
          request.body?.resume();
          return sendFailure(reply, put.error);
        }
        return reply.code(put.value.created ? 201 : 200).send({ sha256, ...put.value });
      },
    );
    scope.put<{ Params: { product: string; sha256: string }; Body: Readable }>(
      '/api/v1/products/:product/policies/:sha256',
      {
        bodyLimit: wireLimits.policyBytesMax,
        schema: { params: PolicyParams, response: { 204: Empty, ...refusals } },
      },
      async (request, reply) => {
        const bytes = await collect(piecesOf(request.body), wireLimits.policyBytesMax);
        const { product, sha256 } = request.params;
        const put = await putPolicy(context, product, sha256, bytes, actorOf(request));
        return put.ok ? reply.code(204).send(null) : sendFailure(reply, put.error);
      },
    );
  });
  app.get(
    '/api/v1/images/:sha256',
    {
      schema: { params: ImageParams, response: { 200: ImageView, ...refusals } },
    },
    async (request, reply) => {
      const { sha256 } = request.params;
      const held = await context.store.image(sha256);
      const message = `image ${sha256} was not uploaded`;
      if (held === undefined) return sendFailure(reply, { code: 'API_NOT_FOUND', message, field: 'sha256' });
      return reply.send({ sha256, length: held.length, created: false });
    },
  );
}

/** The body's bytes; a request without a body has none. Left early, it stays open: destroyed, it could not be answered. */
async function* piecesOf(body: Readable | undefined | null): AsyncIterable<Uint8Array> {
  if (body === undefined || body === null) return;
  for await (const piece of body.iterator({ destroyOnReturn: false }))
    if (piece instanceof Uint8Array) yield piece;
}

/** Reads at most one byte more than is allowed, so that the reader sees that it is too long. */
async function collect(pieces: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const held: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    held.push(piece);
    length += piece.length;
    if (length > bytesMax) break;
  }
  return Buffer.concat(held);
}
