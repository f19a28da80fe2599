/**
 * The collector as a command: terminal, signals, status line, summary. Ends
 * with exit code 0 after a signal, after --duration and when the reader of
 * standard output goes away.
 */
import { performance } from 'node:perf_hooks';
import { setVerbose } from '../kernel/object.js';
import type { ProgramState } from '../kernel/source.js';
import { StandardOutput } from '../sinks/standard-output.js';
import { Collector } from './collector.js';
import { Endpoint, endpointCommand } from './endpoint.js';
import { PROM_FILE } from './files.js';
import type { CollectorOptions } from './options.js';
import { startService, type Service } from './service.js';
import { printSummary } from './summary.js';

const MAX_QUEUED_BYTES = 8 * 2 ** 20;
const STATUS_MS = 1000;
const EXIT_INTERRUPTED = 130;

const say = (message: string): void => {
  process.stderr.write(`netwatch: ${message}\n`);
};

/** Starts, waits for the end, prints the summary. */
export async function runCollector(options: CollectorOptions): Promise<void> {
  const startMs = performance.now();
  if (options.verbose) setVerbose((message) => void process.stderr.write(message));
  const end = withResolvers();
  const bugs: Error[] = [];
  const output = options.quiet
    ? null
    : new StandardOutput({
        stream: process.stdout,
        maxQueuedBytes: MAX_QUEUED_BYTES,
        onClosed: () => {
          end.resolve();
        },
      });
  const collector = await Collector.start(options, {
    say,
    fail: (error) => {
      bugs.push(error instanceof Error ? error : new Error(String(error)));
      end.resolve();
    },
    rows:
      output === null
        ? null
        : {
            write: (bytes, rows) => {
              output.write(bytes, rows);
              output.flush();
            },
            get dropped() {
              return output.stats().dropped;
            },
          },
  });
  const endpoint = startEndpoint(options);
  const service = startService(collector, options);
  listen(collector, end.resolve, service);
  // Not before signals are listened for: whoever reads it may send one.
  announce(collector, options, performance.now() - startMs);
  const status = options.quiet && process.stderr.isTTY ? startStatus(collector) : null;
  const timer =
    options.duration === undefined
      ? null
      : setTimeout(() => {
          end.resolve();
        }, options.duration * 1000);
  await end.promise;
  if (timer !== null) clearTimeout(timer);
  if (status !== null) clearInterval(status);
  service.stopping();
  const [summary] = await Promise.all([collector.stop(), endpoint?.stop()]);
  service.close();
  const taken = (await output?.close()) ?? true;
  printSummary(summary, output?.stats().dropped ?? 0, say);
  if (bugs[0] !== undefined) throw bugs[0];
  if (!taken) process.exit(0);
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

function announce(collector: Collector, options: CollectorOptions, ms: number): void {
  const programs = collector.programs;
  const attached = programs.filter((program) => program.attached).length;
  for (const { source, obstacle } of collector.missing)
    say(`without ${source} records: ${obstacle.reason}; to mend it: ${obstacle.mend ?? ''}`);
  const left = new Set(collector.missing.map(({ source }) => source));
  for (const [reason, names] of reasonsOf(programs.filter(({ source }) => !left.has(source))))
    say(`without ${names.join(', ')}: ${reason}`);
  const files = [...collector.logNames, PROM_FILE];
  say(
    `ready after ${Math.round(ms)} ms: ${attached} programs attached; writing ${files.join(', ')} in ${options.data}`,
  );
}

/** Names of programs that are not attached, by the reason, which often is one for many. */
function reasonsOf(programs: readonly ProgramState[]): Map<string, string[]> {
  const reasons = new Map<string, string[]>();
  for (const { program, reason, attached } of programs) {
    if (attached) continue;
    const text = reason ?? 'not attached';
    reasons.set(text, [...(reasons.get(text) ?? []), program]);
  }
  return reasons;
}

/** Null without --listen. */
function startEndpoint(options: CollectorOptions): Endpoint | null {
  const command = endpointCommand(options);
  if (command === null) return null;
  return new Endpoint(command, { say, pass: (line) => void process.stderr.write(`${line}\n`) });
}

/** First signal: an orderly end. Second: at once. SIGHUP without a terminal: new log files. */
function listen(collector: Collector, end: () => void, service: Service): void {
  let asked = false;
  const stop = (): void => {
    if (asked) process.exit(EXIT_INTERRUPTED);
    asked = true;
    end();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', () => {
    if (process.stdin.isTTY) stop();
    else
      service.reload(() => {
        collector.reopen();
      });
  });
}

function startStatus(collector: Collector): NodeJS.Timeout {
  let before = collector.counts.records;
  return setInterval(() => {
    const { records, lost } = collector.counts;
    process.stderr.write(`\r\x1b[K${records - before} records/s · ${lost} lost`);
    before = records;
  }, STATUS_MS);
}
