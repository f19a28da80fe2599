// Whose cgroup it is: units, containers and pods of connections that are older than netwatch, of processes that
// live 1 ms in cgroups that are gone when they are told of, of sockets that change hands, with any name.
import { readdirSync, rmdirSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { createCgroup } from '../support/cgroup.js';
import { startCollector, type Collector } from '../support/collector.js';
import { parseNdjson, type Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { until } from '../support/wait.js';

const skip = needsRoot;
const PROGRAM = resolve(import.meta.dirname, '../units/cast.py');
const PORT = 7300;
const FIRST = 20_000;

const ID = '4f3c2b1a0d9e'.padEnd(64, '5');
const UID = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
const SLICE_UID = UID.replaceAll('-', '_');
const SERVER = 'system.slice/web.service';

type Names = readonly [unit: string | null, container: string | null, pod: string | null];

/** Where processes run, and what that is called. */
const SHAPES: readonly (readonly [group: string, names: Names])[] = [
  ['system.slice/nginx.service', ['nginx.service', null, null]],
  ['system.slice/system-app.slice/app@a\\x2db.service', ['app@a\\x2db.service', null, null]],
  ['user.slice/user-7.slice/user@7.service/app.slice/x.service', ['x.service', null, null]],
  ['user.slice/user-7.slice/session-3.scope', ['session-3.scope', null, null]],
  [`system.slice/docker-${ID}.scope`, [`docker-${ID}.scope`, ID.slice(0, 12), null]],
  [`docker/${ID}`, [null, ID.slice(0, 12), null]],
  [`machine.slice/libpod-${ID}.scope/container`, [`libpod-${ID}.scope`, ID.slice(0, 12), null]],
  [`kubepods/burstable/pod${UID}/${ID}`, [null, ID.slice(0, 12), UID]],
  [
    `kubepods.slice/kubepods-pod${SLICE_UID}.slice/cri-containerd-${ID}.scope`,
    [`cri-containerd-${ID}.scope`, ID.slice(0, 12), UID],
  ],
  [
    `kubepods.slice/kubepods-pod${SLICE_UID}.slice/crio-${ID}.scope`,
    [`crio-${ID}.scope`, ID.slice(0, 12), UID],
  ],
  // as a process may call its own: quotes, a backslash, an escape sequence, bytes that are no text
  ['e"v\\i\u001b[2Jl\u00ff.service', ['e"v\\i\ufffd[2Jl\ufffd.service', null, null]],
];

interface Cast {
  /** Below the root of cgroup v2. */
  readonly prefix: string;
  ask(what: object): Promise<void>;
}

async function openCast(t: Test, namespace: Namespace): Promise<Cast> {
  const root = createCgroup(t);
  const mount = /^(.*)\/nwtest-[^/]+$/.exec(root)?.[1] ?? '';
  // what the cast has made in it; runs before the group itself is removed
  t.teardown(() => removeBelow(root));
  const child = namespace.spawn('python3', [PROGRAM, root, SERVER, String(PORT)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('cannot start python3');
  t.teardown(async () => {
    stdin.end();
    await until(() => child.exitCode !== null || child.signalCode !== null, { what: 'cast ends' });
  });
  const output = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const answered = async (): Promise<void> => {
    if ((await output.next()).done === true) throw new Error('the cast has ended');
  };
  await answered();
  return {
    prefix: `/${relative(mount, root)}/`,
    ask: async (what) => {
      stdin.write(`${JSON.stringify(what)}\n`);
      await answered();
    },
  };
}

async function removeBelow(root: string): Promise<void> {
  const remove = (path: Buffer): void => {
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: 'buffer' }))
      if (entry.isDirectory()) {
        const inner = Buffer.concat([path, Buffer.from('/'), entry.name]);
        remove(inner);
        rmdirSync(inner);
      }
  };
  await until(
    () => {
      remove(Buffer.from(root));
      return true;
    },
    { what: 'the cgroups of the cast are empty' },
  );
}

const shown = (path: string): string =>
  Buffer.from(path, 'latin1').toString('utf8').replaceAll('\u001b', '\ufffd');

const namesIn = ({ unit, container, pod }: Json): Names => [unit, container, pod] as Names;

/** Objects of a file about clients, by their port. */
function byPort(collector: Collector, file: string, event: string): Map<number, Json> {
  const events = parseNdjson(collector.read(file)).filter((o) => o['event'] === event);
  return new Map(events.map((o) => [Number(o['network_local_port']), o]));
}

const infosOf = (samples: readonly Sample[]): Map<number, Names> =>
  new Map(
    select(samples, 'netwatch_connection_info').map(({ labels: { src = '', ...labels } }) => [
      Number(src.split(':').at(-1)),
      [labels['unit'] ?? null, labels['container'] ?? null, labels['pod'] ?? null],
    ]),
  );

const EVERYTHING = ['-q', '-x', '-r', '-i', '-e', '--ndjson', '--interval', '1'];

t.test(
  'a process in a cgroup of any shape is named, however short they live',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const cast = await openCast(t, namespace);
    const collector = await startCollector(t, namespace, EVERYTHING);
    const clients = SHAPES.map(([group], i) => [group, FIRST + i]);
    await cast.ask({ clients });
    t.equal((await collector.stop()).code, 0);
    const opened = byPort(collector, 'connects.ndjson', 'connection_open');
    const packets = byPort(collector, 'packets.ndjson', 'packet');
    const requests = byPort(collector, 'requests.ndjson', 'http_exchange');
    const infos = infosOf(collector.samples('connects.log'));
    for (const [i, [group, names]] of SHAPES.entries()) {
      const port = FIRST + i;
      const path = shown(cast.prefix + group);
      for (const from of [opened, packets, requests]) {
        t.strictSame(namesIn(from.get(port) ?? {}), names, group);
        t.type(from.get(port)?.['pid'], 'number');
        t.equal(from.get(port)?.['process'], 'python3');
      }
      for (const from of [opened, requests]) t.equal(from.get(port)?.['cgroup'], path);
      t.strictSame(infos.get(port), names, `connects.log: ${group}`);
    }
  },
);

t.test('a thousand cgroups that come and go are told apart', { skip }, async (t) => {
  const count = 1000;
  const namespace = createNamespace(t);
  const cast = await openCast(t, namespace);
  const collector = await startCollector(t, namespace, [...EVERYTHING, '--connects', 'changes']);
  const clients = Array.from({ length: count }, (_, i) => [
    `job.slice/job-${i}.service`,
    FIRST + i,
  ]);
  await cast.ask({ clients });
  t.equal((await collector.stop()).code, 0);
  const opened = byPort(collector, 'connects.ndjson', 'connection_open');
  const wrong = clients.filter(
    ([, port], i) => opened.get(Number(port))?.['unit'] !== `job-${i}.service`,
  );
  t.strictSame(wrong, []);
  const state = collector.samples('netwatch.prom');
  const name = 'netwatch_unit_connections_total';
  const units = new Set(select(state, name).map(({ labels }) => labels['unit']));
  t.equal(units.size, 500 + 1, 'the first 500, and the rest in one');
  t.equal(total(state, name, { network_tcp_handshake_role: 'client' }), count);
  t.equal(total(state, name, { unit: 'web.service', network_tcp_handshake_role: 'server' }), count);
  const named = [...units].filter((unit) => unit?.startsWith('job-') === true).length;
  t.equal(total(state, name, { unit: 'other' }), count - named);
  const ways = ['transmit', 'receive'] as const;
  for (const way of ways)
    t.equal(
      total(state, 'netwatch_unit_io_bytes_total', { network_io_direction: way }),
      total(state, 'netwatch_tcp_io_bytes_total', { network_io_direction: way }),
      `all bytes, ${way}`,
    );
  const requests = 'netwatch_unit_http_requests_total';
  t.equal(total(state, requests, { unit: 'web.service', side: 'server' }), count);
  t.equal(total(state, requests, { side: 'client' }), count);
});

t.test('failed connections are counted by unit and by why', { skip }, async (t) => {
  const closed = 7301;
  const silent = 7302;
  const namespace = createNamespace(t);
  dropPackets(namespace, { to: silent, only: 'syn' });
  const cast = await openCast(t, namespace);
  // with -a a failed one has lines too, and is in the sums once all the same
  for (const options of [EVERYTHING, [...EVERYTHING, '-a']]) {
    const collector = await startCollector(t, namespace, options);
    await cast.ask({ clients: [['job.slice/good.service', FIRST]] });
    await cast.ask({
      fail: [
        ['job.slice/refused.service', 'refused', closed, 3],
        ['job.slice/both.service', 'refused', closed, 2],
        ['job.slice/both.service', 'closed', silent, 5],
      ],
    });
    t.equal((await collector.stop()).code, 0);
    const state = collector.samples('netwatch.prom');
    const found = select(state, 'netwatch_unit_connections_total').filter(
      ({ labels, value }) => value > 0 || (labels['error_type'] ?? '') !== '',
    );
    t.strictSame(
      found.map(({ labels, value }) => [
        ...[labels['unit'], labels['network_tcp_handshake_role'], labels['error_type'] ?? ''],
        value,
      ]),
      [
        ['good.service', 'client', '', 1],
        ['web.service', 'server', '', 1],
        ['refused.service', 'client', 'refused', 3],
        ['both.service', 'client', 'refused', 2],
        ['both.service', 'client', 'closed', 5],
      ],
    );
    for (const error_type of ['refused', 'closed'])
      t.equal(
        total(state, 'netwatch_unit_connections_total', { error_type }),
        total(state, 'netwatch_tcp_connections_total', { error_type }),
        `all of them: ${error_type}`,
      );
  }
});

t.test('what is older than netwatch, and what changes hands, is named', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cast = await openCast(t, namespace);
  const [first = ['', [null, null, null]]] = SHAPES;
  const [group, names] = first;
  for (const [i, [one]] of SHAPES.entries()) await cast.ask({ keep: [one, FIRST + i] });
  const collector = await startCollector(t, namespace, EVERYTHING);
  const infos = infosOf(await collector.pulled());
  for (const [i, [one, wanted]] of SHAPES.entries())
    t.strictSame(infos.get(FIRST + i), wanted, one);
  t.strictSame(infos.get(PORT), ['web.service', null, null], 'the server of it');
  // web.service has made the listening socket, another unit accepts
  await cast.ask({ other: 'system.slice/worker.service' });
  await cast.ask({ clients: [[`${group}x`, FIRST + 100]] });
  t.equal((await collector.stop()).code, 0);
  const accepted = parseNdjson(collector.read('connects.ndjson')).filter(
    (o) => o['event'] === 'connection_accept' && o['network_peer_port'] === FIRST + 100,
  );
  t.strictSame(accepted.map(namesIn), [['worker.service', null, null]]);
  t.strictSame(names, ['nginx.service', null, null]);
  const state = collector.samples('netwatch.prom');
  t.equal(
    total(state, 'netwatch_unit_http_requests_total', { unit: 'worker.service', side: 'server' }),
    1,
  );
});

t.test('--show-unit adds a column to rows of any tool', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cast = await openCast(t, namespace);
  const tools = {
    tcpconnect: ['-U'],
    tcplife: [],
    tcptop: ['-C', '-S', '100'],
    flows: [],
  };
  const started = await Promise.all(
    Object.entries(tools).map(([name, args]) =>
      startTool(t, namespace, name, ['--show-unit', ...args]),
    ),
  );
  const flows = await startTool(t, namespace, 'flows', ['-o', 'json']);
  const groups = ['job.slice/job-1.service', `system.slice/docker-${ID}.scope`, 'nowhere'];
  await cast.ask({ clients: groups.map((group, i) => [group, FIRST + i]) });
  const rows: Record<string, string[]> = {};
  for (const [i, tool] of started.entries()) {
    t.equal((await tool.stop()).code, 0);
    const lines = tool
      .stdout()
      .split('\n')
      .filter((line) => /python3|PID|PROCESS/.test(line));
    rows[Object.keys(tools)[i] ?? ''] = lines;
  }
  const [web, job, docker, none] = ['web.service', 'job-1.service', ID.slice(0, 12), 'N/A'];
  const heads = {
    tcpconnect:
      'UID   PID     COMM         UNIT                 IP SADDR            DADDR            DPORT ',
    tcplife:
      'PID   COMM       UNIT                 LADDR           LPORT RADDR           RPORT TX_KB RX_KB MS',
    tcptop:
      'PID     COMM         UNIT                 LADDR                 RADDR                  RX_KB  TX_KB',
    flows:
      'PROCESS          UNIT                 ROLE   PORT  PEER                     CONNS      RX_KB     TX_KB RETRANS RTT_MS',
  };
  for (const [name, head] of Object.entries(heads)) {
    const [first = '', ...others] = rows[name] ?? [];
    t.equal(first.trimEnd(), head.trimEnd(), name);
    const at = head.indexOf('UNIT');
    const found = others.map((row) => row.slice(at).split(' ')[0]).sort();
    const clients = [docker, none, job];
    const servers = name === 'tcpconnect' ? [] : [web, ...(name === 'flows' ? [] : [web, web])];
    t.strictSame(found, [...clients, ...servers].sort(), name);
  }
  t.equal((await flows.stop()).code, 0);
  const objects = flows.objects().map((o) => [o['role'], ...namesIn(o)].join(' '));
  t.strictSame(objects.sort(), [
    'client   ',
    `client docker-${ID}.scope ${docker} `,
    `client ${job}  `,
    `server ${web}  `,
  ]);
});

t.test('--show-unit has no place in counts', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const [name, args] of [
    ['tcpretrans', ['-c']],
    ['requests', ['--top', '5']],
  ] as const) {
    const start = startTool(t, namespace, name, ['--show-unit', ...args]);
    await t.rejects(start, {
      message: /ended \(2\).*\n?netwatch: with counts, netwatch \w+ has no rows/,
    });
  }
});

t.test('--unit and --container choose what begins later, too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cast = await openCast(t, namespace);
  const unit = await startTool(t, namespace, 'tcpconnect', ['-o', 'json', '--unit', 'job-*']);
  const container = await startTool(t, namespace, 'tcplife', [
    ...['-o', 'json', '--container', ID.slice(0, 8)],
  ]);
  const groups = [
    ['job.slice/job-1.service', true, false],
    ['job.slice/job.service', false, false],
    ['job.slice/job-2.scope/deeper', true, false],
    [`system.slice/job.service/job-3.service`, false, false],
    [`system.slice/docker-${ID}.scope`, false, true],
    [`system.slice/docker-${ID.replace('4', 'a')}.scope`, false, false],
    [`kubepods/pod${UID}/${ID}/inner`, false, true],
  ] as const;
  await cast.ask({ clients: groups.map(([group], i) => [group, FIRST + i]) });
  const portsOf = async (tool: typeof unit): Promise<unknown[]> => {
    t.equal((await tool.stop()).code, 0);
    return tool.objects().map((o) => o['network_local_port']);
  };
  const wanted = (place: 1 | 2): number[] =>
    groups.flatMap((group, i) => (group[place] ? [FIRST + i] : []));
  t.strictSame(await portsOf(unit), wanted(1));
  t.strictSame(await portsOf(container), wanted(2));
  t.strictSame(unit.objects().map(namesIn), [
    ['job-1.service', null, null],
    ['job-2.scope', null, null],
  ]);
});
