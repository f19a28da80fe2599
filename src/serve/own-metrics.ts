/** What the endpoint says about itself: whom it served, what it read, what it costs. */
import { Snapshot } from '../metrics/snapshot.js';
import { readUsage } from '../process/usage.js';
import type { DirectoryStatus } from './types.js';

/** Kinds of paths, so that a scanner's paths do not become series. */
export type Handler = 'metrics' | 'history' | 'page' | 'api' | 'stream' | 'health' | 'none';

export interface Readings {
  readonly directory: DirectoryStatus;
  readonly connections: number;
  readonly streamClients: number;
}

const MS_PER_S = 1000;

export class OwnMetrics {
  readonly #requests = new Map<Handler, Map<number, number>>();
  #slowClients = 0;

  answered(handler: Handler, code: number): void {
    const codes = this.#requests.get(handler) ?? new Map<number, number>();
    this.#requests.set(handler, codes.set(code, (codes.get(code) ?? 0) + 1));
  }

  /** A connection was cut because its client was too slow. */
  cutSlowClient(): void {
    this.#slowClients += 1;
  }

  /** In the text format. */
  render(readings: Readings): Buffer {
    const snapshot = new Snapshot();
    this.#addServed(snapshot, readings);
    addDirectory(snapshot, readings.directory);
    addProcess(snapshot);
    return snapshot.text();
  }

  #addServed(snapshot: Snapshot, { connections, streamClients }: Readings): void {
    for (const [handler, codes] of this.#requests)
      for (const [code, count] of codes)
        snapshot.add('netwatch_endpoint_requests_total', { handler, code }, count);
    snapshot.add('netwatch_endpoint_connections', {}, connections);
    snapshot.add('netwatch_endpoint_stream_clients', {}, streamClients);
    snapshot.add('netwatch_endpoint_slow_clients_total', {}, this.#slowClients);
  }
}

function addDirectory(snapshot: Snapshot, { collector, files }: DirectoryStatus): void {
  snapshot.add('netwatch_collector_up', {}, collector === 'running' ? 1 : 0);
  for (const { name, mtimeMs, error } of files) {
    snapshot.add('netwatch_textfile_mtime_seconds', { file: name }, mtimeMs / MS_PER_S);
    snapshot.add('netwatch_textfile_scrape_error', { file: name }, error === null ? 0 : 1);
  }
}

function addProcess(snapshot: Snapshot): void {
  const usage = readUsage();
  snapshot.add('process_cpu_seconds_total', {}, usage.cpuSeconds);
  snapshot.add('process_resident_memory_bytes', {}, usage.residentBytes);
  snapshot.add('process_start_time_seconds', {}, usage.startSeconds);
  snapshot.add('process_open_fds', {}, usage.openFds);
  snapshot.add('process_max_fds', {}, usage.maxFds);
}
