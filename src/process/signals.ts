/**
 * What each signal means to netwatch, and that none of them does what Node.js has in mind: SIGUSR1
 * would open a debugger, for any user of the machine, in a process that may be root's.
 *
 * A fault of the program itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) ends it at once, as does
 * SIGKILL; the kernel then detaches what was attached. So do the real-time signals, which have no
 * meaning here. SIGPIPE and SIGXFSZ Node.js ignores itself: they are errors of the write. SIGPROF is
 * left to V8 where Node.js was started with its profiler, which samples with it.
 */

/** Asks it to end: the second one at once. */
const REQUESTS = ['SIGINT', 'SIGTERM', 'SIGQUIT'] as const;

/** Would kill it; ends it in order, however often it comes (SIGXCPU: each second). */
const ENDINGS = [
  ...['SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGPROF', 'SIGIO', 'SIGPWR'],
  ...['SIGXCPU', 'SIGSTKFLT', 'SIGTRAP', 'SIGSYS'],
] as readonly NodeJS.Signals[];

const PROFILER = /^--(cpu[-_]prof|prof|inspect(-brk|-wait)?)(=|$)/;

/** Whether V8 takes samples, or may be asked to, which it does with SIGPROF. */
export function isProfiled(
  execArgv: readonly string[] = process.execArgv,
  nodeOptions: string = process.env['NODE_OPTIONS'] ?? '',
): boolean {
  return [...execArgv, ...nodeOptions.split(/\s+/)].some((option) => PROFILER.test(option));
}

/** Runs before anything else of the program: from then on SIGUSR1 does nothing. */
export function ignoreDebugSignal(): void {
  process.on('SIGUSR1', () => undefined);
}

/** What is done about the signals that end a run. */
export interface EndOfRun {
  /** SIGINT, SIGTERM, SIGQUIT. */
  readonly asked: () => void;
  /** SIGHUP. */
  readonly hungUp: () => void;
  /** Any other that would kill. */
  readonly struck: () => void;
}

export function listenForEnd({ asked, hungUp, struck }: EndOfRun): void {
  for (const signal of REQUESTS) process.on(signal, asked);
  process.on('SIGHUP', hungUp);
  for (const signal of ENDINGS)
    if (signal !== 'SIGPROF' || !isProfiled()) process.on(signal, struck);
}
