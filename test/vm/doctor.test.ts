// On this kernel: `netwatch doctor` finds what tracefs shows, and every hook that is there is attached.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { ProgramFinding, Report } from '../../src/doctor/report.js';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { hasTrampolines, since, type Version } from '../support/vm-kernel.js';

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

t.test('doctor finds every hook that this kernel has, and no other', async (t) => {
  const { sources } = JSON.parse(doctor(t, '-o', 'json')) as Report;
  const { has } = witnesses();
  const of = (programs: readonly ProgramFinding[]): string[] =>
    programs.map(({ program, reason }) => `${program}: ${reason ?? 'no reason'}`);
  for (const { source, programs } of sources) {
    const wanted = programs.filter((program) => program.wanted);
    t.ok(wanted.length > 0, source);
    const missed = wanted.filter(
      ({ attachType, hook, since: version, attached }) =>
        has(attachType, hook) && since(version as Version) && attached !== true,
    );
    t.strictSame(of(missed), [], `${source}: nothing is missing that this kernel could have`);
    const invented = programs.filter(
      ({ attachType, hook, attached }) => attached === true && !has(attachType, hook),
    );
    t.strictSame(of(invented), [], `${source}: nothing is attached to what is not there`);
    const silent = wanted.filter(({ attached, reason }) => attached !== true && reason === null);
    t.strictSame(of(silent), [], `${source}: what is missing has a reason`);
  }
});

t.test('doctor tells a reader in words what works', async (t) => {
  const text = doctor(t);
  t.match(text, /^This machine$/m);
  t.match(text, /^Source connection$/m);
});
