// On this kernel: `netwatch doctor` finds what tracefs shows, and every program of every source and command is
// attached to its hook or has a reason not to be.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { ProgramFinding, Report } from '../../src/doctor/report.js';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { hasExactTimes, hasTimes, hasTrampolines, since } from '../support/vm-kernel.js';
import { expectedOfAll } from '../support/vm-programs.js';

const TRACEFS = '/sys/kernel/tracing';

/** Tracepoints and functions of this kernel, as it lists them itself. */
function witnesses(): { has: (attachType: string, hook: string) => boolean } {
  const lines = (file: string): string[] => readFileSync(`${TRACEFS}/${file}`, 'utf8').split('\n');
  const events = new Set(lines('available_events').map((line) => line.split(':')[1] ?? ''));
  const functions = new Set(lines('available_filter_functions').map((line) => line.split(' ')[0]));
  return {
    has(attachType, hook) {
      switch (attachType) {
        case 'tp_btf':
        case 'tracepoint':
          return events.has(hook.replace(/^.*\//, ''));
        case 'fentry':
        case 'fexit':
          return hasTrampolines() && functions.has(hook);
        case 'kprobe':
        case 'kretprobe':
          return functions.has(hook);
        default:
          return true;
      }
    },
  };
}

/** What it says; it ends well where everything works as far as the kernel allows. */
function doctor(t: Test, ...args: string[]): string {
  const line = [PROGRAM, 'doctor', '--data', temporaryFolder(t), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, line, { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  return stdout;
}

/** Whether another program of the source gives the same. */
const hasStandIn = (programs: readonly ProgramFinding[], { gives, program }: ProgramFinding) =>
  programs.some((one) => one.program !== program && one.gives === gives && one.attached === true);

/** What is wrong with how a program got on; null if nothing is. */
function faultOf(
  { source, programs }: Report['sources'][number],
  one: ProgramFinding,
  isThere: boolean,
): string | null {
  const { program: name, attachType, wanted, attached, reason } = one;
  if ((attached === true) !== (reason === null && wanted)) return `reason: ${String(reason)}`;
  if (!isThere) return attached === true ? 'attached to what is not there' : null;
  switch (expectedOfAll({ source, name, attachType })) {
    case 'attached':
      if (!wanted) return hasStandIn(programs, one) ? null : 'left out without a stand-in';
      return attached === true ? null : `this kernel could have it: ${String(reason)}`;
    case 'missing':
      return attached === true || !wanted ? 'not said to be missing' : null;
    case 'unasked':
      return wanted ? 'not needed here' : null;
  }
}

t.test('doctor finds every hook that this kernel has, and no other', async (t) => {
  const text = doctor(t, '-o', 'json');
  const report = JSON.parse(text) as Report;
  const { VM_REPORT } = process.env; // for the table of kernels
  if (VM_REPORT !== undefined) writeFileSync(VM_REPORT, text);
  const { has } = witnesses();
  for (const source of report.sources) {
    t.ok(source.programs.length > 0, source.source);
    const wrong = source.programs.flatMap((program) => {
      const fault = faultOf(source, program, has(program.attachType, program.hook));
      return fault === null ? [] : `${program.program}: ${fault}`;
    });
    t.strictSame(wrong, [], source.source);
  }
  for (const { verdict, without, problem } of [...report.flags, ...report.tools]) {
    t.equal(verdict === 'degraded', without.length > 0);
    t.equal(verdict === 'cannot', problem !== null);
  }
  const time = report.flags.find(({ flag }) => flag.startsWith('-t'));
  t.equal(time?.verdict === 'cannot', !hasTimes());
  const untimed = time?.without.some(({ what }) => what.includes('times of received packets'));
  t.equal(untimed, hasTimes() && !hasExactTimes() && !since('6.2'), 'functions tell them, too');
});

t.test('doctor tells a reader in words what works', async (t) => {
  const text = doctor(t, '--no-load'); // what loading says has just been seen
  t.match(text, /^This machine$/m);
  t.match(text, /^Source connection$/m);
});
