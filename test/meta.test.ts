/**
 * Rules of the code base that no compiler knows: layering, length, what every kernel program says of
 * itself, how tests are named, what the npm package holds. Each rule is a function from a file to
 * complaints, tried first on a file that breaks it, so that none can pass by never looking.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import ts from 'typescript';

interface File {
  readonly path: string;
  readonly text: string;
}
type Rule = (file: File) => string[];

const root = resolve(import.meta.dirname, '..');

/** The project's own text files below some folders; not what is generated or installed. */
function filesIn(...folders: string[]): File[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
        (name) => `${folder}/${name}`,
      ),
    )
    .filter((path) => statSync(join(root, path)).isFile() && !path.endsWith('.bpf.o'))
    .map(read)
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
const read = (path: string): File => ({ path, text: readFileSync(join(root, path), 'utf8') });
const isTypeScript = ({ path }: File): boolean => path.endsWith('.ts');
const isGenerated = ({ path }: File): boolean =>
  /^src\/generated\/|^bpf\/include\/vmlinux\/.+\//.test(path);

const source = filesIn('src');
const bpf = filesIn('bpf').filter((file) => !isGenerated(file));
const scripts = filesIn('scripts', '.ci');
const tests = filesIn('test');
const top = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name !== 'netwatch' && !entry.name.endsWith('.tgz'))
  .map((entry) => read(entry.name));

/** Checks a rule on files that break it, then on the tree. */
function hold(t: Test, rule: Rule, files: readonly File[], ...broken: readonly File[]): void {
  for (const file of broken) {
    t.not(rule(file).length, 0, `the rule sees what is wrong with this ${file.path}`);
  }
  t.not(files.length, 0, 'there are files to check');
  t.strictSame(files.flatMap(rule), []);
}

function imports(file: File): string[] {
  const found = ts.preProcessFile(file.text, true, true).importedFiles.map((i) => i.fileName);
  return found.map((name) =>
    name.startsWith('.') ? join(file.path, '..', name) : name.replace(/^node:/, ''),
  );
}

function walk(file: File, visit: (node: ts.Node, line: number) => void): void {
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  const step = (node: ts.Node): void => {
    visit(node, tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1);
    ts.forEachChild(node, step);
  };
  step(tree);
}

t.test('only src/kernel knows koffi', (t) => {
  const rule: Rule = (file) =>
    imports(file)
      .filter((name) => name === 'koffi' && !file.path.startsWith('src/kernel/'))
      .map(() => `${file.path} imports koffi`);
  hold(t, rule, [...source, ...scripts].filter(isTypeScript), {
    path: 'src/sinks/x.ts',
    text: `const k = await import('koffi');`,
  });
  t.end();
});

/**
 * The layers: what a folder (or a file of src itself) may import from, besides itself. One way down:
 * a folder stands below all that may import from it, so there can be no circle.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'tcp-insight.ts': ['main.ts'],
  'main.ts': ['command-line.ts', 'process'],
  'command-line.ts': ['program.ts', 'process', 'failure.ts'],
  'program.ts': ['collector', 'cli', 'commands.ts', 'symptoms.ts', 'terminal', 'version.ts'],
  doctor: [
    ...['collector', 'commands.ts', 'terminal', 'cli', 'sources', 'sinks', 'kernel'],
    'failure.ts',
  ],
  'commands.ts': ['terminal'],
  collector: [
    ...[
      'collector/*',
      'process',
      'cli',
      'sources',
      'http',
      'sinks',
      'generated',
      'kernel',
      'metrics',
    ],
    ...['version.ts', 'failure.ts'],
  ],
  // What stands in the state file, a file for each subject.
  'collector/*': ['process', 'sources', 'sinks', 'generated', 'kernel', 'metrics', 'version.ts'],
  serve: ['terminal', 'process', 'cli', 'sources', 'http', 'sinks', 'metrics', 'failure.ts'],
  export: ['terminal', 'process', 'cli', 'sinks', 'metrics', 'failure.ts'],
  tools: ['tools/*', 'terminal', 'cli', 'sources', 'http', 'metrics', 'failure.ts'],
  // A topic's columns and arithmetic.
  'tools/*': [
    ...['terminal', 'process', 'cli', 'sources', 'http', 'sinks', 'dns', 'generated', 'kernel'],
    ...['metrics', 'failure.ts'],
  ],
  terminal: ['process', 'cli', 'sources', 'sinks', 'kernel', 'metrics', 'failure.ts'],
  // Start, announcement, end and standard streams of whatever runs until it is told to end.
  process: ['sinks', 'kernel'],
  cli: ['sources', 'failure.ts'],
  sources: ['dns', 'generated', 'http', 'kernel', 'metrics', 'failure.ts'],
  sinks: ['kernel', 'metrics', 'failure.ts'],
  http: ['metrics'],
  dns: ['kernel'],
  generated: ['kernel'],
  kernel: ['metrics', 'failure.ts'],
  metrics: [],
  'failure.ts': [],
  'symptoms.ts': [],
  'version.ts': [],
  // Runs in a browser: shares with the endpoint the types of what it reads, and nothing else.
  page: ['page/*', 'serve'],
  'page/*': ['page', 'page/*', 'serve'],
};

/** `sinks` for src/sinks/x.ts, `tools/*` for src/tools/life/x.ts, `main.ts` for src/main.ts. */
function layerOf(path: string): string {
  const [top = '', ...rest] = path.replace(/^src\//, '').split('/');
  const isDivided = `${top}/*` in LAYERS;
  return rest.length > 1 && isDivided ? `${top}/*` : top;
}

/** The folder that a file is in: topics of one layer are folders of their own. */
const folderOf = (path: string): string =>
  path.split('/').length > 2 ? path.slice(0, path.lastIndexOf('/')) : path;

t.test('a folder imports only from the folders below it', (t) => {
  const rule: Rule = (file) => {
    const layer = layerOf(file.path);
    const allowed = LAYERS[layer];
    if (allowed === undefined) return [`${file.path}: the layer ${layer} is not in the table`];
    return imports(file)
      .map((name) => name.replace(/\.js$/, '.ts'))
      .filter((name) => name.startsWith('src/') && folderOf(name) !== folderOf(file.path))
      .filter((name) => !allowed.includes(layerOf(name)))
      .map((name) => `${file.path} imports ${name}`);
  };
  const breaking = (path: string, text: string): File => ({ path, text });
  hold(
    t,
    rule,
    source.filter(isTypeScript),
    breaking('src/sinks/x.ts', `import { y } from '../terminal/y.js';`),
    breaking('src/kernel/x.ts', `const y = await import('../sources/y.js');`),
    breaking('src/collector/x.ts', `import type { Y } from '../serve/y.js';`),
    breaking('src/tools/life/x.ts', `export { y } from '../loss/y.js';`),
    breaking('src/new/x.ts', `import { y } from '../metrics/y.js';`),
  );
  t.end();
});

t.test('the table of layers has no circle, and names nothing that is not there', (t) => {
  const circlesOf = (layers: Readonly<Record<string, readonly string[]>>): string[] => {
    const found: string[] = [];
    const done = new Set<string>();
    const visit = (layer: string, path: readonly string[]): void => {
      if (path.includes(layer)) found.push([...path, layer].join(' -> '));
      if (path.includes(layer) || done.has(layer)) return;
      for (const below of layers[layer] ?? []) visit(below, [...path, layer]);
      done.add(layer);
    };
    for (const layer of Object.keys(layers)) visit(layer, []);
    return found;
  };
  t.strictSame(circlesOf({ a: ['b'], b: ['c'], c: ['a'] }), ['a -> b -> c -> a']);
  const program = Object.entries(LAYERS).filter(([layer]) => !layer.startsWith('page'));
  t.strictSame(circlesOf(Object.fromEntries(program)), []);
  const used = new Set(source.filter(isTypeScript).map(({ path }) => layerOf(path)));
  t.strictSame(Object.keys(LAYERS).sort(), [...used].sort());
  t.end();
});

t.test('hand-written files are short enough to read in one go', (t) => {
  const rule: Rule = (file) => {
    const lines = file.text.split('\n').length - 1;
    const limit = file.path.startsWith('test/') ? 800 : 400;
    return lines > limit ? [`${file.path} has ${lines} lines; ${limit} is the limit`] : [];
  };
  const files = [...source, ...bpf, ...scripts, ...tests].filter((file) => !isGenerated(file));
  hold(t, rule, files, { path: 'src/x.ts', text: '\n'.repeat(401) });
  t.end();
});

t.test('every source file begins by saying what it is for', (t) => {
  const rule: Rule = (file) =>
    /^(#!.*\n)?(\/\*|\/\/)/.test(file.text) ? [] : [`${file.path} has no opening comment`];
  const files = [...source, ...scripts, ...tests].filter(isTypeScript);
  hold(t, rule, files, { path: 'src/x.ts', text: `import x from 'y';` });
  t.end();
});

t.test('the type any stays inside the FFI boundary', (t) => {
  const rule: Rule = (file) => {
    const found: string[] = [];
    if (file.path === 'src/kernel/ffi.ts') return found;
    walk(file, (node, line) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`${file.path}:${line}: any`);
    });
    return found;
  };
  const files = [...source, ...scripts, ...tests].filter(isTypeScript);
  hold(t, rule, files, { path: 'src/x.ts', text: 'const x: Array<any> = [];' });
  t.end();
});

const SPDX = 'SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause';

t.test('every kernel source carries its licence, and what it traces, emits and costs', (t) => {
  const rule: Rule = (file) => {
    const found: string[] = [];
    const head = /^[^\n]*\n\s*\/\*(.*?)\*\//s.exec(file.text)?.[1] ?? '';
    if (!file.text.split('\n', 1)[0]?.includes(SPDX)) found.push(`${file.path}: no licence line`);
    if (head === '') found.push(`${file.path}: no header comment`);
    if (!file.path.endsWith('.bpf.c')) return found;
    for (const word of ['Traces', 'Emits', 'Cost']) {
      if (!new RegExp(`^\\s*\\*?\\s*${word}\\b`, 'm').test(head))
        found.push(`${file.path}: the header comment has no line "${word}"`);
    }
    if (!/SEC\("license"\) = "Dual BSD\/GPL"/.test(file.text))
      found.push(`${file.path}: the object does not declare "Dual BSD/GPL"`);
    return found;
  };
  const files = bpf.filter(({ path }) => /\.[ch]$/.test(path));
  hold(t, rule, files, { path: 'bpf/x.bpf.c', text: `// ${SPDX}\n/*\n * Traces x\n */\n` });
  t.end();
});

t.test('no file names a package host or a path of the machine it was written on', (t) => {
  const HOST = /(registry|deb|mirror)[a-z]*\.[a-z.]+\.(org|net|com)/;
  const deep = root.split('/').length > 2; // a checkout in /src says nothing
  const rule: Rule = ({ path, text }) =>
    [
      HOST.exec(text)?.[0],
      /\/(home|Users)\/\w+\//.exec(text)?.[0],
      /\.\.\/shared\b/.exec(text)?.[0],
    ]
      .concat(deep && text.includes(`${root}/`) ? root : undefined)
      .filter((match) => match !== undefined)
      .map((match) => `${path} names ${match}`);
  const broken = [
    ['see ', 'home', 'me', 'x'].join('/'),
    ['http://deb', 'example', 'org'].join('.'),
  ];
  const files = [...source, ...bpf, ...scripts, ...tests, ...top];
  hold(t, rule, files, ...broken.map((text) => ({ path: 'x', text })));
  t.end();
});

t.test('the name of every test is a sentence', (t) => {
  const rule: Rule = (file) => {
    const found: string[] = [];
    walk(file, (node, line) => {
      if (!ts.isCallExpression(node) || !/(^|\.)test$/.test(node.expression.getText())) return;
      const name = node.arguments[0];
      if (!name || !(ts.isStringLiteralLike(name) || ts.isTemplateExpression(name))) return;
      const words = name.getText().slice(1, -1).trim().split(/\s+/);
      if (words.length < 3) found.push(`${file.path}:${line}: ${name.getText()} is no sentence`);
    });
    return found;
  };
  const files = tests.filter(({ path }) => path.endsWith('.test.ts'));
  hold(t, rule, files, { path: 'test/x.test.ts', text: `t.test('rotation', () => {});` });
  t.end();
});

t.test('no test is switched off or run alone', (t) => {
  const rule: Rule = (file) => {
    const found: string[] = [];
    walk(file, (node, line) => {
      const text = node.getText();
      if (ts.isPropertyAssignment(node) && /^(skip|todo|only): *true$/.test(text))
        found.push(`${file.path}:${line}: ${text}, without a reason`);
      if (ts.isCallExpression(node) && /(^|\.)only$/.test(node.expression.getText()))
        found.push(`${file.path}:${line}: ${node.expression.getText()}`);
    });
    return found;
  };
  const files = tests.filter(({ path }) => path.endsWith('.test.ts'));
  hold(t, rule, files, { path: 'test/x.test.ts', text: `t.test('a b c', { skip: true }, f);` });
  t.end();
});

interface Packed {
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

const isPage = ({ path }: File): boolean => path.startsWith('src/page/');
const programs = source
  .filter((file) => isTypeScript(file) && !isPage(file))
  .map(({ path }) => path.replace(/^src(.*)\.ts$/, 'build$1.js'));
const objects = bpf
  .filter(({ path }) => path.endsWith('.bpf.c'))
  .map(({ path }) => path.replace(/c$/, 'o'));
const page = ['index.html', 'page.css', 'page.js'].map((name) => `build/page/${name}`);
const missing = [...programs, ...objects, ...page].filter((path) => !existsSync(join(root, path)));
const notBuilt = missing.length > 0 && process.env['NETWATCH_STRICT'] !== '1';
const skip = notBuilt && `run make first: ${String(missing.length)} built files are missing`;

t.test(
  'the npm package holds the program, the objects, the licence, nothing else',
  { skip },
  (t) => {
    const documents = [
      ...['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json'],
      ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
    ];
    const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const packed = (JSON.parse(json) as Packed[])[0];
    const paths = packed?.files.map((file) => file.path).sort();
    t.strictSame(paths, [...programs, ...objects, ...page, ...documents].sort());
    const main = packed?.files.find((file) => file.path === 'build/main.js');
    t.equal(main?.mode, 0o755, 'the program can be executed');
    t.ok(packed && packed.size < 4 << 20, `the package is small: ${packed?.size} bytes`);
    t.end();
  },
);
