/**
 * Options of `netwatch tcprtt`: bcc's, the names of its libbpf version, and those that the eunomia
 * tutorial's program has (--targ_…), which also choose its form of output.
 */
import { InvalidArgumentError, Option, type Command } from 'commander';
import * as parse from '../../cli/parse.js';
import {
  addEitherPort,
  addFamily,
  familyOf,
  filterOf,
  type FamilyOptions,
  type PortOptions,
} from '../../terminal/tool-options.js';
import { parsePrefix, type Prefix } from '../../sources/filter.js';
import type { RttBy, RttOptions, RttUnit } from '../../sources/rtt.js';
import type { CommonOptions, Scope } from '../../terminal/common.js';

export interface TypedOptions extends CommonOptions, FamilyOptions, PortOptions {
  readonly interval?: number;
  readonly timestamp: boolean;
  readonly milliseconds: boolean;
  readonly millisecond: boolean;
  readonly lport?: readonly number[];
  readonly rport?: readonly number[];
  readonly laddr?: readonly Prefix[];
  readonly raddr?: readonly Prefix[];
  readonly byladdr: boolean;
  readonly byraddr: boolean;
  readonly extension: boolean;
  readonly targ_laddr_hist: boolean;
  readonly targ_raddr_hist: boolean;
  readonly targ_show_ext: boolean;
  readonly targ_ms: boolean;
  readonly targ_sport?: readonly number[];
  readonly targ_dport?: readonly number[];
  readonly targ_saddr?: readonly Prefix[];
  readonly targ_daddr?: readonly Prefix[];
}

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

function addEnds(command: Command): void {
  const ports = (flags: string, text: string): void => {
    command.addOption(new Option(flags, text).argParser<number[]>(parse.ports));
  };
  const addresses = (flags: string, text: string): void => {
    command.addOption(new Option(flags, text).argParser<Prefix[]>(parse.addresses));
  };
  ports('-p, --lport <PORTS>', 'these local ports only');
  ports('-P, --rport <PORTS>', 'these remote ports only');
  addresses('-a, --laddr <ADDRESSES>', 'these local addresses or networks only');
  addresses('-A, --raddr <ADDRESSES>', 'these remote addresses or networks only');
  addEitherPort(command);
}

function addTutorialOptions(command: Command): void {
  const flag = (name: string, text: string): void => {
    command.option(`--targ_${name}`, text, false);
  };
  flag('laddr_hist', "like -b, in the tutorial's form");
  flag('raddr_hist', "like -B, in the tutorial's form");
  flag('show_ext', "like -e, in the tutorial's form");
  flag('ms', "like -m, in the tutorial's form");
  for (const [name, text] of [
    ['sport', "like -p, in the tutorial's form"],
    ['dport', "like -P, in the tutorial's form"],
  ] as const)
    command.addOption(new Option(`--targ_${name} <PORT>`, text).argParser<number[]>(parse.ports));
  for (const [name, text] of [
    ['saddr', "like -a, in the tutorial's form"],
    ['daddr', "like -A, in the tutorial's form"],
  ] as const)
    command.addOption(new Option(`--targ_${name} <ADDRESS>`, text).argParser(addressOrNumber));
}

export function addRttOptions(command: Command): void {
  command
    .addOption(
      new Option('-i, --interval <SECONDS>', 'between two reports; without it one at the end') //
        .argParser(parse.seconds),
    )
    .addOption(
      new Option('-d, --duration <SECONDS>', 'stop after this time').argParser(parse.seconds),
    )
    .option('-T, --timestamp', 'show the time of each report', false)
    .option('-m, --milliseconds', 'histograms of milliseconds', false)
    .addOption(new Option('--millisecond', 'the same').default(false).hideHelp());
  addEnds(command);
  command
    .addOption(
      new Option('-b, --byladdr', 'a histogram for each local address')
        .default(false)
        .conflicts('byraddr'),
    )
    .option('-B, --byraddr', 'a histogram for each remote address', false)
    .option('-e, --extension', 'show averages', false)
    .option('-D, --debug', 'the same as --verbose', false);
  addFamily(command);
  addTutorialOptions(command);
}

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
    filter: filterOf(scope, {
      localPorts: [...(lport ?? []), ...(targ_sport ?? [])],
      peerPorts: [...(rport ?? []), ...(targ_dport ?? [])],
      localAddresses: [...(laddr ?? []), ...(targ_saddr ?? [])],
      peerAddresses: [...(raddr ?? []), ...(targ_daddr ?? [])],
      ports: options.port ?? [],
      family: familyOf(options),
    }),
    by: byOf(options),
    unit: unitOf(options),
  };
}
