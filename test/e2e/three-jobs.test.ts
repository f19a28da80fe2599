// Three things that a person is called for: a leak of CLOSE_WAIT, an accept queue that overflows, a client that
// gets resets. The commands that the table of symptoms has for them (README.md, --help) name each process.
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { SYMPTOMS } from '../../src/symptoms.js';
import { startCollector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets } from '../support/ss.js';
import { startTool } from '../support/tool.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nstat');

/** NAME JOB PORT: a process of that name does its job, says so in a line, and stays. */
const PROGRAM = `
import os, signal, socket, sys
name, job, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
open('/proc/self/comm', 'w').write(name)
address = ('127.0.0.1', port)
held = []
def say(): print(job, flush=True)
if job in ('leak', 'cut', 'sleep'):
    listener = socket.create_server(address, backlog=1 if job == 'sleep' else 16)
    say()
    while job != 'sleep':
        connection, _ = listener.accept()
        while job == 'leak' and connection.recv(100): pass
        if job == 'cut': connection.recv(1, socket.MSG_PEEK) # and closes it with that unread
        else: held.append(connection)
        del connection
elif job == 'leave':
    for _ in range(3): socket.create_connection(address).close()
elif job == 'queue':
    for _ in range(6):
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].connect_ex(address)
else:
    connection = socket.create_connection(address)
    connection.sendall(b'x')
    try: connection.recv(1)
    except ConnectionResetError: pass
    else: sys.exit('no reset')
say()
signal.pause()
`;

/** Its process id, when it has done its job. */
async function act(
  t: Test,
  namespace: Namespace,
  ...args: readonly [name: string, job: string, port: number]
): Promise<number> {
  const child = namespace.spawn('python3', ['-c', PROGRAM, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const { stdout, pid } = child;
  if (!stdout || pid === undefined) throw new Error('cannot start python3');
  const { done } = await createInterface({ input: stdout })[Symbol.asyncIterator]().next();
  if (done === true) throw new Error(`${args[1]} has ended`);
  return pid;
}

/** What is typed behind `netwatch`; here the test says when it ends, not --duration. */
function commandFor(symptom: string): string[] {
  const row = SYMPTOMS.find((one) => one.symptom === symptom);
  if (row === undefined) throw new Error(`no row for ${symptom}`);
  return row.command
    .replace(/ --duration \d+$/, '')
    .replace(/^sudo netwatch /, '')
    .split(' ');
}

t.test('the table of symptoms leads to the process that is to blame', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const leaks = await startCollector(t, namespace, commandFor('sockets pile up in CLOSE_WAIT'));
  const queues = await startCollector(t, namespace, commandFor("a server's accept queue is full"));
  const [name = '', ...args] = commandFor('connections are refused or reset');
  const resets = await startTool(t, namespace, name, args);
  const grown = await countFrom(namespace);

  const leaky = await act(t, namespace, 'leaky', 'leak', 7001);
  await act(t, namespace, 'leaves', 'leave', 7001);
  const sleepy = await act(t, namespace, 'sleepy', 'sleep', 7002);
  await act(t, namespace, 'queues', 'queue', 7002);
  const cutter = await act(t, namespace, 'cutter', 'cut', 7003);
  const victim = await act(t, namespace, 'victim', 'call', 7003);
  const isLeft = async (): Promise<boolean> =>
    (await sockets(namespace, 'state', 'close-wait')).length === 3;
  await until(isLeft, { what: 'three sockets are in CLOSE_WAIT' });
  const isFull = async (): Promise<boolean> => (await grown())['TcpExtListenOverflows'] > 0;
  await until(isFull, { what: 'the accept queue has overflowed' });
  for (const one of [leaks, queues, resets]) t.equal((await one.stop()).code, 0);

  t.match(leaks.stderr(), new RegExp(`left in CLOSE_WAIT: 3 of leaky \\(pid ${leaky}\\)$`, 'm'));
  t.match(
    queues.stderr(),
    new RegExp(
      `accept queue was full: \\d+ at 127\\.0\\.0\\.1:7002 of sleepy \\(pid ${sleepy}\\)$`,
      'm',
    ),
  );
  const rows = resets.lines().filter((line) => / RESET /.test(line));
  const told = rows.map((row) => [
    ...(/^\S+ (\S+) +(\d+)/.exec(row)?.slice(1) ?? []),
    /direction=(\w+)/.exec(row)?.[1],
  ]);
  t.strictSame(told.sort(), [
    ['cutter', `${cutter}`, 'sent'],
    ['victim', `${victim}`, 'received'],
  ]);
});
