/**
 * Reading one parsed JSON value field by field, strictly, and naming the field that is wrong.
 *
 * A `Field` is a value with its path. Its readers either give back a typed value or stop the parser that
 * `readFields` runs, which turns the stop into a `Failure`; nothing is thrown past `readFields`. Lookups are made
 * on own properties only, so that a key such as `constructor` never finds the prototype's.
 */
import { trustLimits } from './limits.ts';
import { escapedName } from './plain-text.ts';
import { fail, ok, type Result } from './result.ts';

/** A JSON object as `JSON.parse` makes it. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Stops a parser; private to this file's `readFields`. */
class Refusal extends Error {
  readonly field: string;
  readonly code: string | undefined;
  constructor(field: string, message: string, code: string | undefined) {
    super(message);
    this.field = field;
    this.code = code;
  }
}

/** Names of products, functions, components and markets have one form; these would confuse TUF or JavaScript. */
const reservedNames: ReadonlySet<string> = new Set([
  'root',
  'targets',
  'snapshot',
  'timestamp',
  'constructor',
]);

const namePattern = /^[a-z][a-z0-9-]{0,31}$/;
const devicePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const sha256Pattern = /^[0-9a-f]{64}$/;
const controlPattern = /\p{Cc}|\p{Zl}|\p{Zp}|\p{Bidi_Control}/u;

/** Whether `name` may name a function: pattern of DESIGN "Trust", and none of the top-level roles. */
export function isFunctionName(name: string): boolean {
  return namePattern.test(name) && !reservedNames.has(name);
}

/** Whether `id` may identify a device: letters, digits, `.`, `_` and `-`, at most 64, so that it is safe in paths. */
export function isDeviceId(id: string): boolean {
  return devicePattern.test(id);
}

/** One value and where it stands. */
export class Field {
  readonly value: unknown;
  readonly path: string;
  constructor(value: unknown, path = '') {
    this.value = value;
    this.path = path;
  }

  /** Stops the parser: `message` says what was expected. `code` replaces the parser's own code. */
  refuse(message: string, code?: string): never {
    const where = this.path === '' ? 'document' : this.path;
    throw new Refusal(this.path, `${where} ${message}`, code);
  }

  /** The object itself; with `known`, any other name is refused (a misspelt optional field must not be lost). */
  object(known?: readonly string[]): JsonObject {
    if (!isObject(this.value)) this.refuse('must be an object');
    if (known !== undefined) {
      for (const name of Object.keys(this.value)) {
        if (!known.includes(name)) this.at(name).refuse('is not a known field');
      }
    }
    return this.value;
  }

  /** The field `name`, which must be there. */
  at(name: string): Field {
    const found = this.optional(name);
    if (found === undefined) return new Field(undefined, this.child(name)).refuse('is missing');
    return found;
  }

  optional(name: string): Field | undefined {
    const object = this.object();
    return Object.hasOwn(object, name) ? new Field(object[name], this.child(name)) : undefined;
  }

  /** Every entry of an object used as a map, at most `entriesMax`. */
  entries(entriesMax: number): [string, Field][] {
    const entries = Object.entries(this.object());
    if (entries.length > entriesMax)
      this.refuse(`has ${entries.length} entries, at most ${entriesMax} are allowed`);
    return entries.map(([name, value]) => [name, new Field(value, this.child(name))]);
  }

  array(entriesMax: number = trustLimits.listEntriesMax): Field[] {
    if (!Array.isArray(this.value)) this.refuse('must be a list');
    if (this.value.length > entriesMax) {
      this.refuse(`has ${this.value.length} entries, at most ${entriesMax} are allowed`);
    }
    return this.value.map((value: unknown, index) => new Field(value, `${this.path}[${index}]`));
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') this.refuse('must be true or false');
    return this.value;
  }

  /** An integer in `[min, max]`. */
  integer(min: number, max: number): number {
    if (typeof this.value !== 'number' || !Number.isSafeInteger(this.value))
      this.refuse('must be an integer');
    if (this.value < min || this.value > max) this.refuse(`must be from ${min} to ${max}`);
    return this.value;
  }

  /** A string; empty only if asked for. */
  text(charactersMax: number, options: { empty?: boolean } = {}): string {
    if (typeof this.value !== 'string') this.refuse('must be a string');
    if (this.value.length > charactersMax) this.refuse(`must have at most ${charactersMax} characters`);
    if (options.empty !== true && this.value.trim() === '') this.refuse('must not be empty');
    return this.value;
  }

  /** One line that people read: no control or direction characters, which could make it look like another. */
  line(options: { empty?: boolean; charactersMax?: number } = {}): string {
    const text = this.text(options.charactersMax ?? trustLimits.lineCharactersMax, options);
    if (controlPattern.test(text)) this.refuse('must not contain line breaks or control characters');
    return text;
  }

  /** Text of several lines that people read: line breaks and tabs, but nothing else that a terminal obeys. */
  paragraph(charactersMax: number, options: { empty?: boolean } = {}): string {
    const text = this.text(charactersMax, options);
    if (controlPattern.test(text.replaceAll(/[\n\t]/g, '')))
      this.refuse('must not contain control characters');
    return text;
  }

  /** A name such as `infusion-pump`, `rootfs` or `us`. */
  name(): string {
    const text = this.text(trustLimits.lineCharactersMax);
    if (!isFunctionName(text)) {
      this.refuse(
        'must be a name: lower-case letters, digits and "-", from a letter on, at most 32, not reserved',
      );
    }
    return text;
  }

  /** The name under which this field stands in a map, judged like `name()`. */
  named(name: string): string {
    if (!isFunctionName(name))
      this.refuse('stands under a name that is not allowed (see the pattern of names)');
    return name;
  }

  device(): string {
    const text = this.text(trustLimits.lineCharactersMax);
    if (!isDeviceId(text)) this.refuse('must be a device id: letters, digits, ".", "_" and "-", at most 64');
    return text;
  }

  sha256(): string {
    if (typeof this.value !== 'string' || !sha256Pattern.test(this.value)) {
      this.refuse('must be a SHA-256 of 64 lower-case hex digits');
    }
    return this.value;
  }

  /** One of the given strings. */
  choice<const T extends string>(choices: readonly T[]): T {
    const found = choices.find((choice) => choice === this.value);
    if (found === undefined) return this.refuse(`must be one of ${choices.map((c) => `"${c}"`).join(', ')}`);
    return found;
  }

  /** A list without repetitions, each entry read by `read`. */
  unique<T extends string | number>(read: (field: Field) => T, entriesMax?: number): readonly T[] {
    const seen = new Set<T>();
    for (const field of this.array(entriesMax)) {
      const value = read(field);
      if (seen.has(value)) field.refuse('stands twice');
      seen.add(value);
    }
    return [...seen];
  }

  private child(name: string): string {
    // Names stand here before any signature is checked.
    const safe = escapedName(name);
    return this.path === '' ? safe : `${this.path}.${safe}`;
  }
}

/**
 * Runs a parser over `value`. A refused field becomes a failure with `code` (or the code the parser gave), the
 * field's path, and a message that begins with `name` when one is given.
 */
export function readFields<T>(
  value: unknown,
  options: { readonly code: string; readonly name?: string },
  read: (field: Field) => T,
): Result<T> {
  try {
    return ok(read(new Field(value)));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const prefix = options.name === undefined ? '' : `${options.name}: `;
    return fail(error.code ?? options.code, prefix + error.message, error.field || options.name);
  }
}
