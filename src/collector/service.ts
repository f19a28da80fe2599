/**
 * The collector as a systemd service (Type=notify): ready when everything is attached and the files
 * are open, then a status line and a sign of life at regular times. Without a service manager this
 * does nothing.
 */
import { createNotifier, type Notifier } from '../kernel/notify.js';
import type { CollectorOptions } from './options.js';

const STATUS_MS = 5000;

/** What is looked at while the collector runs. */
export interface Watched {
  /** Grows whenever the rings are drained, many times a second. */
  readonly drains: number;
  readonly counts: { readonly records: number; readonly lost: number };
}

export interface Service {
  /** Log files are opened anew by `action`. */
  reload(action: () => void): void;
  /** The end has begun; it may take as long as the disk takes. */
  stopping(): void;
  close(): void;
}

/** How often the manager wants a sign of life, in milliseconds; null if it does not. */
export function watchdogMs(env: NodeJS.ProcessEnv, pid: number): number | null {
  const { WATCHDOG_USEC: periodUs = '', WATCHDOG_PID: watched } = env;
  if (!/^[1-9]\d*$/.test(periodUs) || (watched !== undefined && watched !== `${pid}`)) return null;
  return Number(periodUs) / 1000;
}

/** `STATUS=` of a collector that has read so much. */
function statusLine({ counts }: Watched, directory: string): string {
  return `${counts.records} records, ${counts.lost} lost; writing in ${directory}`;
}

/**
 * Says that the collector is ready, and from then on that it lives: at half the period that the
 * manager asks for, if rings have been drained since the last time or the end has begun.
 */
export function startService(
  watched: Watched,
  { data }: Pick<CollectorOptions, 'data'>,
  notify: Notifier = createNotifier(),
): Service {
  let drained = watched.drains;
  let ending = false;
  const tellStatus = (): void => {
    notify({ STATUS: ending ? 'writing what is left' : statusLine(watched, data) });
  };
  const giveSign = (): void => {
    if (watched.drains === drained && !ending) return;
    drained = watched.drains;
    notify({ WATCHDOG: 1 });
  };
  const periodMs = watchdogMs(process.env, process.pid);
  const timers = [setInterval(tellStatus, STATUS_MS)];
  if (periodMs !== null) timers.push(setInterval(giveSign, periodMs / 2));
  for (const timer of timers) timer.unref();
  notify({ READY: 1, STATUS: statusLine(watched, data) });
  return {
    reload(action) {
      const nowUs = process.hrtime.bigint() / 1000n;
      notify({ RELOADING: 1, MONOTONIC_USEC: `${nowUs}` });
      action();
      notify({ READY: 1 });
    },
    stopping() {
      ending = true;
      notify({ STOPPING: 1, STATUS: 'writing what is left' });
    },
    close() {
      for (const timer of timers) clearInterval(timer);
    },
  };
}
