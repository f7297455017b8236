/**
 * The catalogue of requirements: `requirements/<area>.json`, one row per requirement.
 *
 * Parses and checks form only; whether tests prove a row is judged in `judge.ts`. Rows are added, never
 * renumbered. Also reads what the rows point to: secure-boot requirements and change records.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { isRecord, readJson, readText, repositoryFiles, stringList } from '../lib/repository.ts';

export interface Requirement {
  /** `REQ-OTA-<AREA>-<NN>`. */
  readonly id: string;
  readonly text: string;
  /** `open`: not or not wholly there yet; `reason` says why, `later` which work brings it. */
  readonly status: 'done' | 'open';
  readonly reason?: string;
  readonly later?: string;
  /** The secure-boot requirement that it leans on (`SB-...`), or null. */
  readonly secureBoot: string | null;
  /** The change record that last touched it (`CR-0001`). */
  readonly change: string;
  /** Numbers of its tests, sorted; written by `npm run trace -- --update`. */
  readonly tests: readonly string[];
}

export interface Area {
  readonly file: string;
  readonly area: string;
  readonly title: string;
  readonly source: string;
  readonly requirements: readonly Requirement[];
}

export interface Catalogue {
  readonly areas: readonly Area[];
  readonly secureBoot: readonly string[];
  readonly changes: readonly string[];
}

const secureBootFile = 'requirements/secure-boot.json';
const changesFile = 'docs/change-control.md';

function text(value: unknown, where: string): string {
  if (typeof value !== 'string' || value.trim() === '') throw new Error(`${where}: a text was expected`);
  return value;
}

function parseRequirement(value: unknown, area: string, where: string): Requirement {
  if (!isRecord(value)) throw new Error(`${where}: an object was expected`);
  const id = text(value['id'], `${where}.id`);
  if (!new RegExp(`^REQ-OTA-${area}-\\d\\d$`).test(id))
    throw new Error(`${where}.id: ${id} is not of ${area}`);
  const { status, secureBoot } = value;
  if (status !== 'done' && status !== 'open') throw new Error(`${id}.status: done or open was expected`);
  const row = {
    id,
    text: text(value['text'], `${id}.text`),
    secureBoot: secureBoot === null ? null : text(secureBoot, `${id}.secureBoot`),
    change: text(value['change'], `${id}.change`),
    tests: stringList(value['tests'], `${id}.tests`),
  };
  if (status === 'done') return { ...row, status };
  return {
    ...row,
    status,
    reason: text(value['reason'], `${id}.reason`),
    later: text(value['later'], `${id}.later`),
  };
}

/** One file of the catalogue. Throws and names the place where the form is wrong. */
export function parseArea(value: unknown, file: string): Area {
  if (!isRecord(value)) throw new Error(`${file}: an object was expected`);
  const area = text(value['area'], `${file}: area`);
  const rows: unknown = value['requirements'];
  if (!Array.isArray(rows)) throw new Error(`${file}: requirements must be a list`);
  const requirements = rows.map((row: unknown, index) =>
    parseRequirement(row, area, `${file}: requirements[${index}]`),
  );
  const ids = requirements.map((row) => row.id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new Error(`${file}: ${twice} stands there twice`);
  const title = text(value['title'], `${file}: title`);
  return { file, area, title, source: text(value['source'], `${file}: source`), requirements };
}

function readSecureBoot(root: string): string[] {
  const value = readJson(root, secureBootFile);
  const rows: unknown = isRecord(value) ? value['secureBoot'] : undefined;
  if (!Array.isArray(rows)) throw new Error(`${secureBootFile}: secureBoot must be a list`);
  return rows.map((row: unknown) => text(isRecord(row) ? row['id'] : undefined, `${secureBootFile}: id`));
}

/** Reads the whole catalogue of a repository. */
export function readCatalogue(root: string): Catalogue {
  const files = repositoryFiles(root, 'requirements').filter(
    (name) => name.endsWith('.json') && name !== secureBootFile,
  );
  const changes = readText(root, changesFile).matchAll(/^## (CR-\d{4})\b/gm);
  return {
    areas: files.map((file) => parseArea(readJson(root, file), file)),
    secureBoot: readSecureBoot(root),
    changes: [...changes].map((match) => match[1] ?? ''),
  };
}

/** The same area with the tests that the titles name. */
export function withTests(area: Area, testsOf: ReadonlyMap<string, readonly string[]>): Area {
  return {
    ...area,
    requirements: area.requirements.map((row) => ({ ...row, tests: testsOf.get(row.id) ?? [] })),
  };
}

export function writeArea(root: string, { file, ...content }: Area): void {
  writeFileSync(path.join(root, file), `${JSON.stringify(content, undefined, 2)}\n`);
}
