/** Plays HTTP exchanges of one kind (test/http-exchanges/play.py), and reads what netwatch counted of them. */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import type { Collector } from './collector.js';
import type { Namespace } from './netns.js';
import { losses, select, total, type Sample } from './samples.js';

const SCRIPT = join(import.meta.dirname, '..', 'http-exchanges', 'play.py');
/** As play.py has it. */
export const TIMES = 5;
export const PORT = 7200;
export const SIDES = ['server', 'client'] as const;

export interface Player {
  /** Waits until the script says that it is ready. */
  ready(): Promise<void>;
  /** Its next line. */
  line(): Promise<string>;
  go(): void;
  ended(): Promise<void>;
}

export function play(namespace: Namespace, kind: string, port = PORT): Player {
  const child = namespace.spawn('python3', [SCRIPT, kind, String(port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return {
    line: async () => String((await lines.next()).value),
    ready: async () => {
      await lines.next();
    },
    go: () => child.stdin?.write('\n'),
    ended: async () => {
      const code = await exit;
      if (code !== 0) throw new Error(`${kind} ended with ${String(code)}`);
    },
  };
}

/** Exchanges by side, method, status and error. */
export function counted(
  state: readonly Sample[],
  side: string,
  port = PORT,
): Record<string, number> {
  const counts: Record<string, number> = {};
  const name = `http_${side}_request_duration_seconds_count`;
  for (const { labels, value } of select(state, name, { server_port: String(port) })) {
    const {
      http_request_method: method,
      http_response_status_code: status = '-',
      error_type: error = '-',
    } = labels;
    counts[`${method} ${status} ${error}`] = value;
  }
  return counts;
}

/** Ends the collector; nothing is lost, and no exchange is under way any more. */
export async function stopped(t: Test, collector: Collector): Promise<readonly Sample[]> {
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const state = collector.samples('netwatch.prom');
  t.strictSame(losses(state), {}, 'nothing is lost');
  for (const side of SIDES)
    t.equal(total(state, `http_${side}_active_requests`), 0, 'none is under way any more');
  return state;
}
