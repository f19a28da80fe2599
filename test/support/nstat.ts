/** The kernel's own TCP counters in a namespace, by `nstat`; a witness for everything in sum. */
import type { Namespace } from './netns.js';

const NAMES = [
  'TcpActiveOpens',
  'TcpPassiveOpens',
  'TcpAttemptFails',
  'TcpEstabResets',
  'TcpInSegs',
  'TcpOutSegs',
  'TcpRetransSegs',
  'TcpInErrs',
  'TcpOutRsts',
  'TcpInCsumErrors',
  'TcpExtTCPTimeouts',
  'TcpExtTCPLossProbes',
  'TcpExtTCPLossProbeRecovery',
  'TcpExtTCPFastRetrans',
  'TcpExtTCPSlowStartRetrans',
  'TcpExtTCPSynRetrans',
  'TcpExtTCPSackRecovery',
  'TcpExtTCPLostRetransmit',
  'TcpExtTCPSpuriousRTOs',
  'TcpExtTCPDSACKRecv',
  'TcpExtTCPOFOQueue',
  'TcpExtTCPPureAcks',
  'TcpExtDelayedACKs',
  'TcpExtTCPOrigDataSent',
  'TcpExtTCPDelivered',
  'TcpExtTCPAutoCorking',
  'TcpExtTCPRcvCoalesce',
  'TcpExtTCPFromZeroWindowAdv',
  'TcpExtTCPToZeroWindowAdv',
  'TcpExtTCPWinProbe',
  'TcpExtTCPAbortOnData',
  'TcpExtTCPAbortOnClose',
  'TcpExtTCPAbortOnLinger',
  'TcpExtTCPAbortOnMemory',
  'TcpExtTCPAbortOnTimeout',
  'TcpExtListenOverflows',
  'TcpExtListenDrops',
  'TcpExtTCPBacklogDrop',
  'TcpExtTCPRcvQDrop',
  'TcpExtTW',
] as const;

/** By nstat's names; NaN where this kernel has no such counter, which equals nothing. */
export type Counters = Readonly<Record<(typeof NAMES)[number], number>>;

async function readCounters(namespace: Namespace): Promise<Counters> {
  const text = await namespace.exec('nstat', ['-asz', '-j']);
  const { kernel } = JSON.parse(text) as { kernel: Record<string, number> };
  return byName((name) => kernel[name] ?? NaN);
}

/** Starts counting; the function it gives says how much each counter has grown since. */
export async function countFrom(namespace: Namespace): Promise<() => Promise<Counters>> {
  const before = await readCounters(namespace);
  return async () => {
    const after = await readCounters(namespace);
    return byName((name) => after[name] - before[name]);
  };
}

function byName(value: (name: keyof Counters) => number): Counters {
  return Object.fromEntries(NAMES.map((name) => [name, value(name)])) as Counters;
}
