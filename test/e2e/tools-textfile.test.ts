// The .prom files of the collector and of all tools in one directory: one exposition, to node_exporter
// and to the endpoint, and no two writers of one file.
import { execFile } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { commandNames, loadCommand } from '../../src/commands.js';
import { PROGRAM, startCollector, temporaryFolder } from '../support/collector.js';
import { promtool } from '../support/exposition.js';
import { createNamespace } from '../support/netns.js';
import { parseExposition, type Sample } from '../support/samples.js';
import { startServe } from '../support/serve-process.js';
import { startNodeExporter } from '../support/servers.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { runTcp } from '../support/traffic.js';

const skip = needsRoot || needsCommands('promtool', 'prometheus-node-exporter');
const CONNECTIONS = 7;
/** Each takes half a second of CPU to start. */
const AT_A_TIME = 4;
/** All there is from everybody. */
const COLLECTOR = ['-x', '-r', '-t', '-i', '-e', '--quiet', '--interval', '3600'];

/** The tools that keep a file, with what they do not start without. */
const keeping = (await Promise.all(commandNames().map(loadCommand)))
  .filter(({ trial }) => trial !== undefined)
  .map((tool) => ({ name: tool.name, options: tool.command().options }))
  .filter(({ options }) => options.some(({ long }) => long === '--data'))
  .map(({ name, options }) => ({
    name,
    args: options.some(({ mandatory }) => mandatory) ? ['-n', 'lo'] : [],
  }));

/** By name and labels; an empty label is none. */
function bySeries(samples: readonly Sample[]): Map<string, number> {
  return new Map(
    samples.map(({ name, labels, value }) => {
      const own = Object.entries(labels).filter(([, text]) => text !== '');
      return [JSON.stringify([name, own.sort()]), value] as const;
    }),
  );
}

t.test('files of all tools and the collector are one exposition', { skip }, async (t) => {
  t.strictSame(
    keeping.map(({ name }) => name).sort(),
    [
      ...['insight', 'netqtop', 'nic_throughput', 'softirqs', 'tcp_bytes', 'tcpcong', 'tcpretrans'],
      ...['tcprtt', 'tcpsubnet', 'tcpsynbl', 'tcptop'],
    ],
    'a new tool that keeps a file belongs here too',
  );
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755); // the endpoint gives up root
  const collector = await startCollector(t, namespace, COLLECTOR, { dataFolder: folder });
  const tools: RunningTool[] = [];
  for (let from = 0; from < keeping.length; from += AT_A_TIME)
    tools.push(
      ...(await Promise.all(
        keeping
          .slice(from, from + AT_A_TIME)
          .map(({ name, args }) =>
            startTool(t, namespace, name, [...args, '-o', 'json', '--data', folder]),
          ),
      )),
    );
  await runTcp(namespace, { connections: CONNECTIONS });
  for (const tool of tools) t.strictSame(await tool.stop(), { code: 0, signal: null });
  t.match(await collector.stop(), { code: 0 });

  const files = readdirSync(folder).filter((name) => name.endsWith('.prom'));
  t.strictSame(
    files.sort(),
    [...keeping.map(({ name }) => `${name}.prom`), 'netwatch.prom'].sort(),
    'each has written its file',
  );
  const samples = files.flatMap(
    (file) => parseExposition(readFileSync(join(folder, file), 'utf8')).samples,
  );
  const written = bySeries(samples);
  t.equal(written.size, samples.length, 'no series is in two files');
  t.ok(written.size > 300, `${written.size} series`);

  const exporter = await startNodeExporter(t, folder);
  const endpoint = await startServe(t, folder);
  for (const [reader, address] of [
    ['node_exporter', exporter.address],
    ['the endpoint', endpoint.address],
  ] as const) {
    const answer = await fetch(`http://${address}/metrics`);
    const body = await answer.text();
    t.equal(answer.status, 200, `${reader} answers`);
    t.strictSame(promtool(body), { code: 0, said: '' }, `promtool finds nothing from ${reader}`);
    const served = bySeries(parseExposition(body).samples);
    const others = [...written].filter(([series, value]) => !Object.is(served.get(series), value));
    t.strictSame(others, [], `${reader} has every series with its value`);
  }
  t.match(await (await fetch(`http://${exporter.address}/metrics`)).text(), /_scrape_error 0\n/);
  t.notMatch(exporter.log(), /level=error|collected before|inconsistent/);
  t.notMatch(endpoint.stderr(), /left out/);
});

t.test('a second run of a tool in one directory is refused', { skip: needsRoot }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const args = ['-o', 'json', '--data', folder];
  const first = await startTool(t, namespace, 'tcptop', args);
  const line = [PROGRAM, 'tcptop', '--netns', namespace.name, ...args, '--duration', '1'];
  const second = promisify(execFile)(process.execPath, line);
  await t.rejects(second, {
    code: 3,
    stdout: '',
    stderr:
      `netwatch: tcptop already running with pid ${first.pid} in ${folder}\n` +
      '  stop it, or give this one a directory of its own with --data DIR\n',
  });
  await startTool(t, namespace, 'tcp_bytes', args);
  await runTcp(namespace, { connections: CONNECTIONS });
  t.strictSame(await first.stop(), { code: 0, signal: null });
  t.ok(readdirSync(folder).includes('tcptop.prom'), 'the first has kept its file');
  const after = await startTool(t, namespace, 'tcptop', args);
  await after.stop('SIGKILL');
  const third = await startTool(t, namespace, 'tcptop', args);
  t.strictSame(await third.stop(), { code: 0, signal: null }, 'what died keeps nobody out');
});
