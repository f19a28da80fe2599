/**
 * Every exported function, value and class has somebody who imports it: another program, or a test
 * whose unit it is, which the file itself uses too. Types are left out: those that a signature names
 * are part of it, whether somebody writes them down or not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import ts from 'typescript';

interface File {
  readonly path: string;
  readonly text: string;
}

const root = resolve(import.meta.dirname, '..');

const files: readonly File[] = ['src', 'scripts', 'test'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name))
    .map((name) => `${folder}/${name}`)
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
);

/** What a file offers, what it takes from others as `FILE NAME`, and how often it has each word. */
interface Reading {
  readonly offers: readonly string[];
  readonly takes: readonly string[];
  readonly words: ReadonlyMap<string, number>;
}

const textOf = (node: ts.Node | undefined): string =>
  node !== undefined && ts.isStringLiteralLike(node) ? node.text : '';

function hasModifier(node: ts.Node, kind: ts.SyntaxKind): boolean {
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some((modifier) => modifier.kind === kind);
}

/** The names of a declaration of functions, values or classes that is exported, but not by default. */
function exportedBy(node: ts.Node): string[] {
  if (!hasModifier(node, ts.SyntaxKind.ExportKeyword)) return [];
  if (hasModifier(node, ts.SyntaxKind.DefaultKeyword)) return [];
  if (ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node))
    return node.name ? [node.name.text] : [];
  if (!ts.isVariableStatement(node)) return [];
  return node.declarationList.declarations.flatMap(({ name }) =>
    ts.isIdentifier(name)
      ? [name.text]
      : name.elements.flatMap((e) => ('name' in e ? [e.name.getText()] : [])),
  );
}

const nameIn = ({ propertyName, name }: ts.ImportSpecifier | ts.ExportSpecifier): string =>
  (propertyName ?? name).text;

/** Names that `const { … } = await import()`, `(await import()).x` or `as { x }` takes; null: all as one. */
function takenFrom(call: ts.CallExpression): string[] | null {
  let node: ts.Node = call.parent;
  while (ts.isAwaitExpression(node) || ts.isParenthesizedExpression(node)) node = node.parent;
  if (ts.isAsExpression(node) && ts.isTypeLiteralNode(node.type))
    return node.type.members.flatMap((member) => member.name?.getText() ?? []);
  if (ts.isPropertyAccessExpression(node)) return [node.name.text];
  if (!ts.isVariableDeclaration(node) || ts.isIdentifier(node.name)) return null;
  return node.name.elements.flatMap((e) =>
    ts.isBindingElement(e) ? [(e.propertyName ?? e.name).getText()] : [],
  );
}

function read({ path, text }: File): Reading {
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const offers: string[] = [];
  const takes: string[] = [];
  const words = new Map<string, number>();
  /** Modules by the name that stands for all of one. */
  const spaces = new Map<string, string>();
  /** `*` where only the running program knows which file. */
  const take = (from: string, names: readonly string[]): void => {
    const file = from.startsWith('.')
      ? join(path, '..', from)
          .replace(/^build\//, 'src/')
          .replace(/\.js$/, '.ts')
      : '*';
    takes.push(...names.map((name) => `${file} ${name}`));
  };
  const visit = (node: ts.Node): void => {
    offers.push(...exportedBy(node));
    if (ts.isIdentifier(node)) words.set(node.text, (words.get(node.text) ?? 0) + 1);
    if (ts.isImportDeclaration(node)) {
      const { namedBindings: named } = node.importClause ?? {};
      const from = textOf(node.moduleSpecifier);
      if (named && ts.isNamedImports(named)) take(from, named.elements.map(nameIn));
      if (named && ts.isNamespaceImport(named)) spaces.set(named.name.text, from);
    }
    if (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)) {
      if (node.moduleSpecifier)
        take(textOf(node.moduleSpecifier), node.exportClause.elements.map(nameIn));
    }
    if (ts.isImportTypeNode(node) && node.qualifier && ts.isLiteralTypeNode(node.argument))
      take(textOf(node.argument.literal), [node.qualifier.getText()]);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const names = takenFrom(node);
      if (names !== null) take(textOf(node.arguments[0]), names);
      else {
        const holder = ts.findAncestor(node, ts.isVariableDeclaration);
        if (holder) spaces.set(holder.name.getText(), textOf(node.arguments[0]));
      }
    }
    if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      const from = spaces.get(node.expression.text);
      if (from !== undefined) take(from, [node.name.text]);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return { offers, takes, words };
}

function deadExports(all: readonly File[]): string[] {
  const readings = new Map(all.map((file) => [file.path, read(file)]));
  const takers = new Map<string, string[]>();
  for (const [path, { takes }] of readings)
    for (const name of takes) takers.set(name, [...(takers.get(name) ?? []), path]);
  return [...readings].flatMap(([path, { offers, words }]) =>
    offers
      .filter((name) => {
        const by = [...(takers.get(`${path} ${name}`) ?? []), ...(takers.get(`* ${name}`) ?? [])];
        const isOnlyTested = path.startsWith('src/') && by.every((one) => one.startsWith('test/'));
        return by.length === 0 || (isOnlyTested && (words.get(name) ?? 0) < 2);
      })
      .map((name) => `${path}: nobody needs the export ${name}`),
  );
}

t.test('no export is left that nobody imports', (t) => {
  const broken = [
    { path: 'src/a.ts', text: 'export const used = 1; export const dead = used;' },
    { path: 'src/b.ts', text: `export function tested() {}\nexport const unit = 1;\nunit;` },
    { path: 'src/c.ts', text: `import { used } from './a.js'; export class Lazy {}` },
    { path: 'src/d.ts', text: `const { Lazy } = await import('./c.js');` },
    { path: 'test/b.test.ts', text: `import { tested, unit } from '../src/b.js';` },
  ];
  t.strictSame(deadExports(broken), [
    'src/a.ts: nobody needs the export dead',
    'src/b.ts: nobody needs the export tested',
  ]);
  // What a kernel program has is written down whether somebody reads it or not.
  t.strictSame(
    deadExports(files).filter((line) => !line.startsWith('src/generated/')),
    [],
  );
  t.end();
});
