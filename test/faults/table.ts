/**
 * The faults that netwatch is tried with: what happens, who is the witness, what is right, and the
 * tests that prove it. docs/reliability.md is made from it (make contrib); table.test.ts holds that
 * each test exists.
 */

/** A test by its file below test/ and its title as it stands in the source. */
export type Proof = readonly [file: string, title: string];

export interface Fault {
  readonly fault: string;
  /** Against which the result is checked. */
  readonly witness: string;
  readonly result: string;
  readonly proofs: readonly Proof[];
}

export interface FaultGroup {
  readonly title: string;
  readonly faults: readonly Fault[];
}

/** fault | witness | result, then its proofs. */
function fault(row: string, ...proofs: readonly Proof[]): Fault {
  const [what = '', witness = '', result = '', ...rest] = row.split('|').map((cell) => cell.trim());
  if (result === '' || rest.length > 0) throw new Error(`not three cells: ${row}`);
  return { fault: what, witness, result, proofs };
}

const FAULTS = 'e2e/faults.test.ts';
const EXIT = 'e2e/fault-exit.test.ts';
const INPUT = 'e2e/fault-input.test.ts';
const FILES = 'e2e/files.test.ts';
const DISK = 'sinks-faults.test.ts';
const EDGE = 'e2e/process-edge.test.ts';
const ENVIRONMENT = 'e2e/environment.test.ts';
const SERVE = 'e2e/serve.test.ts';
const ENDPOINT = 'faults/endpoint.test.ts';
const LIMITS = 'serve-limits.test.ts';
const SIGNALS = 'faults/signals.test.ts';
const EXACT: Proof = [
  'faults/exact.test.ts',
  'IP counters are lines and counted losses: ${one.what}',
];

export const FAULT_GROUPS: readonly FaultGroup[] = [
  {
    title: 'Loss and maps',
    faults: [
      fault(
        'a ring of 64 KiB under a burst | nstat | lines and counted losses are the packets',
        [FAULTS, 'a ring that is too small loses packets, and counts each'],
        EXACT,
      ),
      fault(
        'the process is stopped (SIGSTOP) and goes on | IP counters of the namespace | nothing lost that fits the ring, the rest counted',
        [FAULTS, 'a reader that stands still loses nothing that fits the ring'],
        [FAULTS, 'a reader that stands still too long loses the rest, exactly'],
        EXACT,
      ),
      fault('the event loop is blocked | the time it was blocked for | its lag shows it', [
        FAULTS,
        'a blocked event loop shows in its lag',
      ]),
      fault('nothing to do, but polled | all loss counters | they stay 0', [
        FAULTS,
        'idle and polled, nothing counts as lost',
      ]),
      fault(
        'losses on purpose (`--simulate-drops`) | IP counters of the namespace | counted and reported as any other',
        [FAULTS, 'losses on purpose are counted and told as any other'],
        EXACT,
      ),
      fault(
        'sockets in TIME_WAIT answer (closed by the client first; IPv4, IPv6, every set of logs) | tcpdump | records are the packets',
        [
          'e2e/account-edges.test.ts',
          "what TIME_WAIT answers with is a packet, too (${options.join(' ')})",
        ],
      ),
      fault(
        'a burst is lost with `-i`; a full disk at the stop | packets seen by the kernel, the rows of each log | packets and HTTP heads counted apart: written + lost = accepted',
        [
          'e2e/account-edges.test.ts',
          'lost packets and lost HTTP records are counted apart, each exactly',
        ],
        ['e2e/account-edges.test.ts', 'a stop on a full disk: the last words are true'],
      ),
      fault('a thousand connections at once | the program that opened them | all tracked', [
        FAULTS,
        'a thousand connections at once are all tracked',
      ]),
      fault('connections come and go | bpftool, memory | tables are as before', [
        FAULTS,
        'tables and memory are as before when connections have come and gone',
      ]),
      fault('one packet, then silence | the log | its line is written', [
        FAULTS,
        'the last packet is written without another one coming',
      ]),
      fault('both CPUs at full speed | nstat | all counted, each connection in order', [
        FAULTS,
        'both CPUs at full speed: all counted, each connection in order',
      ]),
      fault(
        'records across the end of the ring, discarded ones, positions beyond 2^32 | a ring that the test fills | each read once, in order',
        ['engine.test.ts', 'a record that straddles the end of the ring is read in one piece'],
        ['engine.test.ts', 'discarded records are passed over and freed, and do not count'],
        ['engine.test.ts', 'positions beyond 2^32 and up to 2^53 are followed exactly'],
      ),
      fault('connections end while they are read | ss | each living one once', [
        FAULTS,
        'a pull while connections come and go has each living one once',
      ]),
    ],
  },
  {
    title: 'Kernel and rights',
    faults: [
      fault(
        'hooks that this kernel refuses | bpftool | another hook, or a reason per program',
        ['e2e/attach.test.ts', 'every program is attached, and gone after any end'],
        ['e2e/doctor.test.ts', 'every program has an attachment or a reason, every loss its cause'],
      ),
      fault('no BTF | the exit code | one sentence with the file and what to do', [
        ENVIRONMENT,
        'without BTF it names the file and the kernel option',
      ]),
      fault('rights are missing | each right taken away in turn | the missing one is named', [
        ENVIRONMENT,
        'each missing right is named, and none that is there',
      ]),
      fault(
        'cgroup v2 elsewhere, or absent | /proc/mounts | found, or reported once',
        [ENVIRONMENT, 'with cgroup v2 at ${path} every packet is seen'],
        [ENVIRONMENT, 'without cgroup v2 all but packets are seen, and that is said once'],
      ),
      fault(
        'the working directory is removed, few files may be open, a mount point with a tab | the exit code | one sentence, or nothing to notice',
        [ENVIRONMENT, 'a removed working directory is one sentence for each command'],
        [ENVIRONMENT, 'where few files may be open it says so in one sentence'],
        [ENVIRONMENT, 'where Node.js itself needs more files the launcher says so'],
        [ENVIRONMENT, 'with cgroup v2 at an odd name every packet is seen'],
      ),
      fault(
        'a program fails to load | `netwatch_program_attached` | the others run; `--strict` ends',
        [EXIT, 'a program that the kernel refuses is left out, and said to be'],
      ),
      fault('a tracepoint lacks a field | doctor | the programs that need it are left out', [
        ENVIRONMENT,
        'a field that this kernel lacks costs the programs that need it',
      ]),
      fault('libbpf is missing or old | the exit code | the package is named', [
        ENVIRONMENT,
        'without libbpf, or with an old one, it names the package',
      ]),
      fault('started twice | both processes | one per directory, any number beside each other', [
        EXIT,
        'one collector per directory, any number beside each other',
      ]),
      fault(
        'capabilities after the start | /proc/PID/status | only those that are needed',
        ['e2e/service.test.ts', 'as its unit runs it, it works, and keeps CAP_BPF alone'],
        [SERVE, 'as root it becomes nobody, keeps no capability and reads what root wrote'],
      ),
    ],
  },
  {
    title: 'End and crash',
    faults: [
      fault(
        'SIGTERM, SIGINT, SIGHUP under load; a second one | the records accepted | all written, exit code 0; the second ends at once',
        [EXIT, '${signal} under load: all that was accepted is written'],
        [EXIT, 'a signal before anything was read loses nothing'],
        [EXIT, 'what still waits at the end is in the files and in the last state'],
        [EDGE, 'a signal while it starts is an orderly end, too'],
        [EXIT, 'the second signal ends it at once'],
      ),
      fault(
        'any other signal that would kill | exit code, bpftool, counts | an orderly end',
        [SIGNALS, '${signal} ends the collector in order, with every record'],
        [SIGNALS, '${signal} ends the endpoint in order'],
      ),
      fault('SIGUSR1, SIGPIPE, SIGXFSZ | /proc/PID/net | ignored; no debugger is opened', [
        SIGNALS,
        'SIGUSR1 opens no debugger, and no ignored signal ends a run',
      ]),
      fault('SIGKILL | bpftool | nothing left in the kernel, a start repairs the rest', [
        EXIT,
        'SIGKILL leaves nothing in the kernel, and a start repairs the rest',
      ]),
      fault('SIGKILL in the middle of a write | the log, ten times | one torn line at most', [
        EXIT,
        'SIGKILL in the middle of writing, ten times, tears one line at most',
      ]),
      fault('an exception while records are read | the files | flushed, exit code 1', [
        EXIT,
        'an exception while records are read ends it with a flush',
      ]),
      fault(
        'the reader of the rows goes away, or is slow | memory, counts | a quiet end; bounded memory and counted rows',
        [EXIT, 'a reader that goes away ends it quietly'],
        [EXIT, 'a reader that is too slow costs rows, not memory'],
        [EDGE, '${kind.name} ends when nobody reads its rows'],
        [EDGE, '${kind.name} ends quietly when the reader of its rows goes away'],
      ),
      fault(
        'Ctrl-S on the terminal | IP counters of the namespace | nothing lost, SIGTERM works; status lines left out are counted',
        [EDGE, 'Ctrl-S does not stop ${kind.name}, nor its end'],
        [EDGE, 'status lines that a stopped terminal leaves out are counted'],
        EXACT,
      ),
      fault(
        'Ctrl-S on a terminal of another user, or it vanishes | exit code, bpftool | the same: a child writes there',
        [EDGE, 'Ctrl-S on the terminal of another user does not stop ${kind.name}, nor its end'],
        [EDGE, 'the terminal of another user has the last word, and vanishes in order'],
      ),
      fault(
        'the terminal vanishes | exit code, bpftool, IP counters | an orderly end, or it goes on without',
        [EDGE, 'a terminal that vanishes hangs up ${kind.name}'],
        [EDGE, 'a terminal that vanishes takes ${kind.name} along, unheard'],
        [EDGE, 'a terminal hangs up more than once, which is no second signal'],
        [EDGE, '${kind.name} outlives a terminal that it has no rows for'],
        EXACT,
      ),
      fault(
        'standard output or standard error full, closed, unread | the files | they go on',
        [EDGE, 'rows for a full disk: the files of the collector go on'],
        [EDGE, 'rows for a full disk end ${kind.name} with one sentence'],
        [EDGE, '${kind.name} runs and ends with a closed standard error'],
        [EDGE, '${kind.name} runs and ends when standard error is read only'],
        [EDGE, '${kind.name} runs and ends when standard error has lost its reader'],
        [EDGE, '${kind.name} runs and ends when standard error is full'],
        [EDGE, '${kind.name} runs and ends when nobody reads standard error'],
      ),
      fault(
        'what a crash left | the next start | taken over',
        ['sinks.test.ts', 'a lock of another living process holds, one of a dead process does not'],
        ['sinks.test.ts', 'what a crash left between two steps of a rotation is put in order'],
      ),
    ],
  },
  {
    title: 'Files',
    faults: [
      fault(
        'the disk is full, then has room | the accounts of netwatch.prom | all counted, no torn line, resumed',
        [FILES, 'a full disk is survived, counted and left behind'],
        [DISK, 'a full disk: no exit, no torn line, all counted, resumes'],
        [DISK, 'closing on a full disk counts the rest as lost, at once'],
        [DISK, 'an input/output error in the middle of a line'],
      ),
      fault(
        'the disk is slow, or does not answer at all | the time of the end | the end does not wait for ever, the rest is counted',
        [FILES, 'a slow disk does not hold up the end'],
        [DISK, 'a stuck disk does not hold up the exit'],
      ),
      fault(
        'the directory is closed, read-only, or goes away; a link or a folder in place of the log | the files | one sentence at the start; later begun anew, strangers left alone',
        [FILES, 'a data directory that cannot be used ends the start in one sentence'],
        [FILES, 'a log that is taken away is begun anew, what stands in its way is left alone'],
        [DISK, 'permissions revoked while running'],
        [DISK, 'a read-only file system'],
      ),
      fault(
        'rotation under load | the lines of all files | nothing lost, the cap holds',
        [FILES, "rotation under load loses nothing (${gzip.join() || 'plain'})"],
        [FILES, "the files never take more than they may (${gzip.join() || 'plain'})"],
      ),
      fault(
        'another user swaps names between a look and a use, or puts links and files of its own there | that user, at every moment | refused with a sentence; nothing of root changes, nothing is read',
        ['sinks-strangers.test.ts', '${name}, at any moment'],
        ['sinks-strangers.test.ts', 'a log that others have made, or may write to, is not filled'],
        ['sinks-strangers.test.ts', 'links of root lead to the directory, those of others do not'],
        ['e2e/strangers.test.ts', 'what another user has put there before is refused at the start'],
        ['e2e/strangers.test.ts', 'the files of a tool follow no link either'],
        ['e2e/strangers.test.ts', 'an export of root goes where nobody else leads it'],
        [
          'e2e/strangers.test.ts',
          '${name} in place of the log that is rotated: neither written nor packed',
        ],
      ),
      fault(
        'a second collector in a PID and mount namespace of its own | both processes | refused: the lock holds',
        ['e2e/strangers.test.ts', 'another PID and mount namespace is no way around the lock'],
        ['sinks-strangers.test.ts', 'a lock that others have made is not written to'],
      ),
      fault('a rotation is in the way of something | the log | the writing goes on', [
        FILES,
        'a rotation that is in somebody’s way waits, the writing does not',
      ]),
      fault(
        'an external logrotate | the lines of all files | rename or copytruncate, nothing lost',
        [FILES, 'an external logrotate: rename and SIGHUP, or copy and truncate'],
      ),
      fault('any umask | stat | the modes are the same', [
        FILES,
        'modes do not depend on the umask',
      ]),
      fault(
        'netwatch.prom is read while it is written | a thousand readers | each has one whole version',
        [FILES, 'whoever reads netwatch.prom reads one whole version'],
      ),
    ],
  },
  {
    title: 'Endpoint',
    faults: [
      fault(
        'names of 70,000 characters, 20,000 labels, 15 MB of errors, control bytes, names that are no UTF-8 | /api/v1/status, standard error | served, or left out with one short plain sentence',
        [ENDPOINT, 'no file ends the endpoint, and what it says of one is short and plain'],
      ),
      fault('`le` without TYPE, half a histogram | promtool | served as they are', [
        'merge.test.ts',
        'what a scrape takes is served, le without TYPE and half a histogram too',
      ]),
      fault(
        'all 64 sets of `collect[]` at once | the answers | each answered; a body whose clients have left is not made',
        [ENDPOINT, 'all 64 sets of parts are answered at once, and again'],
        ['store.test.ts', 'a body whose clients have left is not made'],
      ),
      fault(
        '200 wrong passwords at once | the order of the answers | a known user does not wait',
        [ENDPOINT, 'a known user does not wait for 200 wrong passwords'],
        [ENDPOINT, 'while a password is checked everything else is answered'],
      ),
      fault('a certificate that is a FIFO | the exit code | one sentence', [
        ENDPOINT,
        'a certificate that is a FIFO ends the start with one sentence',
      ]),
      fault(
        'links, and files of root, in the directory; a directory of root alone | /proc/PID/status | they bring no group, never that of root; one sentence',
        [ENDPOINT, 'a link or a file of root brings the endpoint no group'],
        [ENDPOINT, "what root's collector makes is served without the group of root"],
        [SERVE, "a directory for root's group alone is refused with a sentence"],
        [SERVE, 'a link of another user to the directory leads root nowhere'],
      ),
      fault(
        'scrapes while files are replaced, clients that leave | Content-Length, descriptors | whole answers, nothing left behind',
        ['store.test.ts', 'a thousand reads during replacements each give one whole version'],
        [LIMITS, 'clients that go away in the middle leave nothing behind'],
      ),
      fault(
        'paths that lead out, links, hidden files | the answers | 404, nothing repeated',
        ['serve.test.ts', 'no path leads out, and none is repeated in the answer'],
        [SERVE, 'links and hidden files of the directory are not served'],
      ),
      fault('500 connections that dribble | another client | cut; nobody waits for them', [
        LIMITS,
        '500 connections that dribble their heads are cut, and nobody waits for them',
      ]),
      fault(
        'heads too large, unknown methods, a body of a gigabyte | the answers, memory | refused with a sentence, not read',
        ['serve.test.ts', 'a request that is none gets an answer without a stack'],
        [LIMITS, 'a body of a gigabyte is not read'],
      ),
      fault(
        'no password, a wrong one, old TLS, the default address | the answers | 401, TLS 1.2, 127.0.0.1',
        ['web-config.test.ts', 'without the right password there is nothing to see'],
        ['web-config.test.ts', 'TLS is 1.2 or newer, with the configured certificate'],
        [SERVE, 'it listens where it is told to, on 127.0.0.1 if not told'],
      ),
    ],
  },
  {
    title: 'Input, privacy, identity, time',
    faults: [
      fault(
        'process names with quotes, newlines, escapes, half characters | the strict parser | one line, read back as it was',
        [INPUT, 'process names are told as they are and break nothing'],
      ),
      fault(
        'HTTP bytes that look like lines, 64 KiB of a path | the logs | no extra line, cut with a mark',
        [INPUT, 'HTTP bytes cannot make lines, and long ones are cut with a mark'],
      ),
      fault(
        'what happens twice | the logs, netwatch.prom | twice in the log, one series in the state',
        [INPUT, 'what happens twice is told twice, and once in the state'],
      ),
      fault('NaN, infinities, 2^53 + 1, 2^64 − 1 | the text | exact, without exponents', [
        'metrics.test.ts',
        'numbers are exact and without exponents, as text and as bytes',
      ]),
      fault(
        'HELP and TYPE | promtool | nothing to complain about',
        ['metrics.test.ts', 'every family passes the lint of promtool'],
        ['exposition.test.ts', 'promtool finds nothing wrong with a snapshot of all families'],
      ),
      fault('secrets in HTTP | a search of all outputs | none found', [
        INPUT,
        'secrets of HTTP reach no file and no screen',
      ]),
      fault(
        'a PID is used again, exec in the middle | the program that did it | the old connection keeps its name',
        [INPUT, 'a connection keeps the name it was opened under, through an exec'],
        [INPUT, 'a pid that is used again does not take over connections'],
        [INPUT, 'nobody gets a connection that another one accepted too late'],
      ),
      fault(
        'the clock is set, the machine was suspended, a time namespace | clocks that the test sets | times are right again, durations unaffected',
        [INPUT, 'times are those of this host, also in a time namespace'],
        ['engine.test.ts', 'a step of the wall clock is followed at once, forth and back'],
        [
          'engine.test.ts',
          'after a suspend, when only the wall clock went on, times are right again',
        ],
      ),
    ],
  },
];
