/** netwatch's own health: CPU, memory, descriptors, delay of the event loop. */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { libbpfVersion } from '../kernel/source.js';
import type { Snapshot } from '../metrics/snapshot.js';
import { VERSION } from '../version.js';

const US_PER_S = 1e6;
const NS_PER_S = 1e9;

/** Measures itself from its making on; `add` reports and starts the lag anew. */
export class SelfWatch {
  readonly #startSeconds = Date.now() / 1000 - process.uptime();
  readonly #delay = monitorEventLoopDelay({ resolution: 20 });
  readonly #maxFds = openFileLimit();

  constructor() {
    this.#delay.enable();
  }

  add(snapshot: Snapshot): void {
    snapshot.add(
      'netwatch_build_info',
      { version: VERSION, kernel: release(), libbpf: libbpfVersion(), node: process.version },
      1,
    );
    const { user, system } = process.cpuUsage();
    snapshot.add('netwatch_process_cpu_seconds_total', {}, (user + system) / US_PER_S);
    snapshot.add('netwatch_process_resident_memory_bytes', {}, process.memoryUsage.rss());
    snapshot.add('netwatch_process_start_time_seconds', {}, this.#startSeconds);
    snapshot.add('netwatch_process_open_fds', {}, readdirSync('/proc/self/fd').length);
    snapshot.add('netwatch_process_max_fds', {}, this.#maxFds);
    const lag = this.#delay.max / NS_PER_S;
    snapshot.add('netwatch_event_loop_lag_seconds', {}, Number.isFinite(lag) ? lag : 0);
    this.#delay.reset();
  }

  close(): void {
    this.#delay.disable();
  }
}

function openFileLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
}
