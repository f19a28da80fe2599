/** What the demo shows of the files netwatch wrote: real lines, chosen to be telling. */

export interface Files {
  readonly table: string;
  readonly connects: string;
  readonly packets: string;
  readonly errors: string;
  readonly state: string;
}

export interface Section {
  readonly title: string;
  readonly about: string;
  readonly lines: readonly string[];
}

export function report({ table, connects, packets, errors, state }: Files): Section[] {
  const [header = '', ...rows] = linesOf(table);
  const samples = samplesIn(connects);
  const packetLines = samplesIn(packets);
  return [
    {
      title: 'On the screen: every packet',
      about: 'Microseconds spent in the MAC, IP and TCP layer; RX 1 = received; HTTP first lines.',
      lines: [
        header,
        ...rows.slice(0, 4),
        ...spread(
          rows.filter((row) => / HTTP\//.test(row)),
          8,
        ),
      ],
    },
    {
      title: 'connects.log: every connection, also those from before the start',
      about: 'Owner, TCP state, retransmits; a line when a value changes.',
      lines: [
        ...samples.filter((line) => line.startsWith('netwatch_connection_info')).slice(0, 4),
        ...spread(
          samples.filter((line) => /_(srtt|cwnd|retransmits|acked)_/.test(line)),
          6,
        ),
      ],
    },
    {
      title: 'packets.log: every packet, one line',
      about: 'The value is the payload; the last number is the time in milliseconds.',
      lines: [
        ...spread(packetLines, 3),
        ...spread(
          packetLines.filter((line) => line.includes('HTTP/')),
          4,
        ),
      ],
    },
    {
      title: 'err.log: what the kernel refused or dropped, and why',
      about: 'Reasons are the names that this kernel gives them.',
      lines: spread(samplesIn(errors), 8),
    },
    {
      title: 'netwatch.prom: connections, retransmits by cause, resets',
      about: 'The state for Prometheus, replaced as a whole; zeros are left out here.',
      lines: nonZero(state, [
        'netwatch_tcp_connections_total',
        'netwatch_tcp_retransmits_total',
        'netwatch_tcp_resets_total',
        'netwatch_tcp_errors_total',
        'netwatch_skb_drops_total',
        'netwatch_tcp_io_bytes_total',
        'netwatch_events_lost_total',
      ]),
    },
    {
      title: 'netwatch.prom: time per layer and packet',
      about: 'netwatch_packet_layer_duration_seconds; all packets, counted in the kernel.',
      lines: histograms(state, 'netwatch_packet_layer_duration_seconds'),
    },
    {
      title: 'netwatch.prom: HTTP durations',
      about: 'http_server_request_duration_seconds, with names and buckets of OpenTelemetry.',
      lines: histograms(state, 'http_server_request_duration_seconds'),
    },
    {
      title: 'netwatch.prom: handshakes and round trips',
      about: 'netwatch_tcp_handshake_duration_seconds and netwatch_tcp_rtt_seconds.',
      lines: [
        ...histograms(state, 'netwatch_tcp_handshake_duration_seconds'),
        ...histograms(state, 'netwatch_tcp_rtt_seconds'),
      ],
    },
  ];
}

function linesOf(text: string): string[] {
  return text.split('\n').filter(Boolean);
}

function samplesIn(text: string): string[] {
  return linesOf(text).filter((line) => !line.startsWith('#'));
}

/** At most `n` of them, from all over the list. */
function spread(lines: readonly string[], n: number): string[] {
  if (lines.length <= n) return [...lines];
  return Array.from({ length: n }, (_, i) => lines[Math.floor((i * lines.length) / n)] ?? '');
}

const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

/** Name, labels and value of the samples of one metric. */
function samplesOf(state: string, name: string): { labels: string; value: number }[] {
  return linesOf(state).flatMap((line) => {
    const [, found, labels = '', value] = SAMPLE.exec(line) ?? [];
    return found === name ? [{ labels, value: Number(value) }] : [];
  });
}

function nonZero(state: string, names: readonly string[]): string[] {
  return names.flatMap((name) =>
    samplesOf(state, name)
      .filter(({ value }) => value !== 0)
      .map(({ labels, value }) => `${name}{${labels}} ${value}`),
  );
}

const BARS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** One line for each label set: count, mean, and the shape of its buckets. */
function histograms(state: string, name: string): string[] {
  const sums = new Map(samplesOf(state, `${name}_sum`).map(({ labels, value }) => [labels, value]));
  const buckets = samplesOf(state, `${name}_bucket`);
  return samplesOf(state, `${name}_count`)
    .filter(({ value }) => value > 0)
    .map(({ labels, value: count }) => {
      const own = buckets
        .filter((bucket) => bucket.labels.replace(/(^|,)le="[^"]*"$/, '') === labels)
        .map((bucket) => bucket.value);
      const shares = own.map((cumulative, i) => (cumulative - (own[i - 1] ?? 0)) / count);
      const shape = shares.map((share) => BARS[Math.ceil(share * 8)] ?? '?').join('');
      const mean = seconds((sums.get(labels) ?? 0) / count);
      return `${String(count).padStart(7)} × ${mean.padStart(9)}  |${shape}|  ${labels || name}`;
    });
}

function seconds(value: number): string {
  if (value >= 1) return `${value.toFixed(2)} s`;
  return value >= 1e-3 ? `${(value * 1e3).toFixed(2)} ms` : `${(value * 1e6).toFixed(1)} µs`;
}
