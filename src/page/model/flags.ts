/** Why a panel has nothing to show: the option that brings its numbers, or that nothing happened. */
import type { PageSnapshot } from '../../serve/types.js';
import { having, hasFamily, scalars } from './series.js';

export type Feature = 'connections' | 'layers' | 'http' | 'retransmits' | 'faults';

const FLAGS: Readonly<Record<Feature, readonly [flag: string, what: string]>> = {
  connections: ['-x', 'The values of single connections'],
  layers: ['-t', 'Times of packets in each layer'],
  http: ['-i', 'HTTP requests'],
  retransmits: ['-r', 'Retransmits by cause'],
  faults: ['-e', 'Drops and resets by reason'],
};

/** Null if the collector does not run, or if the option is there. */
export function missingFlag(snapshot: PageSnapshot | null, feature: Feature): string | null {
  if (snapshot?.collector !== 'running' || isCollected(snapshot, feature)) return null;
  const [flag, what] = FLAGS[feature];
  return `${what} need the option ${flag}. Start netwatch with it: sudo netwatch ${flag}`;
}

function isCollected(snapshot: PageSnapshot, feature: Feature): boolean {
  switch (feature) {
    case 'connections':
      return hasValues(snapshot) || !hasOpenSockets(snapshot);
    case 'layers':
      return hasFamily(snapshot, 'netwatch_packet_layer_duration_seconds');
    case 'http':
      return hasFamily(snapshot, 'netwatch_http_resyncs_total');
    case 'retransmits':
      return hasFamily(snapshot, 'netwatch_tcp_retransmits_total');
    case 'faults':
      // Without a drop or a reset so far, there is no series of them.
      return scalars(snapshot, 'netwatch_events_total').some(({ labels }) =>
        having('source', 'fault')(labels),
      );
    default:
      return feature satisfies never;
  }
}

/** A value that only -x brings. In the history connections are left out, which says nothing. */
function hasValues({ connections }: PageSnapshot): boolean {
  if (connections === null) return true;
  const at = connections.columns.indexOf('cwnd_segments');
  return at >= 0 && connections.rows.some((row) => row[at] !== null);
}

function hasOpenSockets(snapshot: PageSnapshot): boolean {
  return scalars(snapshot, 'netwatch_tcp_sockets').some(
    ({ labels, value }) => labels['network_connection_state'] !== 'listen' && (value ?? 0) > 0,
  );
}
