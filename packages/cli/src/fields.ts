/**
 * Reading JSON that people, files and servers give: strict, field by field, each refusal naming the field.
 *
 * One `Reader` is one value with its path and the name of the file or answer that it came from. It stops the command
 * with the code it was made with. Unknown fields are refused where the writer is a person: a misspelt option must
 * not be lost.
 */
import { stop } from './stop.ts';

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Where a value came from: the code of its refusals and the name that they begin with. */
export interface Origin {
  readonly code: string;
  readonly name: string;
}

export class Reader {
  readonly value: unknown;
  readonly origin: Origin;
  readonly path: string;

  constructor(value: unknown, origin: Origin, path = '') {
    this.value = value;
    this.origin = origin;
    this.path = path;
  }

  refuse(message: string): never {
    const where = this.path === '' ? 'the document' : this.path;
    return stop(this.origin.code, `${this.origin.name}: ${where} ${message}`, this.path || this.origin.name);
  }

  /** The object; any field that is not in `known` is refused. */
  object(known?: readonly string[]): JsonObject {
    if (!isObject(this.value)) return this.refuse('must be an object');
    const unknown =
      known === undefined ? undefined : Object.keys(this.value).find((name) => !known.includes(name));
    if (unknown !== undefined) {
      this.#child(unknown, undefined).refuse(`is not a known field; known are ${known?.join(', ')}`);
    }
    return this.value;
  }

  at(name: string): Reader {
    return this.optional(name) ?? this.#child(name, undefined).refuse('is missing');
  }

  /** undefined when the field is absent or null. */
  optional(name: string): Reader | undefined {
    const object = this.object();
    const found = Object.hasOwn(object, name) ? object[name] : undefined;
    return found === undefined || found === null ? undefined : this.#child(name, found);
  }

  list(): Reader[] {
    if (!Array.isArray(this.value)) return this.refuse('must be a list');
    return this.value.map((entry: unknown, at) => new Reader(entry, this.origin, `${this.path}[${at}]`));
  }

  texts(): string[] {
    return this.list().map((entry) => entry.text());
  }

  entries(): [string, Reader][] {
    return Object.entries(this.object()).map(([name, entry]) => [name, this.#child(name, entry)]);
  }

  text(): string {
    if (typeof this.value !== 'string') return this.refuse('must be a string');
    return this.value;
  }

  integer(min: number, max = Number.MAX_SAFE_INTEGER): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      return this.refuse(`must be an integer from ${min} to ${max}`);
    }
    return value;
  }

  choice<const T extends string>(choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.value);
    return found ?? this.refuse(`must be one of ${choices.map((choice) => `"${choice}"`).join(', ')}`);
  }

  #child(name: string, value: unknown): Reader {
    return new Reader(value, this.origin, this.path === '' ? name : `${this.path}.${name}`);
  }
}
