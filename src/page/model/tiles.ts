/** The key numbers: what each tile says of a snapshot and of the newest interval. */
import type { PageSnapshot } from '../../serve/types.js';
import { atMost, duration, quantity, UNKNOWN } from './format.js';
import { missingFlag, type Feature } from './flags.js';
import { observations, upperBound } from './histogram.js';
import { having, observed, scalars, total, type Step } from './series.js';
import { retransmitRatio, type Summary } from './summary.js';

export interface TileInput {
  readonly snapshot: PageSnapshot;
  readonly summary: Summary | null;
  readonly minute: Step | null;
}

export interface TileText {
  readonly text: string;
  /** The number itself. */
  readonly value: number | null;
  readonly more: string;
  readonly isBad?: boolean;
}

export interface Tile {
  readonly id: string;
  readonly title: string;
  /** What brings its numbers. */
  readonly feature?: Feature;
  readonly of: (input: TileInput) => TileText;
  /** For the line below. */
  readonly history: (summary: Summary) => number | null;
}

const NO_TILE: TileText = { text: UNKNOWN, value: null, more: '' };

/** `–` while the collector does not run, and the flag where one is missing. */
export function tileText(tile: Tile, input: TileInput | null): TileText {
  if (input?.snapshot.collector !== 'running') return NO_TILE;
  if (tile.feature !== undefined && missingFlag(input.snapshot, tile.feature) !== null)
    return { ...NO_TILE, more: `needs ${FLAG_OF[tile.feature] ?? ''}` };
  return tile.of(input);
}

const FLAG_OF: Partial<Record<Feature, string>> = { retransmits: '-r', faults: '-e', http: '-i' };

const sum = (...values: readonly (number | null | undefined)[]): number | null => {
  const known = values.filter((value) => value !== null && value !== undefined);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
};

const sinceStart = (snapshot: PageSnapshot, name: string, match?: Parameters<typeof total>[2]) =>
  `${quantity(total(snapshot, name, match), 'count')} since start`;

const CONNECTIONS = 'netwatch_tcp_connections_total';

function ioTile(id: string, title: string, direction: 'receive' | 'transmit'): Tile {
  const isIt = having('network_io_direction', direction);
  return {
    id,
    title,
    of: ({ snapshot, summary }) => {
      const value = summary?.bytes[direction] ?? null;
      const all = total(snapshot, 'netwatch_tcp_io_bytes_total', isIt);
      const more = `${quantity(all, 'bytes')} since start`;
      return { text: quantity(value, 'bytesRate'), value, more };
    },
    history: (summary) => summary.bytes[direction],
  };
}

const OPENED: Tile = {
  id: 'opened',
  title: 'Connections opened',
  of: ({ summary }) => {
    const { client = null, server = null } = summary?.opened ?? {};
    const value = sum(client, server);
    const more = `${quantity(client, 'rate')} out, ${quantity(server, 'rate')} in`;
    return { text: quantity(value, 'rate'), value, more };
  },
  history: ({ opened }) => sum(opened.client, opened.server),
};

const FAILED: Tile = {
  id: 'failed',
  title: 'Connections failed',
  of: ({ snapshot, summary }) => {
    const value = summary?.failed ?? null;
    const more = sinceStart(snapshot, CONNECTIONS, (l) => (l['error_type'] ?? '') !== '');
    return { text: quantity(value, 'rate'), value, more, isBad: (value ?? 0) > 0 };
  },
  history: ({ failed }) => failed,
};

const SOCKETS: Tile = {
  id: 'sockets',
  title: 'Open connections',
  of: ({ snapshot }) => {
    const sockets = scalars(snapshot, 'netwatch_tcp_sockets');
    const isListener = having('network_connection_state', 'listen');
    const count = (listening: boolean): number =>
      sockets
        .filter(({ labels }) => isListener(labels) === listening)
        .reduce((all, { value }) => all + (value ?? 0), 0);
    const value = count(false);
    const more = `${quantity(count(true), 'count')} listening`;
    return { text: quantity(value, 'count'), value, more };
  },
  history: ({ sockets }) => sockets,
};

const RTT: Tile = {
  id: 'rtt',
  title: 'Round trip, p50',
  of: ({ snapshot, minute }) => {
    const open = snapshot.roundTrips;
    if (open !== null && open.count > 0) {
      const more = `p95 ${quantity(open.p95, 'seconds')} of ${quantity(open.count, 'count')} open`;
      return { text: quantity(open.p50, 'seconds'), value: open.p50, more };
    }
    const closed = minute === null ? null : observed(minute, 'netwatch_tcp_rtt_fine_seconds');
    const count = closed === null ? 0 : observations(closed);
    if (closed === null || count === 0) return { ...NO_TILE, more: 'no connection measured' };
    const p50 = upperBound(0.5, closed);
    const more = `p95 ${atMost(upperBound(0.95, closed), closed.bounds)} of ${quantity(count, 'count')} closed`;
    return { text: atMost(p50, closed.bounds), value: p50, more };
  },
  history: ({ srtt, rttFine }) =>
    srtt !== null && srtt.count > 0 ? srtt.p50 : rttFine && upperBound(0.5, rttFine),
};

const RETRANSMITS: Tile = {
  id: 'retransmits',
  title: 'Retransmitted',
  feature: 'retransmits',
  of: ({ snapshot, summary }) => {
    const value = summary === null ? null : retransmitRatio(summary);
    const more = sinceStart(snapshot, 'netwatch_tcp_retransmits_total');
    return { text: quantity(value, 'ratio'), value, more };
  },
  history: retransmitRatio,
};

const HTTP: Tile = {
  id: 'http',
  title: 'HTTP requests',
  feature: 'http',
  of: ({ summary }) => {
    const side = busier(summary);
    if (side === null) return { ...NO_TILE, more: 'none seen yet' };
    const p95 = side.p95 === null ? '' : `, p95 ${duration(side.p95)}`;
    const more = `${quantity(side.errors, 'rate')} errors${p95}`;
    return { text: quantity(side.requests, 'rate'), value: side.requests, more };
  },
  history: (summary) => busier(summary)?.requests ?? null,
};

const FAULTS: Tile = {
  id: 'faults',
  title: 'Drops and resets',
  feature: 'faults',
  of: ({ snapshot, summary }) => {
    const value = faultRate(summary) ?? (summary === null ? null : 0);
    const drops = total(snapshot, 'netwatch_skb_drops_total') ?? 0;
    const resets = total(snapshot, 'netwatch_tcp_resets_total') ?? 0;
    const more = `${quantity(drops + resets, 'count')} since start`;
    return { text: quantity(value, 'rate'), value, more };
  },
  history: faultRate,
};

const LOST: Tile = {
  id: 'lost',
  title: 'Events lost',
  of: ({ snapshot }) => {
    const value = total(snapshot, 'netwatch_events_lost_total');
    const all = total(snapshot, 'netwatch_events_total');
    const more = `of ${quantity(all, 'count')}`;
    return { text: quantity(value, 'count'), value, more, isBad: (value ?? 0) > 0 };
  },
  history: ({ lost }) => lost,
};

/** In the order of the page. */
export const TILES: readonly Tile[] = [
  OPENED,
  FAILED,
  SOCKETS,
  ioTile('received', 'Received', 'receive'),
  ioTile('sent', 'Sent', 'transmit'),
  RTT,
  RETRANSMITS,
  HTTP,
  FAULTS,
  LOST,
];

function faultRate(summary: Summary | null): number | null {
  return sum(summary?.drops, summary?.resets.receive, summary?.resets.transmit);
}

/** A request between two processes of this host is seen at both ends. */
function busier(summary: Summary | null): Summary['http']['server'] {
  const { server = null, client = null } = summary?.http ?? {};
  if (server === null || client === null) return server ?? client;
  return client.requests > server.requests ? client : server;
}
