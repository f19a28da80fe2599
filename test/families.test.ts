/**
 * Every family and every word of a closed label is written by some code. Seen through the types of
 * the calls that write: a family that only its declaration knows is a promise nobody keeps.
 */
import { join, relative, resolve } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { ExchangeText } from '../src/collector/exchange-text.js';
import { ByteWriter } from '../src/metrics/bytes.js';
import { FAMILIES, LABEL_VALUES } from '../src/metrics/families.js';
import { packetLine, packetPrefix } from '../src/metrics/lines.js';
import { parseSample } from '../src/metrics/sample.js';
import { RequestLines } from '../src/sources/request-lines.js';
import { CLIENT, exchangeRecord, headRecord, SERVER } from './support/exchanges.js';

const root = resolve(import.meta.dirname, '..');

/** Families by the file that writes them, and the words that their labels are given. */
interface Written {
  readonly families: Map<string, Set<string>>;
  readonly labels: Map<string, Set<string>>;
}

/** Where the arguments are: by the file that declares the function, and its name. */
const WRITERS: Readonly<Record<string, readonly [family: number, labels: number]>> = {
  'src/metrics/snapshot.ts add': [0, 1],
  'src/metrics/snapshot.ts histogram': [0, 1],
  'src/metrics/snapshot.ts #column': [0, -1],
  'src/metrics/lines.ts logLine': [1, 2],
};

/** Their names alone, as asking the compiler about every call takes seconds. */
const CALLED = /(^|\.)(add|histogram|#column|logLine)$/;

function program(): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) =>
    ts.sys.readFile(path),
  ) as { config: unknown };
  const { fileNames, options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  return ts.createProgram(fileNames, { ...options, noEmit: true });
}

const parts = (type: ts.Type): readonly ts.Type[] => (type.isUnion() ? type.types : [type]);
/** The words that a value of this type can be; empty: any. */
const wordsOf = (type: ts.Type): string[] =>
  parts(type).flatMap((part) => (part.isStringLiteral() ? [part.value] : []));

const compiled = program();
const checker = compiled.getTypeChecker();
const files = compiled
  .getSourceFiles()
  .filter(({ fileName }) => fileName.startsWith(join(root, 'src/')));
const pathOf = (file: ts.SourceFile): string => relative(root, file.fileName);

/** As declared: the name that a generic function passes on is no word of its own. */
function declaredType(expression: ts.Expression): ts.Type {
  const symbol = ts.isIdentifier(expression) && checker.getSymbolAtLocation(expression);
  return symbol ? checker.getTypeOfSymbol(symbol) : checker.getTypeAtLocation(expression);
}

function each(file: ts.SourceFile, visit: (node: ts.Node) => void): void {
  const step = (node: ts.Node): void => {
    visit(node);
    ts.forEachChild(node, step);
  };
  step(file);
}

function add(to: Map<string, Set<string>>, key: string, words: readonly string[]): void {
  to.set(key, new Set([...(to.get(key) ?? []), ...words]));
}

function addLabels(to: Written['labels'], labels: ts.Expression): void {
  for (const part of parts(checker.getTypeAtLocation(labels)))
    for (const label of checker.getPropertiesOfType(part))
      add(to, label.name, wordsOf(checker.getTypeOfSymbolAtLocation(label, labels)));
}

/** What the packets' own line has, which is written without a call for each label. */
function addPackets({ families, labels }: Written): void {
  const out = new ByteWriter(1);
  const packet = {
    seq: 1,
    ack: 2,
    received: true,
    retransmitted: true,
    macNs: 1,
    ipNs: 2,
    tcpNs: 3,
    reorderNs: 4,
    httpInfo: 'GET /',
  };
  const all = { ...packet, lengthBytes: 1, timestampMs: 1 };
  packetLine(out, packetPrefix('s', 'a', 'b'), all, { times: true, http: true });
  const sample = parseSample(out.view().toString().trimEnd());
  add(families, 'src/metrics/lines.ts', [sample.name]);
  for (const [name] of sample.labels) add(labels, name, []);
}

/** The same of a request's line, at both ends and with all that can be known. */
function addExchanges({ families, labels }: Written): void {
  const inside = {
    ...{ reorderingNs: 1, runQueueNs: 1, sendBufferNs: 1, sendRetransmitNs: 1 },
    ...{ waitRetransmitNs: 1, networkNs: 1, deliveryNs: 1, receiveWindowNs: 1 },
  };
  const full = { partNs: [1, 1, 1, 1, 1, 1], inside, early: true, unexplained: 1 };
  const lines = new RequestLines();
  lines.add(headRecord(), 0);
  for (const role of [SERVER, CLIENT]) {
    const text = new ExchangeText(new ByteWriter(1), () => 1);
    const record = exchangeRecord({ ...full, role });
    text.add(record, 0, lines.pathIn(lines.takeSlot(record, 0)), 1);
    const sample = parseSample(text.lines.view().toString().trimEnd());
    add(families, 'src/collector/exchange-text.ts', [sample.name]);
    for (const [name] of sample.labels) add(labels, name, []);
  }
}

function written(): Written {
  const found: Written = { families: new Map(), labels: new Map() };
  for (const file of files)
    each(file, (node) => {
      if (!ts.isCallExpression(node) || !CALLED.test(node.expression.getText())) return;
      const { declaration } = checker.getResolvedSignature(node) ?? {};
      if (declaration === undefined || !('name' in declaration)) return;
      const name = (declaration.name as ts.Node | undefined)?.getText() ?? '';
      const [family, labels] = WRITERS[`${pathOf(declaration.getSourceFile())} ${name}`] ?? [
        -1, -1,
      ];
      const argument = node.arguments[family];
      if (argument === undefined) return;
      const names = wordsOf(declaredType(argument));
      add(found.families, pathOf(file), names);
      const set = node.arguments[labels];
      if (set !== undefined && names.length > 0) addLabels(found.labels, set);
    });
  addPackets(found);
  addExchanges(found);
  return found;
}

const found = written();

function deadFamilies(declared: readonly string[]): string[] {
  const names = new Set([...found.families.values()].flatMap((some) => [...some]));
  return declared.filter((name) => !names.has(name));
}

function deadLabels(declared: Readonly<Record<string, { optional: readonly string[] }>>): string[] {
  const names = Object.values(declared).flatMap(({ optional }) => optional);
  return names.filter((label) => !found.labels.has(label));
}

function deadWords(declared: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(declared).flatMap(([label, words]) =>
    words.filter((word) => found.labels.get(label)?.has(word) !== true).map((w) => `${label}=${w}`),
  );
}

t.test('every family is written by some code', (t) => {
  t.strictSame(deadFamilies(['netwatch_tcp_sockets', 'netwatch_nothing']), ['netwatch_nothing']);
  t.strictSame(deadFamilies(Object.keys(FAMILIES)), []);
  t.end();
});

t.test('every optional label is written by some code', (t) => {
  const broken = { x: { optional: ['error_type', 'server_address'] } };
  t.strictSame(deadLabels(broken), ['server_address']);
  t.strictSame(deadLabels(FAMILIES), []);
  t.end();
});

t.test('every word of a closed label is written by some code', (t) => {
  const broken = { stage: ['queue', 'ratelimit'], url_scheme: ['http', 'https'] };
  t.strictSame(deadWords(broken), ['stage=ratelimit', 'url_scheme=https']);
  t.strictSame(deadWords(LABEL_VALUES), []);
  t.end();
});

t.test('a part of the state file declares what it writes, no more and no less', (t) => {
  let declared = 0;
  for (const file of files)
    each(file, (node) => {
      if (!ts.isTypeAliasDeclaration(node) || node.name.text !== 'Writes') return;
      const [families] = ts.isTypeReferenceNode(node.type) ? (node.type.typeArguments ?? []) : [];
      if (families === undefined) throw new Error(`${pathOf(file)}: Writes is no Part<…>`);
      declared += 1;
      const names = wordsOf(checker.getTypeFromTypeNode(families));
      t.strictSame(
        [...(found.families.get(pathOf(file)) ?? [])].sort(),
        names.sort(),
        pathOf(file),
      );
    });
  const writers = [...found.families.keys()].filter((path) =>
    path.startsWith('src/collector/state/'),
  );
  t.equal(declared, writers.length);
  t.end();
});
