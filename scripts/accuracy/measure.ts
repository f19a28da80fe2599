/** Runs one injection and compares each exchange with the application's own stamps. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { join } from 'node:path';
import { dropPackets, plainDevice } from '../traffic/faults.js';
import { openNamespace, type Namespace } from '../traffic/namespace.js';
import { UNEXPLAINED } from '../../src/generated/packet.js';
import { ExchangeWatch, type Exchange } from './exchanges.js';
import { STAMPS, type Injection, type Stamps } from './injections.js';

/** What came of one injection. */
export interface Accuracy {
  readonly name: string;
  readonly side: string;
  readonly part: string;
  /** Exchanges of the side that was looked at. */
  readonly exchanges: number;
  /** Of them, those whose largest part was the right one. */
  readonly right: number;
  /** All of whose parts are known. */
  readonly explained: number;
  /** Whose part is at least as long as the delay, and holds what it has to. */
  readonly delayed: number;
  /** Parts and total are equal, to the nanosecond. */
  readonly exactSums: number;
  /** Of the part against the application's stamps, in nanoseconds, from small to large; empty: no witness. */
  readonly errorsNs: readonly number[];
  /** Of these, those within 1 % or 50 µs. */
  readonly close: number;
}

const ALLOWED_SHARE = 0.01;
const ALLOWED_NS = 50_000;
const LOOPBACK = '127.0.0.1';
const WIRE = { server: '10.77.0.1', client: '10.77.0.2' } as const;
/** More than an exchange ever takes. */
const PATIENCE_MS = 20_000;
const MTU = 1500;

async function until(is: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!is()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface Stage {
  readonly server: Namespace;
  readonly client: Namespace;
  readonly address: string;
  close(): void;
}

async function stageFor({ wireSeconds }: Injection): Promise<Stage> {
  const server = openNamespace();
  if (wireSeconds === undefined) {
    server.execSync('ip', ['link', 'set', 'lo', 'mtu', String(MTU)]);
    plainDevice(server);
    return { server, client: server, address: LOOPBACK, close: () => server.close() };
  }
  const client = openNamespace();
  const relay = server.spawn(
    'python3',
    [
      ...[join(import.meta.dirname, 'relay.py'), String(wireSeconds)],
      ...[server.path, `${WIRE.server}/24`, client.path, `${WIRE.client}/24`],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  await once(relay.stdout!, 'data');
  const close = (): void => {
    relay.stdin!.end();
    server.close();
    client.close();
  };
  return { server, client, address: WIRE.server, close };
}

function stampsOf(line: string): Stamps {
  const numbers = line.split(' ').map(Number);
  return Object.fromEntries(STAMPS.map((name, i) => [name, numbers[i]])) as Stamps;
}

interface Application {
  readonly stamps: readonly Stamps[];
  go(): Promise<void>;
}

async function startApplication(
  program: string,
  { server, client, address }: Stage,
  { name, wireSeconds }: Injection,
  count: number,
): Promise<Application> {
  const namespaces = wireSeconds === undefined ? [] : [server.path, client.path];
  const child = server.spawn(program, [name, String(count), '1', address, ...namespaces], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as Readable });
  const stamps: Stamps[] = [];
  const ready = once(lines, 'line');
  await ready;
  lines.on('line', (line) => stamps.push(stampsOf(line)));
  return {
    stamps,
    go: async () => {
      (child.stdin as Writable).write('\n');
      const [code] = (await exit) as [number | null];
      if (code !== 0) throw new Error(`${name}: the application ended with ${String(code)}`);
    },
  };
}

const timeOf = ({ parts, connectNs }: Exchange, part: Injection['part']): number | null =>
  part === 'connect' ? connectNs : (parts[part] ?? null);

function largest({ parts, connectNs }: Exchange): string {
  let most = -1;
  let name = '';
  for (const [part, ns] of [...Object.entries(parts), ['connect', connectNs] as const])
    if (ns !== null && ns > most) [name, most] = [part, ns];
  return name;
}

const sumOf = ({ parts }: Exchange): number =>
  Object.values(parts).reduce<number>((sum, part) => sum + (part ?? NaN), 0);

/** How far from what the application saw; 0: within. */
function errorOf(exchange: Exchange, { part, witness }: Injection, at: Stamps): number {
  const [least, most] = witness?.(at) ?? [0, Infinity];
  const ns = timeOf(exchange, part) ?? NaN;
  return Math.max(0, least - ns, ns - most);
}

function isDelayed(
  exchange: Exchange,
  { part, inner, delays, loss }: Injection,
  at: Stamps,
): boolean {
  const ns = timeOf(exchange, part) ?? NaN;
  const least = delays === true ? at.delay : 0;
  // CPUs may overtake each other on loopback, but not for long
  const isInOrder = loss !== undefined || (exchange.reorderingNs ?? 0) <= ns / 2;
  const inside = inner === undefined ? Infinity : (exchange[inner] ?? 0);
  // what is in a delay is all of it, less what the reader needs on its CPU
  return ns >= least && isInOrder && inside > (delays === true ? ns / 2 : 0);
}

/** `program`: scripts/accuracy/application.c, compiled. Throws if exchanges are missing. */
export async function measure(
  program: string,
  injection: Injection,
  exchanges: number,
): Promise<Accuracy> {
  const { name, side, part, pipelined = 1, loss, witness, most = exchanges } = injection;
  const { ahead = 0 } = injection;
  const count = Math.min(exchanges, most) + ahead;
  const stage = await stageFor(injection);
  let watch: ExchangeWatch | null = null;
  try {
    const application = await startApplication(program, stage, injection, count);
    watch = new ExchangeWatch([stage.server.inode, stage.client.inode]);
    if (loss !== undefined) dropPackets(stage.server, loss(count));
    await application.go();
    const { exchanges: all } = watch;
    const stamps = application.stamps.slice(ahead);
    const wanted = count * pipelined;
    const seen = (): Exchange[] => all.filter((exchange) => exchange.side === side);
    await until(() => seen().length >= wanted, `${name}: ${seen().length} of ${wanted} exchanges`);
    const looked = seen()
      .sort((a, b) => a.number - b.number)
      .filter((_, i) => (i + 1) % pipelined === 0)
      .slice(ahead);
    const errors = looked.map((exchange, i) => errorOf(exchange, injection, stamps[i]!));
    const isClose = (error: number, i: number): boolean =>
      error <= Math.max(ALLOWED_NS, ALLOWED_SHARE * (timeOf(looked[i]!, part) ?? 0));
    return {
      ...{ name, side, part },
      exchanges: looked.length,
      right: looked.filter((exchange) => largest(exchange) === part).length,
      explained: looked.filter(({ unexplained }) => unexplained === UNEXPLAINED.NW_EXPLAINED)
        .length,
      delayed: looked.filter((exchange, i) => isDelayed(exchange, injection, stamps[i]!)).length,
      exactSums: looked.filter((exchange) => sumOf(exchange) === exchange.durationNs).length,
      close: errors.filter(isClose).length,
      errorsNs: witness === undefined ? [] : errors.sort((a, b) => a - b),
    };
  } finally {
    watch?.close();
    stage.close();
  }
}
