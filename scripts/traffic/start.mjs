// @ts-check
/**
 * The parent's side of a traffic program: starts one of the programs of this folder inside a
 * namespace and talks to it.
 */
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * What each program takes and answers; the file of that name declares it.
 * @typedef {object} Programs
 * @property {{ options: Partial<import('./tcp-server.mjs').TcpServerOptions>,
 *   ready: { port: number }, result: {}, stopped: import('./tcp-server.mjs').TcpServerTotals }} tcp-server
 * @property {{ options: Partial<import('./tcp-client.mjs').TcpClientOptions>,
 *   ready: { localPorts: number[] }, result: import('./tcp-client.mjs').TcpClientTotals,
 *   stopped: {} }} tcp-client
 * @property {{ options: Partial<import('./http-server.mjs').HttpServerOptions>,
 *   ready: { port: number }, result: {}, stopped: import('./http-server.mjs').HttpServerTotals }} http-server
 * @property {{ options: Partial<import('./http-client.mjs').HttpClientOptions>,
 *   ready: { localPorts: number[] }, result: import('./http-client.mjs').HttpClientTotals,
 *   stopped: {} }} http-client
 * @property {{ options: Partial<import('./cluster-server.mjs').ClusterServerOptions>,
 *   ready: { port: number, workers: number[] }, result: {},
 *   stopped: import('./cluster-server.mjs').ClusterServerTotals }} cluster-server
 */

/**
 * @template {keyof Programs} K
 * @typedef {object} Program
 * @property {number} pid
 * @property {Programs[K]['ready']} ready
 * @property {() => Promise<Programs[K]['result']>} go does the work; exact counts
 * @property {() => Promise<Programs[K]['stopped']>} stop orderly end; exact totals
 * @property {(signal: NodeJS.Signals) => void} signal SIGSTOP makes a listener that accepts nothing
 */

/**
 * @typedef {object} StartOptions
 * @property {string | Uint8Array} [comm] the process's name, up to 15 arbitrary bytes
 * @property {number} [deadlineMs] for each answer; default 30 s
 */

/**
 * @template {keyof Programs} K
 * @param {import('./namespace.mjs').Namespace} namespace
 * @param {K} name
 * @param {Programs[K]['options']} [options]
 * @param {StartOptions} [start]
 * @returns {Promise<Program<K>>}
 */
export async function startProgram(namespace, name, options = {}, start = {}) {
  const { comm, deadlineMs = 30_000 } = start;
  const commBase64 = comm === undefined ? undefined : Buffer.from(comm).toString('base64');
  const script = fileURLToPath(new URL(`${name}.mjs`, import.meta.url));
  const child = namespace.spawnNode(script, [JSON.stringify({ ...options, commBase64 })], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { stdin, stdout, stderr, pid } = child;
  if (!stdin || !stdout || !stderr || pid === undefined) throw new Error(`cannot start ${name}`);

  let errors = '';
  stderr.setEncoding('utf8').on('data', (text) => (errors += text));
  stdin.on('error', () => {}); // its exit is reported below
  const answers = createInterface({ input: stdout });
  /** @type {{ event: string, resolve: (data: any) => void, reject: (e: Error) => void } | undefined} */
  let waiting;
  answers.on('line', (line) => {
    const { event, ...data } = JSON.parse(line);
    if (waiting?.event === event) waiting?.resolve(data);
  });
  child.on('exit', (code, signal) => {
    waiting?.reject(new Error(`${name} ended early (${code ?? signal}): ${errors}`));
  });

  /**
   * @param {string} event
   * @param {string} [command]
   * @returns {Promise<any>}
   */
  const ask = async (event, command) => {
    if (child.exitCode !== null) throw new Error(`${name} ended (${child.exitCode}): ${errors}`);
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const answer = new Promise((resolve, reject) => {
      waiting = { event, resolve, reject };
      const late = () => reject(new Error(`${name}: no '${event}' in ${deadlineMs} ms: ${errors}`));
      timer = setTimeout(late, deadlineMs);
    });
    if (command) stdin.write(command + '\n');
    return answer.finally(() => clearTimeout(timer));
  };

  const ready = await ask('ready');
  return {
    pid,
    ready,
    go: () => ask('result', 'go'),
    stop: () => ask('stopped', 'stop'),
    signal: (signal) => child.kill(signal),
  };
}
