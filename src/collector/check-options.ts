/** Options that are right one by one and make no sense together: refused before anything is done. */
import { accessSync, constants } from 'node:fs';
import { NetwatchError } from '../failure.js';
import { logHeader } from '../metrics/exposition.js';
import type { HistoryLog } from '../metrics/families.js';
import { leastKeepBytes } from '../sinks/rotating-options.js';
import type { EndpointOptions, FileOptions, PacketsOptions } from './options.js';

const KIB = 1024;

/** Throws NetwatchError. */
export function checkOptions(options: EndpointOptions & FileOptions & PacketsOptions): void {
  if (options.webConfig !== undefined && options.listen === undefined)
    refuse('--web-config is of no use without --listen', 'add --listen, or leave it out');
  if (options.packets === 'http' && !options.http)
    refuse('--packets http is of no use without -i', 'add -i, or ask for --packets none');
  checkKeepBytes(options);
  checkWebConfig(options);
}

/** What is wrong in it the endpoint says, which is started again until it is right; a wrong path is not mended by that. */
function checkWebConfig({ webConfig }: EndpointOptions): void {
  if (webConfig === undefined) return;
  try {
    accessSync(webConfig, constants.R_OK);
  } catch (error) {
    throw new NetwatchError({
      code: 'environment',
      message: `cannot read the web configuration: ${error instanceof Error ? error.message : String(error)}`,
      next: 'correct the path after --web-config, or the permissions of the file',
    });
  }
}

/** A file begins with the lines that explain it: no other line may fit behind them. */
function checkKeepBytes({ keepBytes, gzip, err, http }: FileOptions): void {
  const logs: HistoryLog[] = ['connects', 'packets'];
  if (http) logs.push('requests');
  if (err) logs.push('err');
  for (const log of logs) {
    const header = logHeader(log).toString();
    const least = leastKeepBytes({ header, gzip });
    if (keepBytes >= least) continue;
    refuse(
      `--keep-bytes ${keepBytes} is too little for ${log}.log, whose files begin with a header of ${header.length} bytes`,
      `give it at least ${Math.ceil(least / KIB)}k`,
    );
  }
}

function refuse(message: string, next: string): never {
  throw new NetwatchError({ code: 'usage', message, next });
}
