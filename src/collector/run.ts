/**
 * The collector as a command: terminal, signals, status line, summary. Ends
 * with exit code 0 after a signal, after --duration and when the reader of
 * standard output goes away.
 */
import { performance } from 'node:perf_hooks';
import { setVerbose } from '../kernel/object.js';
import { announce } from '../process/announce.js';
import { End } from '../process/end.js';
import { Output } from '../process/output.js';
import { isTerminal, messages, sayAs } from '../process/streams.js';
import { checkOptions } from './check-options.js';
import { Collector } from './collector.js';
import { Endpoint, endpointCommand } from './endpoint.js';
import { PROM_FILE } from './files.js';
import type { RowSink } from './packet-rows.js';
import type { CollectorOptions, EndpointOptions } from './options.js';
import { startService } from './service.js';
import { summaryLines } from './summary.js';

const STATUS_MS = 1000;
const STDERR = 2;
/** To the start of the line, and clears it. */
const CLEAR_LINE = '\r\x1b[K';

const say = sayAs('netwatch');

/** Starts, waits for the end, prints the summary. */
export async function runCollector(options: CollectorOptions): Promise<void> {
  const startMs = performance.now();
  checkOptions(options);
  if (options.verbose) setVerbose(messages.write);
  const end = new End();
  let reload = (): void => undefined;
  end.listen(() => {
    reload();
  });
  const isQuiet = options.quiet || options.packets === 'none';
  const output = isQuiet ? null : openOutput(end);
  const collector = await Collector.start(options, {
    say,
    fail: end.fail,
    rows: output === null ? null : rowSink(output),
  });
  const endpoint = startEndpoint(options);
  const service = startService(collector, options);
  reload = () => {
    service.reload(() => {
      collector.reopen();
    });
  };
  const { programs, missing, logNames } = collector;
  const where = `; writing ${[...logNames, PROM_FILE].join(', ')} in ${options.data}`;
  announce({ programs, missing, startMs, where }, say);
  const status = isQuiet && isTerminal(STDERR) ? startStatus(collector) : null;
  end.after(options.duration);
  await end.reached;
  if (status !== null) clearInterval(status);
  service.stopping();
  const [summary] = await Promise.all([collector.stop(), endpoint?.stop()]);
  service.close();
  const notShown = (await output?.close()) ?? 0;
  if (status !== null) messages.write(CLEAR_LINE);
  for (const line of summaryLines(summary, notShown, messages.leftOut)) say(line);
  if (end.bug !== null) throw end.bug;
}

/** A reader that goes away ends the run; a full disk below the rows does not: the files go on. */
function openOutput(end: End): Output {
  return new Output((reason) => {
    if (reason.code === 'reader-gone') end.come();
    else say(`standard output takes no more rows: ${reason.errno}; the files go on`);
  });
}

function rowSink({ rows }: Output): RowSink {
  return {
    write: (bytes, count) => {
      rows.write(bytes, count);
      rows.flush();
    },
    get dropped() {
      return rows.stats().dropped;
    },
  };
}

/** Null without --listen. */
function startEndpoint(options: EndpointOptions): Endpoint | null {
  const command = endpointCommand(options);
  if (command === null) return null;
  const pass = (line: string): void => {
    messages.write(`${line}\n`);
  };
  return new Endpoint(command, { say, pass });
}

/** A line that is replaced each second; left out, and counted, while the terminal takes nothing. */
function startStatus(collector: Collector): NodeJS.Timeout {
  let before = collector.counts.records;
  return setInterval(() => {
    const { records, lost } = collector.counts;
    messages.offer(`${CLEAR_LINE}${records - before} records/s · ${lost} lost`);
    before = records;
  }, STATUS_MS);
}
