// Whose a drop or a reset is, which of them belong together, and who has closed a connection that was reset.
import { createInterface } from 'node:readline';
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { parseNdjson, type Json } from '../support/ndjson.js';
import { createNamespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';

const skip = needsRoot;

const CLIENT = 21_000;
const REFUSED = 7411;
const OPEN = 7412;
const STOPPED = 7413;

/** Every party is a process of its own, with a name of its own. */
const CAST = `
import ctypes, json, os, socket, struct, sys, time
ADDRESS, CLIENT, REFUSED, OPEN, STOPPED = '127.0.0.1', ${CLIENT}, ${REFUSED}, ${OPEN}, ${STOPPED}

def client(own, port, seconds=5):
    s = socket.socket()
    s.settimeout(seconds)
    s.bind((ADDRESS, own))
    try:
        s.connect((ADDRESS, port))
        s.send(b'x')
        s.recv(1)
    except OSError as error:
        return error.errno or 'timeout'

def server(listener):
    c, _ = listener.accept()
    c.recv(1)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    c.close()

def run(name, action):
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
        action()
        os._exit(0)
    return pid

listener = socket.create_server((ADDRESS, OPEN))
pids = {
    'refused': run('refused', lambda: client(CLIENT, REFUSED)),
    'closer': run('closer', lambda: server(listener)),
    'reset': run('reset', lambda: client(CLIENT + 1, OPEN)),
    'stopped': run('stopped', lambda: client(CLIENT + 2, STOPPED, 0.2)),
}
for pid in pids.values():
    os.waitpid(pid, 0)
print(json.dumps(pids), flush=True)
`;

const FIREWALL = `
table inet nwtest {
  chain output {
    type filter hook output priority 0; policy accept;
    tcp dport ${STOPPED} drop
  }
}
`;

t.test('a drop or reset says whose it is, and who has sent it, and why', { skip }, async (t) => {
  const namespace = createNamespace(t);
  namespace.execSync('nft', ['-f', '-'], { input: FIREWALL });
  const collector = await startCollector(t, namespace, ['-q', '-e', '--ndjson']);
  const child = namespace.spawn('python3', ['-c', CAST], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (!child.stdout) throw new Error('cannot start python3');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = ((await lines.next()).value as string | undefined) ?? '';
  const pids = JSON.parse(line) as Readonly<Record<string, number>>;
  t.equal((await collector.stop()).code, 0);
  const events = parseNdjson(collector.read('err.ndjson'));
  const of = (type: string, port: number): Json[] =>
    events.filter(
      (o) =>
        o['type'] === type && (o['network_local_port'] === port || o['network_peer_port'] === port),
    );
  const whose = ({ pid, process }: Json): Json => ({ pid, process });

  const refusal = ['drop', 'reset_sent', 'reset_received'].map((type) => of(type, CLIENT));
  t.strictSame(
    refusal.map(({ length }) => length),
    [1, 1, 1],
    'a refused connection has three parts',
  );
  t.equal(new Set(refusal.flat().map((o) => o['event_id'])).size, 1, 'of one event');
  const [dropped = {}, answered = {}, received = {}] = refusal.flat();
  for (const one of [dropped, answered])
    t.strictSame(whose(one), { pid: null, process: null }, 'where nobody listens');
  t.strictSame(whose(received), { pid: pids['refused'], process: 'refused' });
  t.match(received, { peer_pid: null, peer_process: null, peer_reason: 'NO_SOCKET' });

  const [sent = {}, ...others] = of('reset_sent', CLIENT + 1);
  t.strictSame(others, []);
  t.strictSame(whose(sent), { pid: pids['closer'], process: 'closer' });
  const [got = {}] = of('reset_received', CLIENT + 1);
  t.strictSame(whose(got), { pid: pids['reset'], process: 'reset' });
  t.match(got, { peer_pid: pids['closer'], peer_process: 'closer', peer_reason: sent['reason'] });
  t.equal(got['event_id'], sent['event_id']);
  t.not(got['event_id'], received['event_id'], 'another event');

  const stopped = of('drop', CLIENT + 2);
  t.not(stopped.length, 0);
  for (const one of stopped) {
    t.match(one, { reason: 'NETFILTER_DROP', peer_process: undefined });
    t.strictSame(whose(one), { pid: pids['stopped'], process: 'stopped' }, 'a firewall');
  }
});
