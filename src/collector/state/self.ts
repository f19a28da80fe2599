/** netwatch's own health: CPU, memory, descriptors, delay of the event loop. */
import { release } from 'node:os';
import { libbpfVersion } from '../../kernel/source.js';
import type { Part } from '../../metrics/snapshot.js';
import { readUsage } from '../../process/usage.js';
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

/** Measures itself from its making on; `add` reports and starts the lag anew. */
export class SelfWatch {
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
    const usage = readUsage();
    snapshot.add('netwatch_process_cpu_seconds_total', {}, usage.cpuSeconds);
    snapshot.add('netwatch_process_resident_memory_bytes', {}, usage.residentBytes);
    snapshot.add('netwatch_process_start_time_seconds', {}, usage.startSeconds);
    snapshot.add('netwatch_process_open_fds', {}, usage.openFds);
    snapshot.add('netwatch_process_max_fds', {}, usage.maxFds);
    // A stall that is not over yet counts too.
    const lagMs = Math.max(this.#lagMs, performance.now() - this.#dueMs, 0);
    snapshot.add('netwatch_event_loop_lag_seconds', {}, lagMs / 1000);
    this.#lagMs = 0;
  }
}
