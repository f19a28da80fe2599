/** What /proc says about a process; documented in proc(5) and Documentation/filesystems/proc.rst. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

const MS_PER_S = 1000;
const NS_PER_TICK = 1e7; // USER_HZ is 100 on every architecture we run on

/** Null if the process is gone meanwhile. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

interface Ticks {
  readonly user: number;
  readonly system: number;
}

/** User and system ticks of a process, NaN if it is gone; the fields count from behind the name. */
function ticksOf(pid: number): Ticks {
  const stat = read(`/proc/${pid}/stat`) ?? ') ';
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]), system: Number(fields[12]) };
}

/**
 * CPU time in ns of all threads, by the scheduler's own clock: the same time as utime + stime of
 * /proc/PID/stat, which come in steps of 10 ms. Those stand in where there is no schedstat.
 */
export function cpuNs(pid: number): number {
  let sum = 0;
  for (const task of list(`/proc/${pid}/task`)) {
    const text = read(`/proc/${pid}/task/${task}/schedstat`);
    if (text === null) {
      const { user, system } = ticksOf(pid);
      return (user + system) * NS_PER_TICK;
    }
    sum += Number(text.split(' ')[0]);
  }
  return sum;
}

/** User part of the CPU time in ns, in steps of 10 ms. */
export const userNs = (pid: number): number => ticksOf(pid).user * NS_PER_TICK;

/**
 * A number of /proc/PID/status, NaN if it is not there.
 * @param field `VmRSS`, `voluntary_ctxt_switches`
 */
export function statusField(pid: number, field: string): number {
  const text = read(`/proc/${pid}/status`) ?? '';
  return Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? NaN);
}

/** Resident memory in MB (10^6 bytes). */
export const rssMb = (pid: number): number => (statusField(pid, 'VmRSS') * 1024) / 1e6;

/** Most resident memory so far in MB. */
export const peakRssMb = (pid: number): number => (statusField(pid, 'VmHWM') * 1024) / 1e6;

/** What a process holds when a BPF program of it runs: a link, or a perf event before links. */
const ATTACHED = /^anon_inode:(bpf_link|\[perf_event\])$/;

/** True once a program of the process is attached. */
export function hasAttached(pid: number): boolean {
  return list(`/proc/${pid}/fd`).some((fd) => {
    try {
      return ATTACHED.test(readlinkSync(`/proc/${pid}/fd/${fd}`));
    } catch {
      return false;
    }
  });
}

/** What the kernel counts about a program. */
export interface RunCount {
  readonly ns: number;
  readonly runs: number;
}

/**
 * The BPF programs a process holds, by id, with what the kernel counts about them (fdinfo of a
 * program: kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
 */
export function programsOf(pid: number): Map<number, RunCount> {
  const programs = new Map<number, RunCount>();
  for (const fd of list(`/proc/${pid}/fdinfo`)) {
    const text = read(`/proc/${pid}/fdinfo/${fd}`) ?? '';
    if (!text.includes('\nprog_type:')) continue;
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1]);
    programs.set(field('prog_id'), { ns: field('run_time_ns'), runs: field('run_cnt') });
  }
  return programs;
}

/** Share of one core that `ns` of CPU time in `ms` are. */
export const cpuShare = (ns: number, ms: number): number => ns / 1e9 / (ms / MS_PER_S);
