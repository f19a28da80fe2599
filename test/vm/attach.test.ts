// On this kernel: every program that it can have is attached, and the rest is said to be missing.
import t from 'tap';
import { bpfObjectsGone, bpfObjectsOf } from '../support/bpf.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { select } from '../support/samples.js';
import { expectedState, programsInSources, staleRules } from '../support/vm-programs.js';

const EVERYTHING = ['-a', '-x', '-r', '-t', '-i', '-e'];

for (const options of [[], ['-x'], ['-r'], ['-t'], ['-i'], ['-e'], EVERYTHING]) {
  const name = options.join(' ') || 'no option';
  t.test(`with ${name} everything is attached that this kernel can have`, async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q', ...options]);
    const held = bpfObjectsOf(collector.pid);
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    const wanted: Record<string, string> = {};
    const missing: string[] = [];
    for (const program of programsInSources()) {
      const state = expectedState(program, options);
      if (state === 'unasked') continue;
      wanted[`${program.source} ${program.name}`] = `${program.attachType} ${state}`;
      if (state === 'missing') missing.push(program.name);
    }
    const found = select(collector.samples('netwatch.prom'), 'netwatch_bpf_program_attached').map(
      ({ labels: { source, program, attach_type }, value }) =>
        [`${source} ${program}`, `${attach_type} ${value === 1 ? 'attached' : 'missing'}`] as const,
    );
    t.strictSame(Object.fromEntries(found), wanted);
    const said = [...collector.stderr().matchAll(/^netwatch: without ([\w, ]+): \S/gm)];
    const without = said.flatMap(([, programs = '']) => programs.split(', '));
    t.strictSame(without.sort(), missing.sort(), 'and says so, once');
    t.ok(held.programs.length >= found.length - missing.length);
    if (options === EVERYTHING) await t.resolves(bpfObjectsGone(held), 'nothing of it is left');
  });
}

t.test('the rules speak of programs that are there', async (t) => {
  t.ok(programsInSources().length >= 20);
  t.strictSame(staleRules(), []);
});
