// Whose a SYN is that a firewall drops before it gets to a socket: the process that listens where it was bound
// for, in tcpdrop and in err.log alike.
import { createInterface } from 'node:readline';
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { parseNdjson, type Json } from '../support/ndjson.js';
import { createNamespace } from '../support/netns.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';

const skip = needsRoot || needsCommands('nft');

const PORTS = {
  own: 7101,
  any: 7102,
  both: 7103,
  only6: 7104,
  gone: 7105,
  group: 7106,
  none: 7107,
  falls: 7108,
  taken: 7109,
};

/**
 * A process per listener, each of its own name. Their pids as a line of JSON; then a step per line: `old` and
 * `new` make those listeners, `go` lets somebody connect everywhere.
 */
const CAST = `
import json, os, socket, sys
P = json.loads('${JSON.stringify(PORTS)}')
pids, pipes = {}, {}

def listener(name, address, port, v6only=False, reuse=False):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    if s.family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if reuse else socket.SO_REUSEADDR, 1)
    if port: s.bind((address, port))
    s.listen(8)
    return s

def act(name, *how, closes=False, **more):
    (ready, done), (stay, leave) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(leave)
        for other in pipes.values(): os.close(other)
        open('/proc/self/comm', 'w').write(name)
        s = listener(name, *how, **more)
        port = s.getsockname()[1]
        if closes: s.close()
        os.write(done, port.to_bytes(2, 'big'))
        os.read(stay, 1)
        os._exit(0)
    os.close(stay)
    pids[name], pipes[name] = pid, leave
    return int.from_bytes(os.read(ready, 2), 'big')

def leave(name):
    os.close(pipes.pop(name))
    os.waitpid(pids[name], 0)

def old():
    act('own', '127.0.0.1', P['own'])
    act('both', '::', P['both'])

def new():
    act('any', '0.0.0.0', P['any'])
    act('only6', '::', P['only6'], v6only=True)
    act('gone', '127.0.0.1', P['gone'], closes=True)
    act('first', '127.0.0.1', P['group'], reuse=True)
    act('second', '127.0.0.1', P['group'], reuse=True)
    leave('first')
    # of a group, whoever began last ends first, then one from the middle
    for name in ('low', 'mid', 'high', 'top'): act(name, '0.0.0.0', P['falls'], reuse=True)
    for name in ('top', 'mid', 'high'): leave(name)
    # a listen() that fails, as another has the address by then
    late = socket.socket()
    late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    late.bind(('127.0.0.1', P['taken']))
    act('holds', '127.0.0.1', P['taken'])
    try: late.listen(8)
    except OSError: late.close()
    # listen() chooses their ports; one is gone again
    pids['ports'] = [act('chosen', '0.0.0.0', 0), act('chosen6', '::', 0, v6only=True),
                     act('fleeting', '0.0.0.0', 0, closes=True)]

held = []
def go():
    for address in ('127.0.0.1', '::1'):
        for port in [*P.values(), *pids['ports']]:
            s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
            s.setblocking(False)
            s.connect_ex((address, port))
            held.append(s)

for step in sys.stdin:
    {'old': old, 'new': new, 'go': go}[step.strip()]()
    print(json.dumps(pids), flush=True)
for name in list(pipes): leave(name)
`;

const FIREWALL = `
table inet nwtest {
  chain input {
    type filter hook input priority 0; policy accept;
    tcp flags & (syn | ack) == syn drop
  }
}
`;

interface Pids {
  readonly [name: string]: number | readonly number[] | undefined;
  /** That listen() has chosen. */
  readonly ports?: readonly number[];
}

/** `IP port pid process` of the SYNs that came in, each once: a client tries again. */
const owners = (drops: readonly Json[]): string[] => {
  const mine = drops.filter((o) => o['reason'] === 'NETFILTER_DROP');
  const texts = mine.map((o) => {
    const family = String(o['network_local_address']).includes(':') ? 6 : 4;
    return `${family} ${String(o['network_local_port'])} ${String(o['pid'])} ${String(o['process'])}`;
  });
  return [...new Set(texts)].sort();
};

t.test('a SYN that a firewall drops is of the process that listens there', { skip }, async (t) => {
  const namespace = createNamespace(t);
  namespace.execSync('nft', ['-f', '-'], { input: FIREWALL });
  const cast = namespace.spawn('python3', ['-c', CAST], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => cast.kill('SIGKILL'));
  const { stdin, stdout } = cast;
  if (!stdin || !stdout) throw new Error('cannot start python3');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const play = async (step: string): Promise<Pids> => {
    stdin.write(`${step}\n`);
    const line = (await lines.next()).value as string | undefined;
    return JSON.parse(line ?? '') as Pids;
  };
  const older = Number((await play('old'))['own']);
  const collectors = [];
  const tools = [];
  for (const filter of [[], ['--pid', `${older}`], ['--comm', 'second']]) {
    collectors.push(await startCollector(t, namespace, ['-q', '-e', '--ndjson', ...filter]));
    tools.push(await startTool(t, namespace, 'tcpdrop', ['-o', 'json', ...filter]));
  }
  const pids = await play('new');
  await play('go');
  const [chosen = 0, chosen6 = 0, fleeting = 0] = pids.ports ?? [];
  const all = { ...PORTS, chosen, chosen6, fleeting };
  const whose = (ip: 4 | 6, port: keyof typeof all, name: string | null): string =>
    `${ip} ${all[port]} ${name === null ? null : String(pids[name])} ${name}`;
  const expected = [
    [
      whose(4, 'own', 'own'),
      whose(4, 'any', 'any'),
      whose(4, 'both', 'both'), // IPv4 at a socket of IPv6
      whose(4, 'only6', null),
      whose(4, 'gone', null),
      whose(4, 'group', 'second'),
      whose(4, 'none', null),
      whose(6, 'own', null),
      whose(6, 'any', null),
      whose(6, 'both', 'both'),
      whose(6, 'only6', 'only6'),
      whose(6, 'gone', null),
      whose(6, 'group', null),
      whose(6, 'none', null),
      whose(4, 'falls', 'low'),
      whose(4, 'taken', 'holds'),
      whose(4, 'chosen', 'chosen'),
      whose(4, 'chosen6', null),
      whose(4, 'fleeting', null),
      whose(6, 'falls', null),
      whose(6, 'taken', null),
      whose(6, 'chosen', null),
      whose(6, 'chosen6', 'chosen6'),
      whose(6, 'fleeting', null),
    ].sort(),
    [whose(4, 'own', 'own')],
    [whose(4, 'group', 'second')],
  ];
  for (const tool of tools) t.strictSame(await tool.stop(), { code: 0, signal: null });
  for (const collector of collectors) t.equal((await collector.stop()).code, 0);
  t.strictSame(
    tools.map((tool) => owners(tool.objects())),
    expected,
    'tcpdrop',
  );
  t.strictSame(
    collectors.map((collector) => owners(parseNdjson(collector.read('err.ndjson')))),
    expected,
    'err.log',
  );
  for (const drop of tools[0]?.objects() ?? [])
    if (drop['network_io_direction'] === 'receive')
      t.equal(drop['state'], drop['pid'] === null ? null : 'LISTEN');
});
