/**
 * What "exact" means: the IP counters of the namespace itself are the lines of packets.log and the
 * losses that netwatch.prom counts, whatever became of the terminal, the reader or the process.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { logLines } from '../support/account.js';
import { blast } from '../support/blast.js';
import { PROGRAM, temporaryFolder, type Exit } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { parseExposition, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { CTRL_S, openTerminal } from '../support/terminal.js';
import { TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'ip');
const ROUNDS = 5003;

/** Packets that IP of the namespace has received and sent, by its own counters. */
function ipPackets({ name }: Namespace): number {
  const text = execFileSync('ip', ['netns', 'exec', name, 'cat', '/proc/net/snmp'], {
    encoding: 'utf8',
  });
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('Ip:'))
    .map((line) => line.split(' '));
  const value = (wanted: string): number => Number(values[names.indexOf(wanted)]);
  return value('InReceives') + value('OutRequests');
}

interface Case {
  readonly what: string;
  readonly args: readonly string[];
  /** Between the start and the packets. */
  readonly before?: (around: Around) => unknown;
  /** Between the packets and SIGTERM. */
  readonly after?: (around: Around) => unknown;
  /** Whether losses have to be among the accounts. */
  readonly loses?: boolean;
}

interface Around {
  readonly pid: number;
  readonly terminal: ReturnType<typeof openTerminal>;
}

const CASES: readonly Case[] = [
  {
    what: 'a status line on a terminal after Ctrl-S',
    args: ['-q'],
    before: ({ terminal }) => {
      terminal.press(CTRL_S);
    },
  },
  {
    what: 'a table on a terminal after Ctrl-S',
    args: [],
    before: ({ terminal }) => {
      terminal.press(CTRL_S);
    },
  },
  {
    what: 'a terminal that vanishes from under a status line',
    args: ['-q'],
    before: ({ terminal }) => {
      terminal.vanish();
    },
  },
  {
    what: 'a process that is stopped, with a small ring',
    args: ['-q', '--ring', '65536'],
    before: ({ pid }) => process.kill(pid, 'SIGSTOP'),
    after: ({ pid }) => process.kill(pid, 'SIGCONT'),
    loses: true,
  },
  { what: 'losses on purpose', args: ['-q', '--simulate-drops', '7'], loses: true },
];

/** Runs a case to the end of the collector; its data folder. */
async function run(t: Test, namespace: Namespace, { args, before, after }: Case): Promise<string> {
  const folder = temporaryFolder(t);
  const terminal = openTerminal(t);
  const { fd } = terminal;
  const where = ['--netns', namespace.name, '--data', folder, '--interval', '0.5'];
  const line = ['-u', 'NODE_OPTIONS', process.execPath, PROGRAM, ...args, ...where];
  const child = spawn('env', line, { stdio: ['ignore', fd, fd], detached: true });
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve({ code, signal });
    });
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await until(() => terminal.shown().includes(' ready after '), {
    what: 'ready',
  });
  const around = { pid: child.pid ?? 0, terminal };
  await before?.(around);
  const rounds = await blast(t, namespace, { port: TCP_PORT, rounds: ROUNDS });
  t.equal(rounds, ROUNDS);
  await after?.(around);
  child.kill('SIGTERM');
  t.strictSame(await exited, { code: 0, signal: null });
  return folder;
}

for (const one of CASES) {
  t.test(`IP counters are lines and counted losses: ${one.what}`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const before = ipPackets(namespace);
    const folder = await run(t, namespace, one);
    const { samples } = parseExposition(readFileSync(join(folder, 'netwatch.prom'), 'utf8'));
    const lost =
      total(samples, 'netwatch_events_lost_total', { source: 'packet' }) +
      total(samples, 'netwatch_events_lost_total', { source: 'packets.log' });
    const lines = logLines(folder, 'packets.log').length;
    t.equal(lines + lost, ipPackets(namespace) - before);
    t.equal(lost > 0, one.loses === true, `${lost} lost`);
    t.ok(lines > 0);
    t.notOk(existsSync(join(folder, '.netwatch.lock')), 'the directory is free');
  });
}
