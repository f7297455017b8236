/**
 * Finds clock, randomness and I/O that need no import, in the pure folders of the law.
 *
 * dependency-cruiser sees imports only; `Date.now()`, `fetch` and `process` are globals, and `randomBytes` comes
 * from a built-in that pure code may use for hashes. Reads syntax with the JavaScript interface of TypeScript 6.
 * It sees names, not values: what a caller hands in as an argument is the caller's business.
 */
import ts from 'typescript';
import { readText, repositoryFiles } from '../lib/repository.ts';
import type { Law } from './law.ts';

/** Globals that reach the world outside. */
const impureGlobals = new Set([
  'process',
  'fetch',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'console',
  'performance',
  'globalThis',
  'WebSocket',
  'XMLHttpRequest',
  'navigator',
  'require',
]);

/** Members of an allowed object that read the clock or draw random numbers. */
const impureMembers = new Set([
  'Date.now',
  'Math.random',
  'crypto.randomUUID',
  'crypto.getRandomValues',
  'Temporal.Now',
  'import.meta.dirname',
]);

/** Names that may not be imported from node:crypto by pure code. */
const impureImports = /^(?:random|getRandomValues|webcrypto|generateKey|generateKeyPair|generatePrime)/;

function importFinding(node: ts.ImportSpecifier): string | undefined {
  const name = (node.propertyName ?? node.name).text;
  const clause = node.parent.parent;
  const source = clause.parent.moduleSpecifier;
  if (!ts.isStringLiteral(source) || source.text !== 'node:crypto') return undefined;
  return impureImports.test(name) ? `import of ${name}` : undefined;
}

/** True where the identifier only names a member, a property, a type or an import: nothing is reached by it. */
function isNameOnly(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isBindingElement(parent)) return parent.propertyName === node;
  if (ts.isPropertyAssignment(parent)) return parent.name === node;
  return ts.isTypeNode(parent) || ts.isTypeElement(parent) || ts.isMethodDeclaration(parent);
}

function findingOf(node: ts.Node, declared: ReadonlySet<string>): string | undefined {
  if (ts.isImportSpecifier(node)) return importFinding(node);
  if (ts.isPropertyAccessExpression(node) && impureMembers.has(node.getText())) return node.getText();
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && (node.arguments?.length ?? 0) === 0)
    return 'new Date()';
  if (ts.isIdentifier(node) && impureGlobals.has(node.text) && !declared.has(node.text) && !isNameOnly(node))
    return node.text;
  return undefined;
}

/** Names that the file declares itself: a parameter called `process` is not the global. */
function declaredNames(source: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (
      (ts.isParameter(node) || ts.isVariableDeclaration(node) || ts.isBindingElement(node)) &&
      ts.isIdentifier(node.name)
    )
      names.add(node.name.text);
    if ((ts.isFunctionDeclaration(node) || ts.isImportSpecifier(node)) && node.name)
      names.add(node.name.text);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return names;
}

/** What reaches outside in one source text, as `line: finding`. */
export function impuritiesOf(text: string, name: string): string[] {
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.ESNext, true);
  const declared = declaredNames(source);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const finding = findingOf(node, declared);
    if (finding !== undefined) {
      const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      found.push(`${name}:${line}: pure code reaches outside: ${finding}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** All findings in the pure folders of the law. */
export function findImpurities(root: string, law: Law): string[] {
  const folders = law.flatMap((own) => own.pure.map((folder) => `${own.folder}/${folder}`));
  const files = folders.length === 0 ? [] : repositoryFiles(root, ...folders);
  return files
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => impuritiesOf(readText(root, name), name));
}
