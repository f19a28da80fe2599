// Every source with every filter that it takes, over the same traffic: two parties side by side, with each
// way in which a process comes to a socket, and the same again in another namespace. Nothing foreign and
// nothing missing: what a filter lets through is known from the traffic itself, not from netwatch.
import { dirname } from 'node:path';
import type { Command } from 'commander';
import t, { type Test } from 'tap';
import { buildProgram } from '../../src/program.js';
import { createCgroup } from '../support/cgroup.js';
import { startCollector, type Exit } from '../support/collector.js';
import {
  CLIENT_PORTS,
  FOREIGN,
  openCast,
  WANTED,
  WANTED_PORTS,
  type Deed,
  type Groups,
} from '../support/filter-cast.js';
import {
  FILTERS,
  UNKNOWN_COUNTS,
  SOURCES,
  WITHOUT_CONNECTIONS,
  type Fact,
  type FilterName,
  type Finished,
  type Source,
} from '../support/filter-sources.js';
import { createNamespace, type Namespace, type Teardown } from '../support/netns.js';
import { difference, SAME } from '../support/packets.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { untilWhole } from '../support/tries.js';

const skip = needsRoot;

/** What a filter is asked for, and which deeds that lets through. */
interface FilterCase {
  /** Where it is several options, by the option. */
  readonly value: (place: Surroundings, flag: string) => string | null;
  readonly lets: (deed: Deed, by: By, place: Surroundings) => boolean;
}

interface Surroundings {
  readonly groups: Groups;
  /** Processes that -p names. */
  readonly known: readonly number[];
}

/** The process that a deed is judged by. */
type By = 'owner' | 'caller' | 'listener';

function processOf(deed: Deed, by: By): number | null {
  if (by !== 'listener') return deed[by];
  return deed.kind === 'connection' ? deed.listener : null;
}

const isOf = ({ party, owner }: Deed): boolean => owner !== null && party === WANTED.name;
const isWantedPort = (port: number): boolean => WANTED_PORTS.includes(port);
const isIPv6 = ({ local }: Deed): boolean => local.ip.includes(':');

/** Id of the container of the wanted party. */
const CONTAINER = '4f3c2b1a0d9e'.padEnd(64, '0');

/** The same with a range in it. */
const WANTED_RANGE = `${WANTED_PORTS[0]}-${WANTED_PORTS[4]},${WANTED_PORTS[5]}`;

/** Both parties' clients, and their servers. */
const CLIENTS: readonly string[] = [WANTED.client, FOREIGN.client];
const SERVERS: readonly string[] = [WANTED.server, FOREIGN.server];

/** Some ports of the wanted party's servers; as it is typed, all of the other party's and of clients too. */
const isSome = (port: number): boolean => WANTED_PORTS.slice(0, 3).includes(port);
const SOME_OR_CLIENT = [
  `${WANTED_PORTS[0]}-${WANTED_PORTS[2]}`,
  `${FOREIGN.port}-${FOREIGN.port + 99}`,
  CLIENT_PORTS,
];

/** The name keeps out the other party, addresses the other role, and ports some of the rest. */
const endsWith =
  (values: Readonly<Record<string, readonly string[]>>) =>
  (_: Surroundings, flag: string): string =>
    (flag === '--comm' ? [WANTED.name] : (values[flag] ?? [CLIENT_PORTS])).join(',');

const CASES: Readonly<Record<FilterName, FilterCase>> = {
  pid: {
    value: ({ known }) => known.join(','),
    lets: (deed, by, { known }) => known.includes(processOf(deed, by) ?? 0),
  },
  comm: { value: () => WANTED.name, lets: isOf },
  'local address': {
    value: () => `192.0.2.1,${WANTED.server}`,
    lets: ({ local }) => local.ip === WANTED.server,
  },
  'peer address': {
    value: () => `${WANTED.server}/32`,
    lets: ({ peer }) => peer.ip === WANTED.server,
  },
  'local port': {
    value: () => WANTED_PORTS.join(','),
    lets: ({ local }) => isWantedPort(local.port),
  },
  'peer port': {
    value: () => WANTED_RANGE,
    lets: ({ peer }) => isWantedPort(peer.port),
  },
  'either port': {
    value: () => WANTED_RANGE,
    lets: ({ local, peer }) => isWantedPort(local.port) || isWantedPort(peer.port),
  },
  IPv4: { value: () => null, lets: (deed) => !isIPv6(deed) },
  IPv6: { value: () => null, lets: isIPv6 },
  netns: { value: () => null, lets: () => true },
  cgroup: { value: ({ groups }) => dirname(groups.wanted), lets: isOf },
  unit: { value: () => `no-such,${WANTED.name}`, lets: isOf },
  container: { value: () => CONTAINER.slice(0, 12), lets: isOf },
  clients: {
    value: endsWith({ '--saddr': CLIENTS, '--daddr': SERVERS, '--dport': SOME_OR_CLIENT }),
    lets: (deed) => isOf(deed) && CLIENTS.includes(deed.local.ip) && isSome(deed.peer.port),
  },
  servers: {
    value: endsWith({ '--daddr': CLIENTS, '--saddr': SERVERS, '--sport': SOME_OR_CLIENT }),
    lets: (deed) => isOf(deed) && CLIENTS.includes(deed.peer.ip) && isSome(deed.local.port),
  },
  listeners: {
    value: endsWith({
      '--saddr': SERVERS,
      '--sport': [`${WANTED_PORTS[3]}`, `${FOREIGN.port}-${FOREIGN.port + 99}`],
    }),
    lets: (deed) =>
      isOf(deed) && SERVERS.includes(deed.local.ip) && deed.local.port === WANTED_PORTS[3],
  },
};

/** Insight's name may be a part: this one is in the name of the others alone. */
const PART_OF_OTHERS = 'ted-n';
const isOfOthers = ({ party, owner }: Deed): boolean => owner !== null && party !== WANTED.name;

/** tcprtt counts segments: how many there are of some ports is not known, but of an address. */
function caseFor({ command }: Source, filter: FilterName): FilterCase {
  const usual = CASES[filter];
  if (command === 'insight' && filter === 'comm')
    return { value: () => PART_OF_OTHERS, lets: isOfOthers };
  if (command !== 'tcprtt' || !/^(clients|servers)$/.test(filter)) return usual;
  const isClient = (deed: Deed): boolean =>
    CLIENTS.includes(filter === 'clients' ? deed.local.ip : deed.peer.ip);
  return {
    value: (place, flag) =>
      /port$/.test(flag)
        ? `${WANTED.port}-${FOREIGN.port + 99},${CLIENT_PORTS}`
        : usual.value(place, flag),
    lets: (deed) => isOf(deed) && isClient(deed),
  };
}

/** What is typed for a filter of a source. */
function argsFor(source: Source, filter: FilterName, place: Surroundings): string[] {
  return [source.flags[filter] ?? []].flat().flatMap((flag) => {
    const value = caseFor(source, filter).value(place, flag);
    return [flag, ...(value === null ? [] : [value])];
  });
}

interface Cell {
  readonly source: Source;
  readonly filter: FilterName;
}

const nameOf = ({ source: { command, flags }, filter }: Cell): string =>
  `${command === '' ? 'the collector' : command} ${[flags[filter]].flat().join(' ')}`;

type Running = Cell & { readonly finish: () => Promise<Finished> };

async function start(
  t: Teardown,
  namespace: Namespace,
  cell: Cell,
  place: Surroundings,
): Promise<Running> {
  const { source, filter } = cell;
  const { command } = source;
  // all choose the namespace: there is nothing else to choose where that is the filter
  const args = [...source.args, ...(filter === 'netns' ? [] : argsFor(source, filter, place))];
  const ended = ({ code }: Exit): void => {
    if (code !== 0) throw new Error(`${nameOf(cell)} ended with ${code}`);
  };
  if (command === '') {
    const collector = await startCollector(t, namespace, args);
    const finish = async (): Promise<Finished> => {
      ended(await collector.stop());
      return { objects: [], dataFolder: collector.dataFolder };
    };
    return { ...cell, finish };
  }
  const tool = await startTool(t, namespace, command, ['-o', 'json', ...args]);
  const finish = async (): Promise<Finished> => {
    ended(await tool.stop());
    return { objects: tool.objects(), dataFolder: '' };
  };
  return { ...cell, finish };
}

/** What a source has to say under a filter. */
function wanted(
  { source, filter }: Cell,
  deeds: readonly Deed[],
  place: Surroundings,
  unfiltered: readonly string[],
): string[] {
  const lets = (deed: Deed, by: By): boolean => caseFor(source, filter).lets(deed, by, place);
  const applies = (deed: Deed, [by]: Fact): boolean =>
    by === 'either' ? lets(deed, 'owner') || lets(deed, 'caller') : lets(deed, by);
  const facts = deeds.flatMap((deed) =>
    (source.facts?.(deed) ?? []).filter((fact) => applies(deed, fact)).map(([, text]) => text),
  );
  const chosen = deeds.filter((deed) => lets(deed, 'owner'));
  const used = deeds.filter((deed) => lets(deed, 'caller'));
  const listened = deeds.filter((deed) => lets(deed, 'listener'));
  return [...facts, ...(source.sums?.(chosen, unfiltered, used, listened) ?? [])];
}

/** So many processes share a traffic: each asks for its records all the time. */
const AT_A_TIME = 14;
/** Traffics side by side, so that one is made while another waits for a retransmission. */
t.jobs = 2;

/** Starts are work: more at the same time than there are CPUs do not end sooner. */
const STARTS_AT_A_TIME = 2;

async function startAll(
  t: Teardown,
  namespace: Namespace,
  cells: readonly Cell[],
  place: Surroundings,
): Promise<Running[]> {
  const running: Running[] = [];
  const left = cells.entries();
  const worker = async (): Promise<void> => {
    for (const [i, cell] of left) running[i] = await start(t, namespace, cell, place);
  };
  await Promise.all(Array.from({ length: STARTS_AT_A_TIME }, worker));
  return running;
}

interface Watched {
  readonly name: string;
  readonly own: readonly string[];
  readonly found: readonly string[];
}

/** What each cell has to say of one traffic, and what it has said. */
async function watchCells(t: Teardown, cells: readonly Cell[]): Promise<Watched[]> {
  const [namespace, twin] = [createNamespace(t), createNamespace(t)];
  const [unit, foreign] = ['wanted.service', 'wanted-not.service'];
  const inner = `${unit}/docker-${CONTAINER}.scope`;
  const cgroup = createCgroup(t, unit, inner, foreign);
  const groups = { wanted: `${cgroup}/${inner}`, foreign: `${cgroup}/${foreign}` };
  const [cast, elsewhere] = await Promise.all([
    openCast(namespace, groups, 10_100),
    openCast(twin, groups, 20_100),
  ]);
  const place = { groups, known: cast.known };
  const running = await startAll(t, namespace, cells, place);
  const [deeds] = await Promise.all([cast.play(), elsewhere.play()]);
  const finished = await Promise.all(running.map(({ finish }) => finish()));
  const found = finished.map((one, i) => running[i]?.source.found(one) ?? []);
  const unfiltered = (of: Source): readonly string[] =>
    found[cells.findIndex(({ source, filter }) => source === of && filter === 'netns')] ?? [];
  return cells.map((cell, i) => {
    const once = (all: readonly string[]): readonly string[] =>
      cell.source.once ? [...new Set(all)] : all;
    const own = once(wanted(cell, deeds, place, unfiltered(cell.source)));
    return { name: nameOf(cell), own, found: once(found[i] ?? []) };
  });
}

/** Nothing foreign, but something is missing. */
function lacks({ own, found }: Watched): boolean {
  const { missing, surplus } = difference(own, found);
  return missing.length > 0 && surplus.length === 0;
}

async function runCells(t: Test, cells: readonly Cell[]): Promise<void> {
  const watched = await untilWhole(
    t,
    (own) => watchCells(own, cells),
    (all) => !all.some(lacks),
  );
  for (const { name, own, found } of watched) {
    if (own.length === 0) t.fail(`the traffic has nothing for ${name}`);
    t.strictSame(difference(own, found), SAME, name);
  }
}

/** All cells of some sources, a source's own together: they share the traffic with its unfiltered one. */
function batches(): Cell[][] {
  const all = SOURCES.map((source): Cell[] =>
    FILTERS.filter((filter) => source.flags[filter] !== undefined).map((filter) => ({
      source,
      filter,
    })),
  );
  const made: Cell[][] = [];
  for (const cells of all) {
    const last = made.at(-1);
    if (last === undefined || last.length + cells.length > AT_A_TIME) made.push([...cells]);
    else last.push(...cells);
  }
  return made;
}

for (const cells of batches()) {
  const names = [...new Set(cells.map(({ source }) => source.command || 'the collector'))];
  t.test(
    `each filter of ${names.join(', ')} lets exactly its own through`,
    { skip, buffered: true },
    (t) => runCells(t, cells),
  );
}

/** Long names of the flags that choose connections. */
const CHOOSING =
  /^--(pid|comm|[sdlr]addr|[sdlr]port|localport|remoteport|port|either-port|ipv[46]|netns|cgroup|unit|container)$/;

/** Those of a command; `--lport` without a value shows a column. */
const choosing = (command: Command): string[] =>
  command.options
    .filter(({ hidden }) => !hidden)
    .filter(
      ({ long, required }) => CHOOSING.test(long ?? '') && (required || /--ipv/.test(long ?? '')),
    )
    .map(({ long }) => long ?? '');

t.test('the table has every filter of every command', async (t) => {
  const rowsFor = new Map(SOURCES.map((source) => [source.command, source]));
  const program = await buildProgram(['help']);
  for (const command of [program, ...program.commands]) {
    const flags = choosing(command);
    const row = rowsFor.get(command.name() === 'netwatch' ? '' : command.name());
    if (row === undefined) {
      t.equal(flags.includes('--cgroup'), command.name() in WITHOUT_CONNECTIONS, command.name());
      continue;
    }
    const long = Object.values(row.flags)
      .flat()
      .map(
        (flag) =>
          command.options.find((option) => [option.short, option.long].includes(flag))?.long,
      );
    const all = new Set([...long, ...(UNKNOWN_COUNTS[command.name()] ?? [])]);
    t.strictSame([...all].sort(), flags.sort(), command.name());
  }
});
