// Every byte that netwatch gives out about requests full of secrets: files, screens, tools, the page and its
// API. What is hidden of one line is test/redact.test.ts; here it is whether each way out goes through it.
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { LOG_FILES } from '../../src/metrics/family.js';
import { Random } from '../http-framing/corpus.js';
import { chromiumPath, rowsOf, startBrowser, visit, type Page } from '../support/browser.js';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { startTop } from '../support/requests-screen.js';
import { total, type Sample } from '../support/samples.js';
import { secretLines, type SecretLine } from '../support/secrets.js';
import { startServe } from '../support/serve-process.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('python3') || unless(chromiumPath() !== '', 'no chromium');
const seed = Number(process.env['SEED'] ?? 1);
const UNTIL = { everyMs: 50 };
const PORT = 8080;
const PER_CONNECTION = 40;
/** In a header of each request: no header is ever shown. */
const COOKIE = 'q7Zp2LxVb9TnWk4s';
/** What somebody asks the endpoint itself for. */
const ASKED = 'Yh3KqT8vRm5WzB2c';

/**
 * A line of standard input is a connection: for each exchange the segments of both heads. One before them is
 * refused, for the errors.
 */
const EXCHANGES = `
import json, socket, sys
socket.socket().connect_ex(('127.0.0.1', ${PORT + 1}))
listener = socket.create_server(('127.0.0.1', ${PORT}))
def play(parts, sender, receiver):
    sent = ''.join(parts)
    for part in parts: sender.sendall(part.encode('latin1'))
    size = 0
    while size < len(sent): size += len(receiver.recv(65536))
for line in sys.stdin:
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    for end in (client, server): end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for asked, answered in json.loads(line):
        play(asked, client, server)
        play(answered, server, client)
    client.close()
    server.close()
    print('played', flush=True)
`;

type Exchange = readonly [asked: readonly string[], answered: readonly string[]];

/** A line where it belongs; `cut`: its secret is in two segments. */
function exchangeOf({ line, secret }: SecretLine, cut: boolean): Exchange {
  const isAnswer = line.startsWith('HTTP/');
  const asked = `${isAnswer ? 'GET /said HTTP/1.1' : line}\r\nCookie: sid=${COOKIE}\r\n\r\n`;
  const answered = `${isAnswer ? line : 'HTTP/1.1 200 OK'}\r\nContent-Length: 0\r\n\r\n`;
  const pieces = (head: string, isCut: boolean): string[] => {
    const at = head.indexOf(secret) + (secret.length >> 1);
    return isCut ? [head.slice(0, at), head.slice(at)] : [head];
  };
  return [pieces(asked, cut && !isAnswer), pieces(answered, cut && isAnswer)];
}

async function play(t: Test, namespace: Namespace, exchanges: readonly Exchange[]): Promise<void> {
  const program = namespace.spawn('python3', ['-c', EXCHANGES], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => program.kill('SIGKILL'));
  const played = createInterface(program.stdout!);
  for (let at = 0; at < exchanges.length; at += PER_CONNECTION) {
    program.stdin!.write(`${JSON.stringify(exchanges.slice(at, at + PER_CONNECTION))}\n`);
    await once(played, 'line');
  }
  program.stdin!.end();
}

/** Characters of a secret that must not stand together: fewer may be the mark of a service, or chance. */
const LETTERS_TOGETHER = 8;
/** Of one in two segments, whose first half may look like a word. */
const LETTERS_TOGETHER_CUT = 11;
/** Times and counts are full of digits. */
const DIGITS_TOGETHER = 14;

/** What to search for, by the form that it is a piece of; short numbers, which are everywhere, are not. */
class Forbidden {
  readonly #pieces = new Map<number, Map<string, string>>();

  add({ secret, form }: Pick<SecretLine, 'secret' | 'form'>, letters = LETTERS_TOGETHER): void {
    if (/^\d{1,9}$/.test(secret)) return;
    const least = /[a-z]/i.test(secret) ? letters : DIGITS_TOGETHER;
    const length = Math.min(least, secret.length);
    const pieces = this.#pieces.get(length) ?? new Map<string, string>();
    this.#pieces.set(length, pieces);
    for (let at = 0; at + length <= secret.length; at++)
      pieces.set(secret.slice(at, at + length), form);
  }

  /** The forms of which a piece is in the text. */
  in(text: string): string[] {
    const found = new Set<string>();
    for (const [length, pieces] of this.#pieces)
      for (let at = 0; at + length <= text.length; at++) {
        const form = pieces.get(text.slice(at, at + length));
        if (form !== undefined) found.add(form);
      }
    return [...found].sort();
  }
}

/** All that the endpoint answers: metrics, logs, what the page reads, packets of each connection. */
async function answersOf(address: string, socks: readonly string[]): Promise<string[]> {
  const now = Date.now();
  const paths = [
    '/metrics',
    ...LOG_FILES.map((log) => `/metrics/${log}?last=10000`),
    ...['status', 'snapshot', 'history', 'requests'].map((what) => `/api/v1/${what}`),
    ...socks.map((sock) => `/api/v1/requests/packets?sock=${sock}&from=${now - 600_000}&to=${now}`),
  ];
  const answers: string[] = [];
  for (const path of paths) {
    const response = await fetch(`http://${address}${path}`);
    if (!response.ok) throw new Error(`${response.status} to ${path}`);
    answers.push(await response.text());
  }
  return answers;
}

/** The page as it is drawn, with the packets of its slowest requests, and whatever it was sent. */
async function pageOf(page: Page): Promise<string> {
  const slowest = page.locator('.panel', { hasText: 'Slowest requests' });
  await slowest.locator('.pick').first().waitFor();
  await slowest.locator('.pick').first().press('Enter');
  const packets = async () => (await rowsOf(page, 'Slowest requests')).length > 20;
  await until(packets, { ...UNTIL, what: 'packets of a request' });
  return page.content();
}

const countOf = (state: readonly Sample[], side: string): number =>
  total(state, `http_${side}_request_duration_seconds_count`);

function filesOf({ dataFolder }: Collector): [string, string][] {
  return readdirSync(dataFolder).map((name) => [
    name,
    readFileSync(join(dataFolder, name), 'latin1'),
  ]);
}

const saidBy = ({ stdout, stderr }: Pick<RunningTool, 'stdout' | 'stderr'>): string =>
  Buffer.from(stdout() + stderr()).toString('latin1');

t.test('no secret leaves netwatch, whichever way it goes', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const dataFolder = temporaryFolder(t);
  chmodSync(dataFolder, 0o755); // the endpoint becomes nobody
  const options = '-x -r -t -i -e -a --verbose --ndjson --interval 1 --listen 127.0.0.1:0';
  const collector = await startCollector(t, namespace, options.split(' '), { dataFolder });
  const [, address = ''] = await until(
    () => /on http:\/\/(127\.0\.0\.1:\d+)/.exec(collector.stderr()),
    { ...UNTIL, what: 'the endpoint of the collector' },
  );
  const quiet = await startCollector(t, namespace, ['-i', '-q', '--interval', '1']);
  const serve = await startServe(t, dataFolder);
  const tools: Record<string, RunningTool> = {};
  for (const format of ['table', 'json', 'csv'])
    tools[format] = await startTool(t, namespace, 'requests', ['-o', format]);
  tools['wide'] = await startTool(t, namespace, 'requests', ['-w']);
  const screen = await startTop(t, [namespace], ['--top', '1000', '-w']);
  const browser = await startBrowser(t);
  const { page, problems } = await visit(t, browser, `http://${serve.address}/`);
  const sentToPage: Promise<string>[] = [];
  page.on('response', (response) => {
    if (!response.url().endsWith('/stream')) sentToPage.push(response.text().catch(() => ''));
  });
  const stream = new AbortController();
  const streamed: string[] = [];
  const reading = (async () => {
    const { body } = await fetch(`http://${address}/api/v1/stream`, { signal: stream.signal });
    for await (const chunk of body!) streamed.push(Buffer.from(chunk).toString('latin1'));
  })().catch(() => undefined);

  const forbidden = new Forbidden();
  forbidden.add({ secret: COOKIE, form: 'a header' });
  forbidden.add({ secret: ASKED, form: 'asked of the endpoint' });
  const exchanges: Exchange[] = [];
  for (const cut of [false, true])
    for (const one of secretLines(new Random(seed + Number(cut)), 1)) {
      exchanges.push(exchangeOf(one, cut));
      forbidden.add(one, cut ? LETTERS_TOGETHER_CUT : LETTERS_TOGETHER);
    }
  await play(t, namespace, exchanges);
  const asked = exchanges.length;
  t.comment(`${asked} requests`);
  const all = (state: readonly Sample[]): boolean =>
    ['server', 'client'].every((side) => countOf(state, side) >= asked);
  for (const one of [collector, quiet])
    await one.waitFor('netwatch.prom', all, `${asked} requests at both ends`);
  for (const [format, tool] of Object.entries(tools))
    await until(() => tool.lines().length >= 2 * asked, { ...UNTIL, what: `rows as ${format}` });
  await until(() => /\/v1\//.test(screen.picture()), { ...UNTIL, what: 'groups of requests' });

  const logged = collector.read('requests.log');
  const socks = new Set(Array.from(logged.matchAll(/sock="([^"]+)"/g), ([, sock]) => sock!));
  for (const path of [
    `/${ASKED}`,
    `/metrics?token=${ASKED}`,
    `/api/v1/requests/packets?sock=${ASKED}`,
  ])
    await fetch(`http://${serve.address}${path}`, {
      headers: { Authorization: `Bearer ${ASKED}` },
    });
  const answered = (await answersOf(address, [...socks])).join('');
  const drawn = await pageOf(page);
  t.strictSame(problems, []);
  const sent = (await Promise.all(sentToPage)).join('');
  const metrics = await serve.get('/metrics');
  stream.abort();
  await reading;
  for (const tool of [...Object.values(tools), collector, quiet]) await tool.stop();
  screen.child.kill('SIGINT');
  await screen.exited;
  await serve.stop();

  const outputs = new Map<string, string>([
    ...filesOf(collector),
    ...filesOf(quiet).map(([name, text]): [string, string] => [`quiet ${name}`, text]),
    ['the screen', saidBy(collector)],
    ['the quiet screen', saidBy(quiet)],
    ...Object.entries(tools).map(([name, tool]): [string, string] => [
      `requests as ${name}`,
      saidBy(tool),
    ]),
    ['requests --top', screen.terminal.shown()],
    ['the API', answered],
    ['the stream', streamed.join('')],
    ['the page', drawn],
    ['what the page was sent', sent],
    ["serve's own metrics", metrics],
    ["serve's log", serve.stderr()],
  ]);
  const targets = [
    ...['packets.log', 'packets.ndjson', 'requests.log', 'requests.ndjson', 'the screen'],
    ...Object.keys(tools).map((name) => `requests as ${name}`),
    ...['requests --top', 'the API', 'the page', 'what the page was sent'],
  ];
  for (const name of targets) t.match(outputs.get(name), /\/v1\//, `targets: ${name}`);
  for (const [name, text] of outputs) {
    t.strictSame(forbidden.in(text), [], `${name}: ${text.length} bytes`);
    t.not(text.length, 0, name);
  }
});
