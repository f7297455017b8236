/**
 * Reads one field of a configuration file strictly, and says in one line what was expected where.
 *
 * A reader either gives the value or stops with a `ConfigFault`, which the parser turns into a failure value. Unknown
 * fields are refused: a mistyped limit that is silently ignored would be no limit.
 */

/** Stops the parser at the first field that is wrong. Never leaves config.ts. */
export class ConfigFault extends Error {
  readonly field: string;
  constructor(field: string, expected: string) {
    super(expected);
    this.name = 'ConfigFault';
    this.field = field;
  }
}

/** Longest text in a configuration; Linux's own limit for paths is 4096. */
const textCharactersMax = 4096;
/** Arguments of one program. */
const commandWordsMax = 64;

export class ConfigField {
  readonly #value: unknown;
  readonly path: string;

  constructor(value: unknown, path: string) {
    this.#value = value;
    this.path = path;
  }

  refuse(expected: string): never {
    const found = this.#value === undefined ? 'it is missing' : `found ${shown(this.#value)}`;
    throw new ConfigFault(this.path === '' ? 'the file' : this.path, `expected ${expected}, ${found}`);
  }

  is(value: unknown): boolean {
    return this.#value === value;
  }

  isObject(): boolean {
    return typeof this.#value === 'object' && this.#value !== null && !Array.isArray(this.#value);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#entries(), name);
  }

  /** An object whose fields are all among `names`. */
  object(names: readonly string[]): this {
    for (const name of Object.keys(this.#entries())) {
      if (names.includes(name)) continue;
      const path = this.path === '' ? name : `${this.path}.${name}`;
      throw new ConfigFault(path, `is not a field; expected one of ${names.join(', ')}`);
    }
    return this;
  }

  at(name: string): ConfigField {
    const entries = this.#entries();
    const value = Object.hasOwn(entries, name) ? entries[name] : undefined;
    return new ConfigField(value, this.path === '' ? name : `${this.path}.${name}`);
  }

  /** Reads the field `name` if it is there. */
  optional<T>(name: string, read: (field: ConfigField) => T): T | undefined {
    return Object.hasOwn(this.#entries(), name) ? read(this.at(name)) : undefined;
  }

  /** Names and fields of an object that is a map. */
  map(entriesMax: number): [string, ConfigField][] {
    const names = Object.keys(this.#entries());
    if (names.length === 0 || names.length > entriesMax) this.refuse(`1 to ${entriesMax} entries`);
    return names.map((name) => [name, this.at(name)]);
  }

  list(entriesMax: number): ConfigField[] {
    const value = this.#value;
    if (!Array.isArray(value) || value.length > entriesMax) {
      this.refuse(`a list of at most ${entriesMax} entries`);
    }
    return value.map((entry: unknown, index) => new ConfigField(entry, `${this.path}[${index}]`));
  }

  text(expected = 'a text'): string {
    const value = this.#value;
    if (
      typeof value !== 'string' ||
      value === '' ||
      value.length > textCharactersMax ||
      /\p{Cc}/u.test(value)
    ) {
      this.refuse(`${expected} of 1 to ${textCharactersMax} characters`);
    }
    return value;
  }

  matching(form: RegExp, expected: string): string {
    const value = this.#value;
    if (typeof value !== 'string' || !form.test(value)) this.refuse(expected);
    return value;
  }

  oneOf<T extends string>(values: readonly T[]): T {
    const found = values.find((value) => value === this.#value);
    return found ?? this.refuse(values.map((value) => `"${value}"`).join(' or '));
  }

  integer(min: number, max: number, unit = ''): number {
    const value = this.#value;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      this.refuse(`an integer from ${min} to ${max}${unit === '' ? '' : ` ${unit}`}`);
    }
    return value;
  }

  boolean(): boolean {
    if (typeof this.#value !== 'boolean') this.refuse('true or false');
    return this.#value;
  }

  /** A program with its arguments: the first an absolute path or a bare name, since no shell and no folder is implied. */
  command(): readonly string[] {
    const words = this.list(commandWordsMax).map((word) => word.text('an argument'));
    const [program] = words;
    if (program === undefined) this.refuse('a list with a program and its arguments');
    if (program.includes('/') && !program.startsWith('/') && !program.startsWith('{group}')) {
      this.at0().refuse('an absolute path, or a name without a slash');
    }
    return words;
  }

  at0(): ConfigField {
    const value: unknown = Array.isArray(this.#value) ? this.#value[0] : undefined;
    return new ConfigField(value, `${this.path}[0]`);
  }

  #entries(): Record<string, unknown> {
    const value = this.#value;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.refuse('an object');
    return value as Record<string, unknown>;
  }
}

/** A value in a message: short, one line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
