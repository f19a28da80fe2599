/**
 * Where the bytes that processes send and receive are learned, as the running kernel has it: from
 * tracepoints (6.3), else from the functions themselves, by fexit or, where that is refused, by
 * kprobes. The programs are in bpf/bytes.bpf.c and bpf/insight.bpf.c, by the same names.
 */
import { functionParameters, hasFunction, hasTracepoint } from '../kernel/kernel-btf.js';
import { whyNoTrampoline } from '../kernel/trampoline.js';
import type { Gain } from './plan.js';

export type Transfer = 'send' | 'receive';

/** What the running kernel has, as far as it decides. */
export interface TransferHooks {
  readonly by: 'tracepoint' | 'fexit' | 'kprobe';
  /** tcp_sendpage(), for sendfile(): until 6.5. */
  readonly sendpage: boolean;
  /** Parameters of tcp_recvmsg(): 5 since 5.19, one more before. */
  readonly receiveParameters: number;
}

const RECEIVE_PARAMETERS = 5;

export function transferHooks(): TransferHooks {
  const byFunction = (): 'fexit' | 'kprobe' => (whyNoTrampoline() === null ? 'fexit' : 'kprobe');
  return {
    by: hasTracepoint('sock_send_length') ? 'tracepoint' : byFunction(),
    sendpage: hasFunction('tcp_sendpage'),
    receiveParameters: functionParameters('tcp_recvmsg'),
  };
}

/** All programs, of which a kernel needs some. */
export const TRANSFER_PROGRAMS: Readonly<Record<Transfer, readonly string[]>> = {
  send: [
    'sock_send_length',
    'tcp_sendmsg',
    'tcp_sendpage',
    'sendmsg_begin',
    'sendmsg_end',
    'sendpage_begin',
    'sendpage_end',
  ],
  receive: [
    'sock_recv_length',
    'tcp_recvmsg',
    'tcp_recvmsg_noblock',
    'recvmsg_begin',
    'recvmsg_begin_noblock',
    'recvmsg_end',
  ],
};

const isOfSendfile = (program: string): boolean => program.includes('sendpage');

/** Those that tell of a transfer here. */
export function transferPrograms(transfer: Transfer, hooks: TransferHooks): readonly string[] {
  const { by, sendpage, receiveParameters } = hooks;
  if (transfer === 'receive') {
    const noblock = receiveParameters > RECEIVE_PARAMETERS ? '_noblock' : '';
    return {
      tracepoint: ['sock_recv_length'],
      fexit: [`tcp_recvmsg${noblock}`],
      kprobe: [`recvmsg_begin${noblock}`, 'recvmsg_end'],
    }[by];
  }
  const programs = {
    tracepoint: ['sock_send_length', 'tcp_sendpage'],
    fexit: ['tcp_sendmsg', 'tcp_sendpage'],
    kprobe: ['sendmsg_begin', 'sendmsg_end', 'sendpage_begin', 'sendpage_end'],
  }[by];
  return programs.filter((program) => sendpage || !isOfSendfile(program));
}

/** True if without this program nothing is known of what is sent. */
export const isEssentialToSend = (program: string): boolean =>
  TRANSFER_PROGRAMS.send.includes(program) && !isOfSendfile(program);

/** What each of them is for; `sent` and `received` complete "works without …". */
export function transferGains(sent: string, received: string): Readonly<Record<string, Gain>> {
  const gainOf = (program: string, gives: string): Gain => {
    if (program.startsWith('sock_')) return { gives, since: '6.3' };
    return { gives: isOfSendfile(program) ? `${gives} by sendfile()` : gives };
  };
  const { send, receive } = TRANSFER_PROGRAMS;
  return Object.fromEntries([
    ...send.map((program) => [program, gainOf(program, sent)] as const),
    ...receive.map((program) => [program, gainOf(program, received)] as const),
  ]);
}

/** What takes data from a socket and is no call that receives, by the system call. */
const TAKING = { splice: 'splice() takes', getsockopt: 'TCP_ZEROCOPY_RECEIVE takes' } as const;

/** The programs of bpf/include/taken.bpf.h. */
export const TAKEN_PROGRAMS: readonly string[] = Object.keys(TAKING).flatMap((call) => [
  `sys_enter_${call}`,
  `sys_exit_${call}`,
]);

/** What each of them is for: `what` that is taken. */
export function takenGains(what: string): Readonly<Record<string, Gain>> {
  return Object.fromEntries(
    Object.entries(TAKING).flatMap(([call, takes]) =>
      ['enter', 'exit'].map((end) => [`sys_${end}_${call}`, { gives: `${what} that ${takes}` }]),
    ),
  );
}

/** What is to be said where not every call can be told; nothing elsewhere. */
export function transferNotes({ by }: TransferHooks): readonly string[] {
  return by === 'kprobe'
    ? [
        'sends and receives are told by kprobes: of calls that wait, as many at a time as the kernel watches; the rest is counted as lost',
      ]
    : [];
}
