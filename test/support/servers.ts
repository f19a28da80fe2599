/** Real servers on loopback for tests: Prometheus and node_exporter; each ends with its test. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from './collector.js';
import type { Teardown } from './netns.js';
import { until } from './wait.js';

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface Server {
  /** `127.0.0.1:port` */
  readonly address: string;
  /** What it has written to standard error. */
  log(): string;
  stop(): Promise<void>;
}

async function startServer(
  t: Teardown,
  program: string,
  port: number,
  args: readonly string[],
): Promise<Server> {
  const address = `127.0.0.1:${port}`;
  const child = spawn(program, [`--web.listen-address=${address}`, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'exit');
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
  };
  t.teardown(() => (child.exitCode === null ? stop() : undefined));
  // Not `/`: that is the page, whose files an unpacked package does not find. Prometheus answers 503
  // until it is ready; node_exporter does not know the path, which is an answer too.
  await until(async () => (await fetch(`http://${address}/-/ready`)).status < 500, {
    what: `${program} answers`,
    everyMs: 50,
  });
  return { address, log: () => log, stop };
}

/** node_exporter with nothing but its textfile collector. */
export async function startNodeExporter(t: Teardown, directory: string): Promise<Server> {
  return startServer(t, 'prometheus-node-exporter', await freePort(), [
    '--collector.disable-defaults',
    '--collector.textfile',
    `--collector.textfile.directory=${directory}`,
  ]);
}

/** One series of an instant query. */
export interface QueryResult {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [seconds: number, value: string];
}

export interface Prometheus extends Server {
  /** An instant query; `seconds` since 1970, default now. */
  query(expression: string, seconds?: number): Promise<readonly QueryResult[]>;
  /** The value of an expression that gives exactly one series, else null. */
  value(expression: string): Promise<number | null>;
  /** Reads a path of its HTTP API as JSON. */
  api(path: string): Promise<unknown>;
}

export interface PrometheusOptions {
  /** Job name to target addresses. */
  readonly jobs?: Readonly<Record<string, string>>;
  /** Its database; default: a new one. */
  readonly storage?: string;
  /** More of the configuration file. */
  readonly configuration?: string;
}

/** Scrapes its jobs each second. */
export async function startPrometheus(
  t: Teardown,
  { jobs = {}, storage, configuration = '' }: PrometheusOptions,
): Promise<Prometheus> {
  const folder = temporaryFolder(t);
  const database = storage ?? join(folder, 'tsdb');
  mkdirSync(database, { recursive: true });
  const scrapes = Object.entries(jobs).map(
    ([job, address]) =>
      `  - {job_name: ${job}, static_configs: [{targets: ['${address}']}], scrape_interval: 1s}\n`,
  );
  const file = join(folder, 'prometheus.yml');
  writeFileSync(file, `scrape_configs:\n${scrapes.join('')}${configuration}`);
  const server = await startServer(t, 'prometheus', await freePort(), [
    `--config.file=${file}`,
    `--storage.tsdb.path=${database}`,
  ]);
  const api = async (path: string): Promise<unknown> =>
    (await fetch(`http://${server.address}${path}`)).json();
  const query: Prometheus['query'] = async (expression, seconds) => {
    const at = seconds === undefined ? '' : `&time=${seconds}`;
    const answer = await api(`/api/v1/query?query=${encodeURIComponent(expression)}${at}`);
    const { status, error, data } = answer as {
      readonly status: string;
      readonly error?: string;
      readonly data?: { readonly result: readonly QueryResult[] };
    };
    if (status !== 'success') throw new Error(`${expression}: ${error}`);
    return data?.result ?? [];
  };
  const value: Prometheus['value'] = async (expression) => {
    const found = await query(expression);
    return found.length === 1 ? numberOf(found[0]!) : null;
  };
  return { ...server, api, query, value };
}

/** The value of a series, as a number. */
export function numberOf({ value }: QueryResult): number {
  return Number(value[1].replace('Inf', 'Infinity'));
}
