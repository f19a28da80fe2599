/**
 * Options as data: what commander makes of them, and the types of what was typed. The lines marked
 * @ts-expect-error are the test that a wrong use does not compile: `make check` fails if one does.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import t from 'tap';
import { addOptions, argument, option, valuesOf, type ValuesOf } from '../src/cli/options.js';

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
