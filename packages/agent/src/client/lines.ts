/**
 * The one parser of what the agent sends: a line becomes a greeting, a question, news, or the answer to a request.
 *
 * Keeps true: what decides something is looked at - which question, about which release, whether clinical use may
 * begin - and whatever is not clear there is refused, or is the safe answer. The rest is passed on as it came: a newer
 * agent may say more than this client knows.
 */
import {
  serviceSchema,
  type ServiceAnswers,
  type ServiceHello,
  type ServiceNews,
  type ServiceQuestion,
  type ServiceStatus,
} from '@airlock/protocol';

export type ServiceLine =
  | { readonly kind: 'hello'; readonly hello: ServiceHello }
  | { readonly kind: 'question'; readonly question: ServiceQuestion }
  | { readonly kind: 'news'; readonly news: ServiceNews }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly code: string; readonly message: string };

type Fields = Readonly<Record<string, unknown>>;

/** undefined: no line of this protocol. */
export function parseLine(text: string): ServiceLine | undefined {
  const line = fieldsOf(parseJson(text));
  if (line === undefined) return undefined;
  const { id, refused, question, news, answer } = line;
  if (line['service'] === serviceSchema) return { kind: 'hello', hello: line as unknown as ServiceHello };
  if (question !== undefined)
    return isQuestion(line) ? { kind: 'question', question: line as unknown as ServiceQuestion } : undefined;
  if (news !== undefined)
    return isRelease(line['release']) ? { kind: 'news', news: line as unknown as ServiceNews } : undefined;
  if (typeof id !== 'number') return undefined;
  if (refused === undefined) return { kind: 'answer', id, answer };
  const fields = fieldsOf(refused);
  return { kind: 'refused', id, code: String(fields?.['code']), message: String(fields?.['message']) };
}

/** An answer by what was asked; undefined: it is none. */
export const parseAnswers: {
  readonly [Ask in keyof ServiceAnswers]: (answer: unknown) => ServiceAnswers[Ask] | undefined;
} = {
  status: (answer) => {
    const status = fieldsOf(answer);
    if (typeof status?.['device'] !== 'string') return undefined;
    // Everything but the clear word is the safe one.
    const clinicalUse = status['clinicalUse'] === 'allowed' ? 'allowed' : 'wait';
    return { ...(status as unknown as ServiceStatus), clinicalUse };
  },
  log: (answer) => {
    const log = fieldsOf(answer);
    return Array.isArray(log?.['entries']) ? (log as unknown as ServiceAnswers['log']) : undefined;
  },
  install: asked,
  again: asked,
  consent: (answer) => {
    const until = fieldsOf(answer)?.['until'];
    return typeof until === 'number' ? { until } : undefined;
  },
  withdraw: (answer) => {
    const withdrawn = fieldsOf(answer)?.['withdrawn'];
    return typeof withdrawn === 'boolean' ? { withdrawn } : undefined;
  },
};

function asked(answer: unknown): { readonly asked: true } | undefined {
  return fieldsOf(answer)?.['asked'] === true ? { asked: true } : undefined;
}

function isQuestion(line: Fields): boolean {
  const { question, may } = line;
  return typeof question === 'number' && typeof may === 'string' && isRelease(line['release']);
}

function isRelease(value: unknown): boolean {
  const release = fieldsOf(value);
  return typeof release?.['version'] === 'number' && typeof release['manifestSha256'] === 'string';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
