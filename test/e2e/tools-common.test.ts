// What all tools that watch have in common: each starts, watches, and ends in order, in every format.
import { execFile } from 'node:child_process';
import t from 'tap';
import { loadCommand, commandNames } from '../../src/commands.js';
import type { Tool } from '../../src/terminal/tool.js';
import { bpfObjectsGone, bpfObjectsOf } from '../support/bpf.js';
import { PROGRAM } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { runTcp } from '../support/traffic.js';

const skip = needsRoot;

/** What a tool does not start without, by the flag of the option. */
const NEEDED = new Map([['--name', 'lo']]);
/** Each takes half a second of CPU to start. */
const AT_A_TIME = 4;

const watching = (await Promise.all(commandNames().map(loadCommand))).filter(
  ({ trial }) => trial !== undefined,
);

function neededArgs(tool: Tool): string[] {
  const options = tool.command().options.filter(({ mandatory }) => mandatory);
  return options.flatMap(({ long }) => [long ?? '', NEEDED.get(long ?? '') ?? '']);
}

/** Runs a command to its end, however that is. */
function ended(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: unknown; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(command, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

/** A few tools at once, to the end of the list. */
async function forEach(action: (tool: Tool) => Promise<void>): Promise<void> {
  for (let from = 0; from < watching.length; from += AT_A_TIME)
    await Promise.all(watching.slice(from, from + AT_A_TIME).map(action));
}

t.test('each tool watches, ends at Ctrl-C with 0, and leaves nothing', { skip }, async (t) => {
  await forEach(async (tool) => {
    const namespace = createNamespace(t);
    const { name } = tool;
    const running = await startTool(t, namespace, name, [...neededArgs(tool), '-o', 'json']);
    const objects = bpfObjectsOf(running.pid);
    t.not(objects.programs.length, 0, `${name} has programs in the kernel`);
    await runTcp(namespace);
    t.strictSame(await running.stop(), { code: 0, signal: null }, name);
    t.match(
      running.stderr(),
      /^(netwatch \S+: [^\n]+\n)+$/,
      `${name} says nothing but its messages`,
    );
    t.doesNotThrow(() => running.objects(), `${name} writes whole objects`);
    await bpfObjectsGone(objects);
  });
});

t.test('each tool ends after its time, in the other formats too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  await forEach(async (tool) => {
    for (const format of ['table', 'csv']) {
      const args = [...neededArgs(tool), '-o', format, '--duration', '0.2'];
      const running = await startTool(t, namespace, tool.name, args);
      t.strictSame(await running.exited, { code: 0, signal: null }, `${tool.name} ${format}`);
      t.notMatch(running.stdout(), /undefined|NaN|\[object/, `${tool.name} ${format}`);
    }
  });
});

t.test('a reader that goes away is the end of each tool and no error', { skip }, async (t) => {
  const namespace = createNamespace(t);
  await forEach(async (tool) => {
    const args = [PROGRAM, tool.name, '--netns', namespace.name, ...neededArgs(tool)];
    // what it prints at its end finds nobody either
    const line = `"$0" "$@" --duration 1 | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await ended('bash', ['-c', line, process.execPath, ...args]);
    t.equal(stdout, '0\n', `${tool.name} ends well`);
    t.notMatch(stderr, /EPIPE|bug|rows not shown/, tool.name);
  });
});

t.test('a namespace that is not there is said by each tool', { skip }, async (t) => {
  await forEach(async (tool) => {
    const args = [PROGRAM, tool.name, '--netns', 'nowhere-to-be-found', ...neededArgs(tool)];
    const { code, stderr } = await ended(process.execPath, args);
    t.equal(code, 2, tool.name);
    t.match(stderr, /^netwatch: no network namespace nowhere-to-be-found\n {2}\S/, tool.name);
  });
});
