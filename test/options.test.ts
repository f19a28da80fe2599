/**
 * Options as data: what commander makes of them, and the types of what was typed. The lines marked
 * @ts-expect-error are the test that a wrong use does not compile: `make check` fails if one does.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import t from 'tap';
import {
  addOptions,
  argument,
  newCommand,
  option,
  valuesOf,
  type ValuesOf,
} from '../src/cli/options.js';
import { withinLimits } from '../src/cli/ends.js';
import { FILTER_LIST_LIMIT, NO_FILTER } from '../src/sources/filter.js';
import type { LiveSource } from '../src/sources/live.js';
import { column } from '../src/terminal/column.js';
import { eventTool } from '../src/terminal/event-tool.js';

const OPTIONS = {
  ...argument('[seconds]', 'how long', { parse: Number }),
  ...option('-w, --wide-columns', 'a switch'),
  ...option('--no-load', 'a switch that is on'),
  ...option('-n, --count <N>', 'a value that may be absent', {
    parse: (text: string): number => {
      if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It should be a number.');
      return Number(text);
    },
  }),
  ...option('--level <LEVEL>', 'one of some', { choices: ['low', 'high'], default: 'low' }),
  ...option('--to <FILE>', 'text'),
};
type Typed = ValuesOf<typeof OPTIONS>;

function parsed(...args: string[]): Typed {
  const command = new Command('x').exitOverride().configureOutput({ writeErr: () => undefined });
  addOptions(command, OPTIONS);
  command.parse(args, { from: 'user' });
  return valuesOf(command, OPTIONS);
}

t.test('what was typed stands under the names of the options', (t) => {
  t.strictSame(parsed(), { wideColumns: false, load: true, level: 'low' });
  t.strictSame(parsed('5', '-w', '--no-load', '-n', '7', '--level', 'high', '--to', 'f'), {
    ...{ seconds: 5, wideColumns: true, load: false, count: 7, level: 'high', to: 'f' },
  });
  t.throws(() => parsed('-n', 'x'), CommanderError);
  t.throws(() => parsed('--level', 'middle'), CommanderError);
  t.end();
});

t.test('help shows no default of a switch', (t) => {
  const command = new Command('x');
  addOptions(command, OPTIONS);
  t.match(command.helpInformation(), /--level <LEVEL> +one of some \(choices: .*default: "low"\)/);
  t.notMatch(command.helpInformation(), 'default: false');
  t.end();
});

t.test('the types come from the definitions, so that a wrong use does not compile', (t) => {
  const typed = parsed();
  const wide: boolean = typed.wideColumns;
  const level: 'low' | 'high' = typed.level;
  const count: number | undefined = typed.count;
  // @ts-expect-error: there is no such option
  const none: unknown = typed.wide;
  // @ts-expect-error: it may be absent
  const surely: number = typed.count;
  // @ts-expect-error: only what can be chosen
  const other: 'middle' = typed.level;
  t.strictSame(
    [wide, level, count, none, surely, other],
    [...[false, 'low', undefined], ...[undefined, undefined, 'low']],
  );
  t.end();
});

t.test('an option that must be typed says why, below it stands where help is', (t) => {
  const options = option('-n, --name <NAME>', 'a name', { missing: 'Whose is it?' });
  const command = newCommand({ name: 'x', description: 'X.', options, help: '' }, () =>
    Promise.reject(new Error('not to be run')),
  );
  let said = '';
  command.exitOverride().configureOutput({ writeErr: (text) => (said += text) });
  t.throws(() => command.parse([], { from: 'user' }), CommanderError);
  t.equal(
    said,
    "error: required option '-n, --name <NAME>' not specified. Whose is it?\n" +
      '(netwatch x -h shows all options, with examples)\n',
  );
  t.end();
});

interface Row {
  readonly tsNs: number;
}

t.test('a tool whose option is deleted does not compile', (t) => {
  const about = {
    ...{ name: 'x', summary: 'x', description: 'x', help: 'x', group: 'The machine:' as const },
    trial: () => Promise.reject(new Error('not to be tried')),
    open: (): Promise<LiveSource<Row> & { readonly extra: number }> =>
      Promise.reject(new Error('not to be opened')),
  };
  const time = [column<Row>('TIME', 5, 'time', ({ tsNs }) => tsNs)];
  const wide = option('-w, --wide', 'a switch');
  const cpu = option('-c, --cpu <N>', 'text that may be absent');
  const whole = eventTool({
    ...about,
    options: { ...wide, ...cpu },
    columns: ({ wide, output, netns }, { wallMs }, { extra }) =>
      wide && output === 'json' && netns !== undefined && wallMs(extra) > 0 ? time : [],
  });
  const without = eventTool({
    ...about,
    options: cpu,
    // @ts-expect-error: --wide has been deleted from the options
    columns: ({ wide }) => (wide ? time : []),
  });
  const careless = eventTool({
    ...about,
    options: { ...wide, ...cpu },
    // @ts-expect-error: without a default it may be absent
    columns: ({ cpu }) => (cpu.length > 0 ? time : []),
  });
  const flags = [whole, without, careless].map((tool) =>
    tool
      .command()
      .options.slice(0, 2)
      .map((one) => one.long),
  );
  const both = ['--wide', '--cpu'];
  t.strictSame(flags, [both, ['--cpu', '--output'], both]);
  t.end();
});

t.test('options of one meaning have no more entries together than the kernel side', (t) => {
  const all = Array.from({ length: FILTER_LIST_LIMIT }, (_, i) => i + 1);
  t.equal(withinLimits({ ...NO_FILTER, localPorts: all }).localPorts, all);
  for (const ports of ['localPorts', 'peerPorts', 'ports'] as const)
    t.throws(
      () => withinLimits({ ...NO_FILTER, [ports]: [...all, 99] }),
      /17 ports to choose by, and at most 16 are possible/,
    );
  t.end();
});
