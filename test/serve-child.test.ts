/** `netwatch --listen`: the endpoint as a child of the collector, from its command line to its end. */
import { Command } from 'commander';
import t from 'tap';
import { Endpoint, endpointCommand } from '../src/collector/endpoint.js';
import { addCollectorOptions, type CollectorOptions } from '../src/collector/options.js';
import { Repeats } from '../src/collector/repeats.js';
import { until } from './support/wait.js';

/** A child that runs this program text. */
const node = (text: string): string[] => [process.execPath, '-e', text];
const SERVES = `process.stderr.write('netwatch: serving x\\n');`;
const UNTIL_STDIN_ENDS = `process.stdin.on('end', () => process.stderr.write('bye\\n')).resume();`;

interface Heard {
  readonly lines: string[];
  readonly hooks: ConstructorParameters<typeof Endpoint>[1];
}

function listener(waits: number[] = []): Heard {
  const lines: string[] = [];
  const hooks = {
    pass: (line: string) => void lines.push(line),
    say: (message: string) => void lines.push(`said: ${message}`),
    waitMs: (failures: number) => {
      waits.push(failures);
      return 10;
    },
  };
  return { lines, hooks };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

t.test('--listen and --web-config become the command line of the child', (t) => {
  const parse = (...args: string[]): CollectorOptions =>
    addCollectorOptions(new Command())
      .action(() => undefined)
      .parse(args, { from: 'user' })
      .opts();
  const command = (...args: string[]): string[] | undefined =>
    endpointCommand(parse(...args))?.slice(2);
  t.equal(endpointCommand(parse()), null);
  const serve = ['serve', '--child', '--data'];
  t.strictSame(command('--listen'), [...serve, 'data', '--listen', '127.0.0.1:41420']);
  t.strictSame(command('--listen', ':9000', '--data', 'd'), [...serve, 'd', '--listen', ':9000']);
  const config = ['--web-config', 'web.yml'];
  const standard = [...serve, 'data', '--listen', '127.0.0.1:41420', ...config];
  t.strictSame(command('--listen', ...config), standard);
  t.match(endpointCommand(parse('--listen'))?.slice(0, 2), [process.execPath, /main\.js$/]);
  t.end();
});

t.test('what the child says is passed on, and it ends when it is told to', async (t) => {
  const { lines, hooks } = listener();
  const endpoint = new Endpoint(node(SERVES + UNTIL_STDIN_ENDS), hooks);
  const { pid } = endpoint;
  await until(() => lines.length === 1, { what: 'its ready line' });
  await endpoint.stop();
  t.strictSame(lines, ['netwatch: serving x', 'bye']);
  t.equal(pid !== null && isAlive(pid), false);
  t.equal(endpoint.pid, null);
  await endpoint.stop();
});

t.test('a child that dies is started again, with more and more patience', async (t) => {
  const waits: number[] = [];
  const { lines, hooks } = listener(waits);
  const endpoint = new Endpoint(node(`${SERVES} process.stdin.resume();`), hooks);
  for (let life = 1; life <= 3; life++) {
    await until(() => lines.filter((line) => line.includes('serving')).length === life, {
      what: `life ${life}`,
    });
    if (endpoint.pid !== null) process.kill(endpoint.pid, 'SIGKILL');
  }
  await until(() => waits.length === 3, { what: 'its third end' });
  await endpoint.stop();
  t.strictSame(waits, [1, 2, 3]);
  t.strictSame(lines.slice(0, 3), [
    'netwatch: serving x',
    'said: the endpoint ended (SIGKILL); it is started again, the collector goes on',
    'netwatch: serving x',
  ]);
  t.equal(lines.filter((line) => line.startsWith('said: ')).length, 1, 'once');
});

t.test('a child that cannot begin says why once, however often it is tried', async (t) => {
  const waits: number[] = [];
  const { lines, hooks } = listener(waits);
  const text = `process.stderr.write('netwatch: no\\n  do that\\n'); process.exitCode = 3;`;
  const endpoint = new Endpoint(node(text), hooks);
  await until(() => waits.length === 3, { what: 'three tries' });
  await endpoint.stop();
  t.strictSame(lines, [
    'netwatch: no',
    '  do that',
    'said: the endpoint ended (exit code 3); it is started again, the collector goes on',
  ]);
});

/** At a signal says something that it has said before, and then something new. */
const COMPLAINS = `
  let count = 0;
  process.on('SIGUSR2', () =>
    process.stderr.write(\`netwatch: broken\\n  fix it\\nnetwatch: \${++count} heard\\n\`));
  process.stdin.on('end', () => process.exit()).resume();
  process.stderr.write('netwatch: serving x\\n');`;

t.test('what a child says again is passed on after a minute, with a count', async (t) => {
  const { lines, hooks } = listener();
  let nowMs = 0;
  const endpoint = new Endpoint(node(COMPLAINS), { ...hooks, now: () => nowMs });
  t.teardown(() => endpoint.stop());
  await until(() => lines.length === 1, { what: 'it is ready' });
  let signals = 0;
  const complaints = async (atMs: number): Promise<string[]> => {
    nowMs = atMs;
    const from = lines.length;
    process.kill(endpoint.pid ?? 0, 'SIGUSR2');
    signals += 1;
    await until(() => lines.includes(`netwatch: ${signals} heard`), { what: `signal ${signals}` });
    return lines.slice(from, -1);
  };
  t.strictSame(await complaints(1000), ['netwatch: broken', '  fix it']);
  t.strictSame(await complaints(2000), [], 'neither it nor what to do');
  t.strictSame(await complaints(60_999), []);
  const counted = 'netwatch: broken (2 more since it was last shown)';
  t.strictSame(await complaints(61_000), [counted, '  fix it']);
  t.strictSame(await complaints(200_000), ['netwatch: broken', '  fix it'], 'none between');
});

t.test('a child that worked is heard like a new one', async (t) => {
  const { lines, hooks } = listener();
  let nowMs = 0;
  const endpoint = new Endpoint(node(COMPLAINS), { ...hooks, now: () => nowMs });
  t.teardown(() => endpoint.stop());
  const ended = 'said: the endpoint ended (SIGKILL); it is started again, the collector goes on';
  for (const [life, livedMs] of [1, 60_001, 1].entries()) {
    const ready = (): string[] => lines.filter((line) => line === 'netwatch: serving x');
    await until(() => ready().length === life + 1, { what: `life ${life}` });
    nowMs += livedMs;
    process.kill(endpoint.pid ?? 0, 'SIGKILL');
  }
  await until(() => lines.at(-1) === 'netwatch: serving x', { what: 'the last life' });
  const said = lines.filter((line) => line.startsWith('said: '));
  t.strictSame(said, [ended, ended], 'the first, and the one after a minute without a fault');
});

t.test('no number of different messages fills the memory', (t) => {
  let nowMs = 0;
  const repeats = new Repeats(() => nowMs);
  for (let n = 0; n < 1000; n++) t.equal(repeats.take(`message ${n}`), `message ${n}`);
  t.equal(repeats.size, 64);
  t.equal(repeats.take('message 999'), null, 'the newest are remembered');
  t.equal(repeats.take('message 0'), 'message 0', 'the oldest are not');
  nowMs = 60_000;
  t.equal(repeats.take('new'), 'new');
  t.equal(repeats.size, 2, 'over, but for what waits to be counted');
  repeats.forget();
  t.equal(repeats.take('message 999'), 'message 999');
  t.end();
});

t.test('a program that is not there ends like one that dies', async (t) => {
  const waits: number[] = [];
  const { lines, hooks } = listener(waits);
  const endpoint = new Endpoint(['/no/such/program'], hooks);
  await until(() => waits.length === 2, { what: 'two tries' });
  await endpoint.stop();
  t.match(lines, [/^said: the endpoint ended \(spawn \/no\/such\/program ENOENT\)/]);
});
