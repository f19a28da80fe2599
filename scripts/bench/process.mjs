/** What /proc says about a process; documented in proc(5) and Documentation/filesystems/proc.rst. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

const MS_PER_S = 1000;
const NS_PER_TICK = 1e7; // USER_HZ is 100 on every architecture we run on

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // gone meanwhile
  }
}

/** @param {string} path */
function list(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** User and system ticks of a stat file; the fields count from behind the name. */
function ticksOf(/** @type {string} */ stat) {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { user: Number(fields[11]), system: Number(fields[12]) };
}

/**
 * CPU time in ns of all threads, by the scheduler's own clock: the same time as utime + stime of
 * /proc/PID/stat, which come in steps of 10 ms. Those stand in where there is no schedstat.
 * @param {number} pid
 */
export function cpuNs(pid) {
  let sum = 0;
  for (const task of list(`/proc/${pid}/task`)) {
    const text = read(`/proc/${pid}/task/${task}/schedstat`);
    if (text === null) {
      const { user, system } = ticksOf(read(`/proc/${pid}/stat`) ?? ') ');
      return (user + system) * NS_PER_TICK;
    }
    sum += Number(text.split(' ')[0]);
  }
  return sum;
}

/** User part of the CPU time in ns, in steps of 10 ms. @param {number} pid */
export function userNs(pid) {
  return ticksOf(read(`/proc/${pid}/stat`) ?? ') ').user * NS_PER_TICK;
}

/**
 * @param {number} pid
 * @param {string} field as in /proc/PID/status: `VmRSS`, `voluntary_ctxt_switches`
 */
export function statusField(pid, field) {
  const text = read(`/proc/${pid}/status`) ?? '';
  return Number(new RegExp(`^${field}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? NaN);
}

/** Resident memory in MB (10^6 bytes). @param {number} pid */
export const rssMb = (pid) => (statusField(pid, 'VmRSS') * 1024) / 1e6;

/** Most resident memory so far in MB. @param {number} pid */
export const peakRssMb = (pid) => (statusField(pid, 'VmHWM') * 1024) / 1e6;

/** What a process holds when a BPF program of it runs: a link, or a perf event before links. */
const ATTACHED = /^anon_inode:(bpf_link|\[perf_event\])$/;

/** True once a program of the process is attached. @param {number} pid */
export function hasAttached(pid) {
  return list(`/proc/${pid}/fd`).some((fd) => {
    try {
      return ATTACHED.test(readlinkSync(`/proc/${pid}/fd/${fd}`));
    } catch {
      return false;
    }
  });
}

/**
 * The BPF programs a process holds, by id, with what the kernel counts about them (fdinfo of a
 * program: kernel/bpf/syscall.c, bpf_prog_show_fdinfo).
 * @param {number} pid
 * @returns {Map<number, {ns: number, runs: number}>}
 */
export function programsOf(pid) {
  const programs = new Map();
  for (const fd of list(`/proc/${pid}/fdinfo`)) {
    const text = read(`/proc/${pid}/fdinfo/${fd}`) ?? '';
    if (!text.includes('\nprog_type:')) continue;
    const field = (/** @type {string} */ name) =>
      Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1]);
    programs.set(field('prog_id'), { ns: field('run_time_ns'), runs: field('run_cnt') });
  }
  return programs;
}

/** Share of one core between two readings. */
export function cpuShare(/** @type {number} */ ns, /** @type {number} */ ms) {
  return ns / 1e9 / (ms / MS_PER_S);
}
