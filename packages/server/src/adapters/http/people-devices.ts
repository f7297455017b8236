/** Routes of devices, assignments, reports and logs. */
import {
  AssignmentPut,
  AssignmentView,
  DeviceCreate,
  DeviceId,
  DeviceList,
  DeviceLog,
  DeviceView,
  everyProduct,
  RecordPut,
  ReportList,
  strict,
  wireLimits,
} from '@airlock/protocol';
import { fail, formatInstant } from '@airlock/trust';
import { Type } from 'typebox';
import { assignmentView, putAssignment, removeAssignment } from '../../app/assignments.ts';
import {
  createDevice,
  deviceView,
  deviceViews,
  putRecord,
  reportView,
  revokeDevice,
} from '../../app/devices.ts';
import { directorFile } from '../../app/tuf-layout.ts';
import { sendFailure, sendResult } from './failure.ts';
import { ifMatchOf, type People, refusals } from './people.ts';

const DeviceParams = Type.Object({ device: DeviceId }, strict);
const digits = Type.String({ pattern: '^[0-9]{1,15}$' });
const Page = Type.Object({ after: Type.Optional(DeviceId), limit: Type.Optional(digits) }, strict);
const LogPage = Type.Object({ after: Type.Optional(digits), limit: Type.Optional(digits) }, strict);
const ReportPage = Type.Object({ limit: Type.Optional(digits) }, strict);

function rows(limit: string | undefined): number {
  return Math.min(limit === undefined ? wireLimits.pageRowsDefault : Number(limit), wireLimits.pageRowsMax);
}

export function addDeviceRoutes(people: People): void {
  const { app, context, actorOf, callerOf } = people;
  app.get(
    '/api/v1/devices',
    { schema: { querystring: Page, response: { 200: DeviceList, ...refusals } } },
    async (request, reply) => {
      const { after = '', limit } = request.query;
      const { products } = callerOf(request);
      const of = products.includes(everyProduct) ? undefined : products;
      return reply.send({ devices: await deviceViews(context, after, rows(limit), of) });
    },
  );
  app.get(
    '/api/v1/devices/:device',
    { schema: { params: DeviceParams, response: { 200: DeviceView, ...refusals } } },
    async (request, reply) => sendResult(reply, await deviceView(context, request.params.device)),
  );
  app.post(
    '/api/v1/devices',
    {
      schema: { body: DeviceCreate, response: { 200: DeviceView, 201: DeviceView, ...refusals } },
    },
    async (request, reply) => {
      const made = await createDevice(context, request.body, actorOf(request));
      if (!made.ok) return sendFailure(reply, made.error);
      return reply.code(made.value.created ? 201 : 200).send(made.value.view);
    },
  );
  app.put(
    '/api/v1/devices/:device/record',
    {
      schema: { params: DeviceParams, body: RecordPut, response: { 200: DeviceView, ...refusals } },
    },
    async (request, reply) => {
      const { device } = request.params;
      return sendResult(reply, await putRecord(context, device, request.body.record, actorOf(request)));
    },
  );
  app.delete(
    '/api/v1/devices/:device',
    { schema: { params: DeviceParams, response: { 204: Type.Null(), ...refusals } } },
    async (request, reply) => {
      const done = await revokeDevice(context, request.params.device, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
  addAssignmentRoutes(people);
  addEvidenceRoutes(people);
}

function addAssignmentRoutes({ app, context, actorOf }: People): void {
  const params = DeviceParams;
  app.get(
    '/api/v1/devices/:device/assignment',
    {
      schema: { params, response: { 200: AssignmentView, ...refusals } },
    },
    async (request, reply) => {
      const { device } = request.params;
      const row = await context.store.assignment(device);
      const none = fail('API_NOT_FOUND', `nothing is assigned to ${device}`, 'device');
      return row === undefined
        ? sendFailure(reply, none.error)
        : reply.send(await assignmentView(context.store, row));
    },
  );
  app.put(
    '/api/v1/devices/:device/assignment',
    {
      schema: { params, body: AssignmentPut, response: { 200: AssignmentView, ...refusals } },
    },
    async (request, reply) => {
      const { device } = request.params;
      const by = actorOf(request);
      const done = await putAssignment(context, { device, put: request.body, ...ifMatchOf(request), by });
      if (!done.ok) return sendFailure(reply, done.error);
      return reply.header('etag', done.value.etag).send(done.value);
    },
  );
  app.delete(
    '/api/v1/devices/:device/assignment',
    { schema: { params, response: { 204: Type.Null(), ...refusals } } },
    async (request, reply) => {
      const { ifMatch } = ifMatchOf(request);
      const done = await removeAssignment(context, request.params.device, ifMatch, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
}

function addEvidenceRoutes({ app, context }: People): void {
  const params = DeviceParams;
  app.get(
    '/api/v1/devices/:device/reports',
    { schema: { params, querystring: ReportPage, response: { 200: ReportList, ...refusals } } },
    async (request, reply) => {
      const stored = await context.store.reports(request.params.device, rows(request.query.limit));
      return reply.send({ reports: stored.map(reportView) });
    },
  );
  app.get(
    '/api/v1/devices/:device/log',
    { schema: { params, querystring: LogPage, response: { 200: DeviceLog, ...refusals } } },
    async (request, reply) => {
      const { device } = request.params;
      const { after = '0', limit } = request.query;
      const entries = await context.store.logEntries(device, Number(after), rows(limit));
      const findings = await context.store.findings(device);
      const head = await context.store.logHead(device);
      return reply.send({
        entries: entries.map(({ entry }) => entry),
        findings: findings.map((finding) => ({ ...finding, found: formatInstant(finding.found) })),
        ...(head === undefined ? {} : { head: head.envelope }),
      });
    },
  );
  app.get<{ Params: { device: string; '*': string } }>(
    '/api/v1/devices/:device/tuf/*',
    async (request, reply) => {
      const file = await directorFile(context, request.params.device, request.params['*']);
      return file.ok ? reply.type('application/json').send(file.value) : sendFailure(reply, file.error);
    },
  );
}
