/** `netwatch serve` as a child, on a port of 127.0.0.1. */
import { spawn } from 'node:child_process';
import { PROGRAM, type Exit } from './collector.js';
import type { Teardown } from './netns.js';
import { until } from './wait.js';

export interface ServeProcess {
  readonly pid: number;
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly address: string;
  stderr(): string;
  /** The text of a path. */
  get(path: string): Promise<string>;
  readonly exited: Promise<Exit>;
  /** Sends SIGTERM and waits for the end. */
  stop(): Promise<Exit>;
}

/** Starts it and returns when it says where it serves. Port 0: the kernel chooses. */
export async function startServe(
  t: Teardown,
  dataFolder: string,
  { port = 0, args = [] }: { readonly port?: number; readonly args?: readonly string[] } = {},
): Promise<ServeProcess> {
  const line = ['serve', '--data', dataFolder, '--listen', `127.0.0.1:${port}`, ...args];
  // without the hooks with which tap follows child processes: nobody cannot write what they note
  const plain = ['-u', 'NODE_OPTIONS', process.execPath, PROGRAM];
  const child = spawn('env', [...plain, ...line], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const said = /on https?:\/\/(127\.0\.0\.1:(\d+))/;
  const [, address = '', number] = await until(
    () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${stderr}`);
      return said.exec(stderr);
    },
    { what: 'the endpoint says where it serves' },
  );
  return {
    pid: child.pid ?? 0,
    port: Number(number),
    address,
    stderr: () => stderr,
    get: async (path) => (await fetch(`http://${address}${path}`)).text(),
    exited,
    async stop() {
      child.kill('SIGTERM');
      return exited;
    },
  };
}
