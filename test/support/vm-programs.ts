/**
 * Which programs netwatch has to attach, by option and by kernel. A program that is not named here has
 * to be attached always and everywhere: a new one cannot be left out without anybody noticing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { hasExactTimes, hasTimes, hasTrampolines, since } from './vm-kernel.js';

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

const SECTION = /SEC\("\??(\w+)[^"]*"\)\s+int (?:BPF_(?:PROG|KPROBE|KRETPROBE)\()?(\w+)/g;
const MACRO = /^#define (NW_\w+_PROGRAMS?)\b(?:\(\w+\))?((?:.*\\\n)*.*)/gm;
const USE = /^NW_\w+_PROGRAMS?\b/gm;

/** The macros that stand for programs which several sources have. */
function programMacros(): ReadonlyMap<string, string> {
  const folder = join(BPF, 'include');
  const headers = readdirSync(folder).filter((file) => file.endsWith('.h'));
  const text = headers.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
  return new Map(
    [...text.matchAll(MACRO)].map(([, name = '', body = '']) => [name, body.replace(/\\$/gm, '')]),
  );
}

function withMacros(text: string, macros: ReadonlyMap<string, string>): string {
  const bodies = [...text.replace(/^\s+/gm, '').matchAll(USE)].map(([name]) =>
    withMacros(macros.get(name) ?? '', macros),
  );
  return [text, ...bodies].join('\n');
}

/** The programs in the sources. */
export function programsInSources(): Program[] {
  const macros = programMacros();
  return readdirSync(BPF)
    .filter((file) => file.endsWith('.bpf.c'))
    .flatMap((file) => {
      const text = withMacros(readFileSync(join(BPF, file), 'utf8'), macros);
      const source = file.replace('.bpf.c', '');
      return [...text.matchAll(SECTION)].map(([, attachType = '', name = '']) => ({
        source,
        name,
        attachType,
      }));
    });
}

type Rule = (asked: (option: string) => boolean) => Expected;

const attachedIf = (is: boolean): Expected => (is ? 'attached' : 'unasked');
const attachedOr = (is: boolean): Expected => (is ? 'attached' : 'missing');

const only =
  (option: string): Rule =>
  (asked) =>
    asked(option) ? 'attached' : 'unasked';

const timed: Rule = (asked) => (!asked('-t') ? 'unasked' : hasTimes() ? 'attached' : 'missing');

/** What also takes the points in time of HTTP exchanges. */
const points: Rule = (asked) =>
  asked('-t') ? timed(asked) : attachedIf(asked('-i') && since('5.13'));
const exactPoints: Rule = (asked) => (hasExactTimes() ? points(asked) : 'unasked');

/** Functions of the kernel, where programs can be attached to them. */
const exact: Rule = (asked) => (hasExactTimes() ? timed(asked) : 'unasked');

/** What there is instead of the timed programs. */
const plain: Rule = (asked) => (points(asked) === 'attached' ? 'unasked' : 'attached');

/** Sources that the collector opens; all others are of commands with a source of their own. */
const COLLECTED: ReadonlySet<string> = new Set(['cgroup', 'connection', 'packet', 'fault']);

/** Functions stand in for tracepoints of 6.3; kprobes where nothing else can be attached to them. */
const since63: Rule = () => (since('6.3') ? 'attached' : 'unasked');
const fexit: Rule = () => attachedIf(!since('6.3') && hasTrampolines());
const kprobe: Rule = () => attachedIf(!since('6.3') && !hasTrampolines());
/** sendfile() has a function of its own until 6.5, and no tracepoint. */
const fexitOfSendfile: Rule = () => attachedIf(!since('6.5') && hasTrampolines());
/** One parameter less since 5.19. */
const since519 =
  (rule: Rule): Rule =>
  (asked) =>
    since('5.19') ? rule(asked) : 'unasked';
const before519 =
  (rule: Rule): Rule =>
  (asked) =>
    since('5.19') ? 'unasked' : rule(asked);

/** Of sources that have no rule of their own for them. */
const SHARED_RULES: Readonly<Record<string, Rule>> = {
  // sockets remember by themselves since 5.11
  forget_socket: () => (since('5.11') ? 'unasked' : 'attached'),
  // what io_uring accepts
  ring_submitted: () => attachedIf(since('6.4')),
  ring_submitted_sqe: () => attachedIf(!since('6.4')),
  // who uses a connection
  user_sends: since63,
  user_receives: since63,
  user_reads: () => (since('6.3') ? 'unasked' : 'attached'),
  // drops have a reason since 5.17, which says the same
  tcp_bad_csum: () => (since('5.17') ? 'unasked' : since('5.14') ? 'attached' : 'missing'),
  tcp_drop: () => (since('5.17') ? 'unasked' : 'attached'),
  tcp_cong_state_set: () => (since('5.19') ? 'attached' : 'unasked'),
  sock_send_length: since63,
  sock_recv_length: since63,
  tcp_sendmsg: fexit,
  tcp_sendpage: fexitOfSendfile,
  tcp_recvmsg: since519(fexit),
  tcp_recvmsg_noblock: before519(fexit),
  sendmsg_begin: kprobe,
  sendmsg_end: kprobe,
  sendpage_begin: kprobe,
  sendpage_end: kprobe,
  recvmsg_begin: since519(kprobe),
  recvmsg_begin_noblock: before519(kprobe),
  recvmsg_end: kprobe,
};

/** By source and program. Those that are not named have to be attached always and everywhere. */
const RULES: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  connection: {
    tcp_retransmit_skb: only('-r'),
    tcp_retransmit_synack: only('-r'),
  },
  packet: {
    packet_ingress: plain,
    packet_egress: plain,
    socket_begins: plain,
    // from then on cgroup_skb does not see what TIME_WAIT answers with
    packet_answer: () => (since('6.13') ? 'attached' : 'unasked'),
    http_ends: (asked) => (!asked('-i') ? 'unasked' : since('5.13') ? 'attached' : 'missing'),
    timed_socket_begins: points,
    timed_ingress: points,
    timed_egress: points,
    netif_rx_entry: timed,
    napi_gro_receive_entry: timed,
    napi_gro_frags_entry: timed,
    netif_receive_skb_entry: timed,
    netif_receive_skb_list_entry: timed,
    netif_receive_skb: timed,
    tcp_rcv_space_adjust: points,
    tcp_destroy_sock: points,
    flush_unread: timed,
    net_dev_queue: timed,
    net_dev_start_xmit: timed,
    ip_rcv_core: exact,
    ip6_rcv_core: exact,
    tcp_v4_rcv: exact,
    tcp_v6_rcv: exact,
    sendmsg_entry: exactPoints,
    // the function is gone since 6.5
    sendpage_entry: (asked) => (since('6.5') ? 'unasked' : exactPoints(asked)),
    // where the function itself cannot be had; a tracepoint since 6.16
    tcp_sendmsg_locked: (asked) =>
      hasExactTimes() || !(asked('-t') || (asked('-i') && since('5.13')))
        ? 'unasked'
        : attachedOr(since('6.16')),
  },
  fault: {
    // drops have a reason since 5.17, bad checksums a tracepoint since 5.14
    kfree_skb: (asked) => (since('5.17') ? only('-e')(asked) : 'unasked'),
    tcp_bad_csum: (asked) =>
      !asked('-e') || since('5.17') ? 'unasked' : since('5.14') ? 'attached' : 'missing',
    tcp_send_reset: only('-e'),
    tcp_receive_reset: only('-e'),
    listener_ingress: only('-e'),
  },
  // the tracepoint of 5.19 does it better
  congestion: { tcp_probe: () => (since('5.19') ? 'unasked' : 'attached') },
};

const stateOf = ({ source, name }: Program, asked: (option: string) => boolean): Expected =>
  (RULES[source]?.[name] ?? SHARED_RULES[name])?.(asked) ?? 'attached';

/** What the collector has to do with a program under these options on this kernel. */
export function expectedState(program: Program, options: Options): Expected {
  if (!COLLECTED.has(program.source)) return 'unasked';
  return stateOf(program, (option) => options.includes(option));
}

/** The same for netwatch as a whole: the collector with all options or none, and every command. */
export function expectedOfAll(program: Program): Expected {
  const states = [true, false].map((asked) => stateOf(program, () => asked));
  return states.find((state) => state !== 'unasked') ?? 'unasked';
}

/** Rules about programs that are no longer there. */
export function staleRules(): string[] {
  const names = new Set(
    programsInSources().flatMap(({ source, name }) => [`${source} ${name}`, `any ${name}`]),
  );
  return Object.entries({ ...RULES, any: SHARED_RULES })
    .flatMap(([source, rules]) => Object.keys(rules).map((name) => `${source} ${name}`))
    .filter((name) => !names.has(name));
}
