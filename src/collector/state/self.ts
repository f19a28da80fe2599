/** netwatch's own health: CPU, memory, descriptors, delay of the event loop. */
import { readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { libbpfVersion } from '../../kernel/source.js';
import type { Part } from '../../metrics/snapshot.js';
import { VERSION } from '../../version.js';

/** What this file writes. */
type Writes = Part<
  | 'netwatch_build_info'
  | 'netwatch_process_cpu_seconds_total'
  | 'netwatch_process_resident_memory_bytes'
  | 'netwatch_process_start_time_seconds'
  | 'netwatch_process_open_fds'
  | 'netwatch_process_max_fds'
  | 'netwatch_event_loop_lag_seconds'
>;

const US_PER_S = 1e6;

/** Measures itself from its making on; `add` reports and starts the lag anew. */
export class SelfWatch {
  readonly #startSeconds = Date.now() / 1000 - process.uptime();
  readonly #maxFds = openFileLimit();

  #dueMs = Infinity;
  #lagMs = 0;

  /** A timer has been set that is to run in `ms`. */
  expect(ms: number): void {
    this.#dueMs = performance.now() + ms;
  }

  /** That timer runs: so much later than it should. */
  arrived(): void {
    this.#lagMs = Math.max(this.#lagMs, performance.now() - this.#dueMs);
  }

  add(snapshot: Writes): void {
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
    // A stall that is not over yet counts too.
    const lagMs = Math.max(this.#lagMs, performance.now() - this.#dueMs, 0);
    snapshot.add('netwatch_event_loop_lag_seconds', {}, lagMs / 1000);
    this.#lagMs = 0;
  }
}

function openFileLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0);
}
