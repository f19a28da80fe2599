/**
 * How netwatch is run as a service: the units by systemd's own judgement, the Kubernetes manifest
 * beside them, what is said to a service manager, and which capabilities are asked for and kept.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { startService, watchdogMs, type Watched } from '../src/collector/service.js';
import type { CollectorOptions } from '../src/collector/options.js';
import { DEFAULT_LISTEN } from '../src/cli/listen.js';
import {
  describeCapability,
  hasCapability,
  keptCapabilities,
  maskOf,
  missingCapabilities,
  ownCapabilities,
  type Capability,
} from '../src/kernel/capabilities.js';
import { createNotifier, encodeNotification } from '../src/kernel/notify.js';
import type { Notification } from '../src/kernel/notify.js';
import { unixAddress } from '../src/kernel/unix-datagram.js';
import { explain } from '../src/failure.js';
import { temporaryFolder } from './support/collector.js';
import { needsCommands } from './support/skip.js';
import { readUnit, UNITS } from './support/unit.js';
import { until } from './support/wait.js';

const root = resolve(import.meta.dirname, '..');
const COLLECTOR = readUnit('netwatch.service');
const ENDPOINT = readUnit('netwatch-serve.service');
const DROP_IN = readUnit('other-namespaces.conf');
const skip = needsCommands('systemd-analyze');
const unitNames = readdirSync(UNITS).filter((name) => name.endsWith('.service'));

function analyze(...args: readonly string[]): { code: number | null; said: string } {
  const done = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  return { code: done.status, said: `${done.stdout}${done.stderr}` };
}

/** Units as installed, with a program that exists here. */
function unitsIn(t: Test, change = (text: string): string => text): string[] {
  const folder = temporaryFolder(t);
  return unitNames.map((name) => {
    const text = readFileSync(join(UNITS, name), 'utf8');
    const path = join(folder, name);
    writeFileSync(path, change(text.replaceAll('/usr/local/bin/netwatch', process.execPath)));
    return path;
  });
}

t.test('systemd finds nothing wrong with the units', { skip }, (t) => {
  t.strictSame(analyze('verify', '--man=no', ...unitsIn(t)), { code: 0, said: '' });
  const wrong = unitsIn(t, (text) => text.replace('WatchdogSec=30', 'WatchdogSec=soon'));
  t.match(analyze('verify', '--man=no', ...wrong).said, /Failed to parse/, 'and would say so');
  t.end();
});

/** Exposure by systemd's own table, times ten. The collector loads programs into the kernel. */
const EXPOSURE = [
  ['netwatch.service', 30],
  ['netwatch-serve.service', 20],
] as const;

for (const [name, threshold] of EXPOSURE) {
  t.test(`systemd calls the exposure of ${name} OK`, { skip }, (t) => {
    const args = ['security', '--offline=true', '--no-pager'];
    const { code, said } = analyze(...args, `--threshold=${threshold}`, join(UNITS, name));
    t.equal(code, 0, /Overall.*/.exec(said)?.[0] ?? said);
    t.not(analyze(...args, '--threshold=1', join(UNITS, name)).code, 0, 'the threshold counts');
    t.end();
  });
}

t.test('both units give the settings that the other one gives, unless it says why', (t) => {
  const hardening = (name: string): string[] =>
    readFileSync(join(UNITS, name), 'utf8')
      .split('\n')
      .filter((line) =>
        /^(Protect|Private|Restrict(?!Prevent)|Lock|NoNew|Remove|Keyring)\w*=/.test(line),
      );
  const [collector, endpoint] = ['netwatch.service', 'netwatch-serve.service'].map(hardening);
  const only = ['ProtectProc=invisible'];
  t.strictSame(
    endpoint?.filter((line) => !collector?.includes(line)),
    only,
  );
  t.strictSame(
    collector?.filter((line) => !endpoint?.includes(line)),
    [],
  );
  for (const left of ['MemoryDenyWriteExecute', 'PrivateNetwork', 'PrivateUsers', 'ProtectProc'])
    t.strictSame(COLLECTOR.all(left), [], left);
  t.end();
});

const list = (value: string): Capability[] => value.split(' ') as Capability[];

t.test('the collector gets the capabilities it needs, the endpoint none', (t) => {
  const granted = list(COLLECTOR.one('AmbientCapabilities'));
  t.strictSame(list(COLLECTOR.one('CapabilityBoundingSet')), granted);
  t.strictSame(missingCapabilities(maskOf(granted)), []);
  const kept = keptCapabilities({ root: false, listens: false });
  t.strictSame(
    granted.filter((name) => kept.includes(name)),
    ['CAP_BPF'],
  );
  for (const setting of ['AmbientCapabilities', 'CapabilityBoundingSet']) {
    t.equal(ENDPOINT.one(setting), '');
    const more = list(DROP_IN.one(setting));
    t.strictSame(more, ['CAP_SYS_ADMIN', 'CAP_SYS_PTRACE']);
    t.ok(
      more.every((name) => kept.includes(name)),
      'what the drop-in adds is kept',
    );
  }
  t.end();
});

t.test('the endpoint reads what the collector writes, through its group', (t) => {
  t.equal(ENDPOINT.one('SupplementaryGroups'), COLLECTOR.one('Group'));
  t.match(readFileSync(join(UNITS, 'netwatch.sysusers.conf'), 'utf8'), /^u netwatch - /m);
  t.equal(COLLECTOR.one('LogsDirectory'), 'netwatch');
  t.equal(ENDPOINT.one('ReadOnlyPaths'), '/var/log/netwatch');
  t.match(ENDPOINT.one('ExecStart'), / --data \/var\/log\/netwatch /);
  t.match(ENDPOINT.one('Environment'), `--listen ${DEFAULT_LISTEN}`);
  t.end();
});

t.test('the file of options says what the units say without it', (t) => {
  const text = readFileSync(join(UNITS, 'netwatch.default'), 'utf8');
  const assigned = [...text.matchAll(/^(\w+)="(.*)"$/gm)].map(
    ([, name, value]) => `"${name}=${value}"`,
  );
  t.strictSame(
    assigned,
    [COLLECTOR, ENDPOINT].map((unit) => unit.one('Environment')),
  );
  t.end();
});

interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly allowPrivilegeEscalation: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
  readonly readinessProbe?: { readonly httpGet: { readonly path: string } };
  readonly livenessProbe: { readonly httpGet?: { readonly path: string } };
  readonly resources: { readonly limits: { readonly memory: string } };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

interface PodSpec {
  readonly hostNetwork: boolean;
  readonly hostPID: boolean;
  readonly containers: readonly [Container, Container];
  readonly volumes: readonly { readonly name: string }[];
}

interface DaemonSet {
  readonly kind: string;
  readonly spec: {
    readonly template: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
      };
      readonly spec: PodSpec;
    };
  };
}

const manifest = (name: string): string =>
  readFileSync(join(root, 'contrib/kubernetes', name), 'utf8');

function daemonSet(): DaemonSet {
  const documents = parseAllDocuments(manifest('daemonset.yaml'));
  for (const { errors } of documents) if (errors[0] !== undefined) throw errors[0];
  const objects = documents.map((document) => document.toJS() as DaemonSet);
  const found = objects.find(({ kind }) => kind === 'DaemonSet');
  if (found === undefined) throw new Error('no DaemonSet');
  return found;
}

const PORT = DEFAULT_LISTEN.split(':')[1] ?? '';

t.test('the DaemonSet grants what the unit grants, less what only a user needs', (t) => {
  const { hostNetwork, hostPID, containers } = daemonSet().spec.template.spec;
  t.strictSame([hostNetwork, hostPID], [true, true]);
  const [collector, endpoint] = containers.map(({ securityContext }) => securityContext);
  const added = collector?.capabilities.add?.map((name) => `CAP_${name}`);
  // Root reads tracefs as its owner, and needs no other uid.
  const ofUsers = ['CAP_DAC_READ_SEARCH', 'CAP_SETUID'];
  const granted = list(COLLECTOR.one('AmbientCapabilities'));
  t.strictSame(
    added,
    granted.filter((name) => !ofUsers.includes(name)),
  );
  t.equal(endpoint?.capabilities.add, undefined);
  t.not(endpoint?.runAsUser, 0);
  for (const context of [collector, endpoint]) {
    t.strictSame(context?.capabilities.drop, ['ALL']);
    t.equal(context?.allowPrivilegeEscalation, false);
  }
  t.end();
});

t.test('the DaemonSet runs the command lines of the units, within the same limits', (t) => {
  const [collector, endpoint] = daemonSet().spec.template.spec.containers;
  const words = COLLECTOR.one('Environment').replaceAll('"', '').split('=')[1]?.split(' ') ?? [];
  t.strictSame(collector.args, ['--quiet', '--data', '/data', ...words]);
  t.strictSame(endpoint.args, ['serve', '--data', '/data', '--listen', `:${PORT}`]);
  t.equal(collector.resources.limits.memory, `${COLLECTOR.one('MemoryMax')}i`);
  t.equal(endpoint.resources.limits.memory, `${ENDPOINT.one('MemoryMax')}i`);
  t.end();
});

t.test('the DaemonSet mounts what BPF needs, and the data for reading only', (t) => {
  const { containers, volumes } = daemonSet().spec.template.spec;
  const [collector, endpoint] = containers;
  const names = volumes.map(({ name }) => name);
  for (const { volumeMounts } of containers)
    t.ok(
      volumeMounts.every(({ name }) => names.includes(name)),
      'mounts are volumes',
    );
  t.strictSame(collector.volumeMounts.map(({ mountPath }) => mountPath).sort(), [
    '/data',
    '/sys/fs/cgroup',
    '/sys/kernel/btf',
    '/sys/kernel/tracing',
  ]);
  t.match(endpoint.volumeMounts, [{ name: 'data', mountPath: '/data', readOnly: true }]);
  t.equal(endpoint.volumeMounts.length, 1);
  t.end();
});

t.test('the probes, the annotations and the PodMonitor meet at one port', (t) => {
  const { metadata, spec } = daemonSet().spec.template;
  const [, endpoint] = spec.containers;
  t.match(endpoint.ports, [{ name: 'metrics', containerPort: Number(PORT) }]);
  t.equal(endpoint.readinessProbe?.httpGet.path, '/-/ready');
  t.equal(endpoint.livenessProbe.httpGet?.path, '/-/healthy');
  t.equal(metadata.annotations['prometheus.io/port'], PORT);
  const monitor = parse(manifest('podmonitor.yaml')) as {
    readonly spec: {
      readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
      readonly podMetricsEndpoints: readonly { readonly port: string }[];
    };
  };
  t.strictSame(monitor.spec.selector.matchLabels, metadata.labels);
  t.equal(monitor.spec.podMetricsEndpoints[0]?.port, endpoint.ports?.[0]?.name);
  t.end();
});

t.test('an address of the service manager is a path or an abstract name', (t) => {
  const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
  t.strictSame(unixAddress('/run/x'), Buffer.from(bytes('\x01\0/run/x\0')));
  t.strictSame(unixAddress('@x'), Buffer.from(bytes('\x01\0\0x')));
  for (const none of ['', '/', '@', 'run/x', `/${'x'.repeat(107)}`])
    t.equal(unixAddress(none), null);
  t.equal(unixAddress(`/${'x'.repeat(106)}`)?.length, 2 + 107 + 1);
  t.doesNotThrow(() => createNotifier('')({ READY: 1 }), 'no manager');
  t.doesNotThrow(() => createNotifier('/no/such/socket')({ READY: 1 }), 'a manager that is gone');
  t.end();
});

t.test('a value cannot begin another line of a notification', (t) => {
  const text = encodeNotification({ STATUS: 'a\nREADY=1', WATCHDOG: 1 });
  t.equal(text, 'STATUS=a READY=1\nWATCHDOG=1\n');
  t.end();
});

t.test('signs of life are for the process that the manager watches', (t) => {
  t.equal(watchdogMs({ WATCHDOG_USEC: '30000000' }, 7), 30_000);
  t.equal(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '7' }, 7), 30_000);
  t.equal(watchdogMs({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '8' }, 7), null);
  for (const WATCHDOG_USEC of [undefined, '', '0', '-1', 'x'])
    t.equal(watchdogMs({ WATCHDOG_USEC }, 7), null);
  t.end();
});

const OPTIONS = { data: '/data' } as CollectorOptions;

t.test('a collector that drains no more gives no sign of life', async (t) => {
  process.env['WATCHDOG_USEC'] = '4000';
  t.teardown(() => delete process.env['WATCHDOG_USEC']);
  const said: Notification[] = [];
  const signs = (): number => said.filter((message) => 'WATCHDOG' in message).length;
  let drains = 0;
  let looks = 0;
  const watched: Watched = {
    counts: { records: 12, lost: 3 },
    get drains() {
      looks++;
      return drains;
    },
  };
  const draining = setInterval(() => drains++, 1);
  t.teardown(() => clearInterval(draining));
  const service = startService(watched, OPTIONS, (message) => said.push(message));
  t.teardown(() => service.close());
  t.strictSame(said[0], { READY: 1, STATUS: '12 records, 3 lost; writing in /data' });
  await until(() => signs() >= 3, { what: 'signs of life' });

  clearInterval(draining);
  const [before, looked] = [signs(), looks];
  await until(() => looks > looked + 10, { what: 'looks at a collector that hangs' });
  t.ok(signs() <= before + 1, 'one for the last drain, none after it');
  const last = signs();
  service.stopping();
  t.match(said.at(-1), { STOPPING: 1 });
  await until(() => signs() > last, { what: 'signs of life while it ends' });
});

t.test('a reload is told before and after', (t) => {
  const said: Notification[] = [];
  const watched = { drains: 0, counts: { records: 0, lost: 0 } };
  const service = startService(watched, OPTIONS, (message) => said.push(message));
  service.reload(() => said.push({ done: 1 }));
  service.close();
  const [, begin, ...rest] = said;
  t.match(begin, { RELOADING: 1, MONOTONIC_USEC: /^\d+$/ });
  t.strictSame(rest, [{ done: 1 }, { READY: 1 }]);
  t.end();
});

t.test('what is missing is named, each with its purpose', (t) => {
  const without = (...gone: readonly Capability[]): bigint =>
    maskOf(list(COLLECTOR.one('AmbientCapabilities')).filter((name) => !gone.includes(name)));
  t.strictSame(missingCapabilities(without('CAP_PERFMON')), ['CAP_PERFMON']);
  t.strictSame(missingCapabilities(0n), ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN']);
  t.strictSame(missingCapabilities(maskOf(['CAP_SYS_ADMIN'])), ['CAP_NET_ADMIN']);
  t.strictSame(missingCapabilities(maskOf(['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'])), []);
  t.equal(describeCapability('CAP_BPF'), 'CAP_BPF (load programs)');
  const missing = (['CAP_PERFMON', 'CAP_BPF'] as const).map(describeCapability);
  const failure = { code: 'privilege', uid: 0, missing } as const;
  t.match(explain(failure), /^need CAP_PERFMON \(.*\) and CAP_BPF \(.*\); .* 0\n {2}give them/);
  t.end();
});

t.test('what is kept follows from who runs it, and what it starts', (t) => {
  const kept = (root: boolean, listens: boolean): string =>
    keptCapabilities({ root, listens }).join();
  const others = 'CAP_BPF,CAP_SYS_ADMIN,CAP_SYS_PTRACE,CAP_SYS_NICE';
  const files = 'CAP_DAC_OVERRIDE,CAP_FOWNER';
  t.equal(kept(false, false), others);
  t.equal(kept(false, true), others);
  t.equal(kept(true, false), `${others},${files}`);
  const child = 'CAP_KILL,CAP_NET_BIND_SERVICE,CAP_SETGID,CAP_SETUID';
  t.equal(kept(true, true), `${others},${files},${child}`);
  t.end();
});

t.test('the capabilities of a process are read from the kernel', (t) => {
  const { effective, permitted } = ownCapabilities();
  t.equal(effective & permitted, effective, 'effective ones are permitted');
  t.equal(
    maskOf(['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN']),
    0xc000001000n,
    'as linux/capability.h',
  );
  t.ok(hasCapability(0x8000000000n, 'CAP_BPF'));
  t.notOk(hasCapability(0x8000000000n, 'CAP_PERFMON'));
  t.end();
});
