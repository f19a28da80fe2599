/**
 * Options of `netwatch tcprtt`: bcc's, the names of its libbpf version, and those that the eunomia
 * tutorial's program has (--targ_…), which also choose its form of output.
 */
import { InvalidArgumentError } from 'commander';
import { option } from '../../cli/options.js';
import * as parse from '../../cli/parse.js';
import { CONNECTIONS_WITHOUT_P, filterOf, REPORT_TIME } from '../../terminal/tool-options.js';
import { parsePrefix, type Prefix } from '../../sources/filter.js';
import type { RttBy, RttOptions, RttUnit } from '../../sources/rtt.js';
import type { Scope } from '../../terminal/common.js';
import type { ToolOptions } from '../../terminal/watching-tool.js';

/** Between two reports in the tutorial's form, unless asked otherwise. */
const TUTORIAL_SECONDS = 1;

/** An address, or the number that it is in memory, as the tutorial's program takes it. */
function addressOrNumber(text: string): readonly Prefix[] {
  const isNumber = /^\d+$/.test(text) && Number(text) < 2 ** 32;
  const bytes = new Uint8Array(Uint32Array.of(isNumber ? Number(text) : 0).buffer);
  const prefix = parsePrefix(isNumber ? bytes.join('.') : text);
  if (prefix === null) throw new InvalidArgumentError('It should be an IPv4 or IPv6 address.');
  return [prefix];
}

const PORTS = { parse: parse.ports };
const ADDRESSES = { parse: parse.addresses };
const TUTORIAL_ADDRESS = { parse: addressOrNumber };

export const OPTIONS = {
  ...option('-i, --interval <SECONDS>', 'between two reports; without it one at the end', {
    parse: parse.seconds,
  }),
  ...option('-d, --duration <SECONDS>', 'stop after this time', { parse: parse.seconds }),
  ...REPORT_TIME,
  ...option('-m, --milliseconds', 'histograms of milliseconds'),
  ...option('--millisecond', 'the same', { hidden: true }),
  ...option('-p, --lport <PORTS>', 'these local ports only', PORTS),
  ...option('-P, --rport <PORTS>', 'these remote ports only', PORTS),
  ...option('-a, --laddr <ADDRESSES>', 'these local addresses or networks only', ADDRESSES),
  ...option('-A, --raddr <ADDRESSES>', 'these remote addresses or networks only', ADDRESSES),
  ...option('-b, --byladdr', 'a histogram for each local address', { conflicts: 'byraddr' }),
  ...option('-B, --byraddr', 'a histogram for each remote address'),
  ...option('-e, --extension', 'show averages'),
  // bcc's tcprtt calls it so
  ...option('-D, --debug', 'the same as --verbose', { implies: { verbose: true } }),
  ...option('--targ_laddr_hist', "like -b, in the tutorial's form"),
  ...option('--targ_raddr_hist', "like -B, in the tutorial's form"),
  ...option('--targ_show_ext', "like -e, in the tutorial's form"),
  ...option('--targ_ms', "like -m, in the tutorial's form"),
  ...option('--targ_sport <PORT>', "like -p, in the tutorial's form", PORTS),
  ...option('--targ_dport <PORT>', "like -P, in the tutorial's form", PORTS),
  ...option('--targ_saddr <ADDRESS>', "like -a, in the tutorial's form", TUTORIAL_ADDRESS),
  ...option('--targ_daddr <ADDRESS>', "like -A, in the tutorial's form", TUTORIAL_ADDRESS),
  ...CONNECTIONS_WITHOUT_P,
};
export type TypedOptions = ToolOptions<typeof OPTIONS>;

/** True if one of the tutorial's names was used: then its form of output is wanted. */
export function isTutorial(options: TypedOptions): boolean {
  return Object.entries(options).some(
    ([name, value]) => name.startsWith('targ_') && value !== false && value !== undefined,
  );
}

export function unitOf(options: TypedOptions): RttUnit {
  return options.milliseconds || options.millisecond || options.targ_ms ? 'msecs' : 'usecs';
}

export function byOf(options: TypedOptions): RttBy {
  if (options.byladdr || options.targ_laddr_hist) return 'local';
  return options.byraddr || options.targ_raddr_hist ? 'peer' : 'nothing';
}

export function showsAverage({ extension, targ_show_ext }: TypedOptions): boolean {
  return extension || targ_show_ext;
}

/** Seconds between two reports; null: one at the end. */
export function intervalOf(options: TypedOptions): number | null {
  return options.interval ?? (isTutorial(options) ? TUTORIAL_SECONDS : null);
}

export function rttOptions(options: TypedOptions, scope: Scope): RttOptions {
  const { lport, rport, laddr, raddr, targ_sport, targ_dport, targ_saddr, targ_daddr } = options;
  return {
    filter: filterOf(scope, options, {
      localPorts: [...(lport ?? []), ...(targ_sport ?? [])],
      peerPorts: [...(rport ?? []), ...(targ_dport ?? [])],
      localAddresses: [...(laddr ?? []), ...(targ_saddr ?? [])],
      peerAddresses: [...(raddr ?? []), ...(targ_daddr ?? [])],
    }),
    by: byOf(options),
    unit: unitOf(options),
  };
}
