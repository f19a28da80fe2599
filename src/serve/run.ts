/** `netwatch serve` from its options to its end: gives up root, serves until a signal comes. */
import { constants, setPriority } from 'node:os';
import { resolve } from 'node:path';
import { hostAndPort, type ListenAddress } from '../cli/listen.js';
import { End } from '../process/end.js';
import { keepHeapSmall } from '../process/heap.js';
import { sayAs } from '../process/streams.js';
import { readAssets } from './assets.js';
import { openEndpoint, type Content, type Endpoint } from './endpoint.js';
import { isLoopback } from './hosts.js';
import { LIMITS } from './limits.js';
import { checkDirectory, openWithoutRoot } from './privileges.js';
import { packetsOf } from './request-packets.js';
import { RequestWindow } from './request-window.js';
import { openStore } from './store.js';
import { tailExposition } from './tail.js';
import { WebConfigFile } from './web-config-file.js';

export interface ServeOptions {
  readonly directory: string;
  readonly listen: ListenAddress;
  /** A web configuration file; null: plain HTTP for everybody. */
  readonly webConfig: string | null;
  /** Started by the collector: ends when standard input does. */
  readonly isChild: boolean;
}

const say = sayAs('netwatch');

/** Serves until it is told to end. Throws NetwatchError if it cannot begin. */
export async function runServe(options: ServeOptions): Promise<void> {
  keepHeapSmall();
  const end = new End();
  // The files are watched, so a service has nothing to do when it is told to look at them again.
  end.listen(() => undefined);
  if (options.isChild) process.stdin.on('end', end.come).on('error', end.come).resume();
  // The collector comes first: what it is too late for is lost, a scrape only waits.
  if (options.isChild) setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  try {
    const endpoint = await begin(options);
    await end.reached;
    await endpoint.close();
  } finally {
    // An open pipe would keep this process.
    if (options.isChild) process.stdin.destroy();
  }
}

async function begin({ directory, listen, webConfig }: ServeOptions): Promise<Endpoint> {
  await checkDirectory(directory);
  const configFile = await WebConfigFile.open(webConfig && resolve(webConfig), say);
  // The working directory may change with the user.
  const path = resolve(directory);
  const open = (): Promise<Content> => openWithoutRoot(path, openContent, say);
  const endpoint = await openEndpoint({ listen, configFile, limits: LIMITS, open, say });
  const { address, port } = endpoint.address;
  const where = hostAndPort(address, port);
  if (!isLoopback(address) && webConfig === null)
    say(
      `everybody who reaches ${where} can read this\n` +
        '  set passwords and TLS with --web-config FILE, or listen on 127.0.0.1',
    );
  const scheme = configFile.current.tls === null ? 'http' : 'https';
  say(`serving ${directory} on ${scheme}://${where}/`);
  return endpoint;
}

/** All that is ever loaded of the program is loaded when this is done. */
async function openContent(directory: string): Promise<Content> {
  const assets = await readAssets();
  const store = openStore({ directory, say });
  await store.ready;
  const tail: Content['tail'] = (log, last) => tailExposition(directory, log, last);
  const packets: Content['packets'] = (wanted) => packetsOf(directory, wanted);
  return { store, assets, requests: new RequestWindow({ directory }), packets, tail };
}
