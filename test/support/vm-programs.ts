/**
 * Which programs netwatch has to attach, by option and by kernel. A program that is not named here has
 * to be attached always and everywhere: a new one cannot be left out without anybody noticing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { hasExactTimes, hasTimes, since } from './vm-kernel.js';

const BPF = resolve(import.meta.dirname, '../../bpf');

export type Options = readonly string[];

/**
 * attached; missing: it is asked for, but this kernel lacks something, which has to be said; unasked:
 * another program does its work here, or no option needs it.
 */
export type Expected = 'attached' | 'missing' | 'unasked';

export interface Program {
  readonly source: string;
  readonly name: string;
  /** As in `tp_btf`. */
  readonly attachType: string;
}

/** The programs in the sources. */
export function programsInSources(): Program[] {
  return readdirSync(BPF)
    .filter((file) => file.endsWith('.bpf.c'))
    .flatMap((file) => {
      const text = readFileSync(join(BPF, file), 'utf8');
      const found = text.matchAll(/SEC\("\??(\w+)[^"]*"\)\s+int (?:BPF_PROG\()?(\w+)/g);
      const source = file.replace('.bpf.c', '');
      return [...found].map(([, attachType = '', name = '']) => ({ source, name, attachType }));
    });
}

type Rule = (asked: (option: string) => boolean) => Expected;

const only =
  (option: string): Rule =>
  (asked) =>
    asked(option) ? 'attached' : 'unasked';

const timed: Rule = (asked) => (!asked('-t') ? 'unasked' : hasTimes() ? 'attached' : 'missing');

/** Functions of the kernel, where programs can be attached to them. */
const exact: Rule = (asked) => (hasExactTimes() ? timed(asked) : 'unasked');

/** What there is instead of the timed programs. */
const plain: Rule = (asked) => (timed(asked) === 'attached' ? 'unasked' : 'attached');

/** Sources of which only tools load programs; `netwatch doctor` tries them all, see test/vm/doctor.test.ts. */
const OF_TOOLS = new Set(['insight']);

const RULES: Readonly<Record<string, Rule>> = {
  tcp_retransmit_skb: only('-r'),
  tcp_retransmit_synack: only('-r'),
  // sockets remember by themselves since 5.11
  forget_socket: () => (since('5.11') ? 'unasked' : 'attached'),
  packet_ingress: plain,
  packet_egress: plain,
  timed_ingress: timed,
  timed_egress: timed,
  netif_rx_entry: timed,
  napi_gro_receive_entry: timed,
  napi_gro_frags_entry: timed,
  netif_receive_skb_entry: timed,
  netif_receive_skb_list_entry: timed,
  netif_receive_skb: timed,
  tcp_rcv_space_adjust: timed,
  tcp_destroy_sock: timed,
  flush_unread: timed,
  net_dev_queue: timed,
  net_dev_start_xmit: timed,
  ip_rcv_core: exact,
  ip6_rcv_core: exact,
  tcp_v4_rcv: exact,
  tcp_v6_rcv: exact,
  sendmsg_entry: exact,
  // the function is gone since 6.5
  sendpage_entry: (asked) => (since('6.5') ? 'unasked' : exact(asked)),
  // where the function itself cannot be had; a tracepoint since 6.16
  tcp_sendmsg_locked: (asked) =>
    hasExactTimes() || !asked('-t') ? 'unasked' : since('6.16') ? 'attached' : 'missing',
  // drops have a reason since 5.17, bad checksums a tracepoint since 5.14
  kfree_skb: (asked) => (since('5.17') ? only('-e')(asked) : 'unasked'),
  tcp_bad_csum: (asked) =>
    !asked('-e') || since('5.17') ? 'unasked' : since('5.14') ? 'attached' : 'missing',
  tcp_send_reset: only('-e'),
  tcp_receive_reset: only('-e'),
};

/** What the collector has to do with a program under these options on this kernel. */
export function expectedState({ source, name }: Program, options: Options): Expected {
  if (OF_TOOLS.has(source)) return 'unasked';
  return RULES[name]?.((option) => options.includes(option)) ?? 'attached';
}

/** Rules about programs that are no longer there. */
export function staleRules(): string[] {
  const names = new Set(programsInSources().map(({ name }) => name));
  return Object.keys(RULES).filter((name) => !names.has(name));
}
