/**
 * Counts tests in the TAP that tap prints, read by tap-parser. A test is a `t.test()` without tests
 * inside it; assertions are not counted. A file that crashes, hangs or runs no test counts as one
 * failure, so that no run can look better than it was.
 */
import { Parser, type Result } from 'tap-parser';
import { stringify } from 'yaml';

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** What a test file, once complete, came to; `notes` are lines for the reader. */
export interface FileResult extends Counts {
  readonly file: string;
  readonly ms: number;
  readonly notes: readonly string[];
}

/** Keys of tap's explanations that say again what the stack says. */
const DULL: ReadonlySet<string> = new Set(['at', 'test', 'tapCaught', 'compare']);

/** A test, or a file, that has begun. */
interface Open {
  readonly name: string;
  /** Tests inside it. */
  tests: number;
  assertions: number;
  /** A test inside it failed. */
  hasFailed: boolean;
  readonly skips: string[];
  /** What its failed assertions said. */
  readonly why: string[];
  /** Tests begun inside it and not ended. */
  readonly open: Open[];
}

const begun = (name: string): Open => ({
  name: name.replaceAll('\\#', '#'),
  tests: 0,
  assertions: 0,
  hasFailed: false,
  skips: [],
  why: [],
  open: [],
});

const reasonOf = (directive: boolean | string): string =>
  typeof directive === 'string' ? directive : '';

/** A failed assertion and its explanation, as lines. */
function explained({ name, diag }: Result): string[] {
  const facts = Object.entries((diag ?? {}) as Record<string, unknown>);
  const told = facts.filter(([key]) => !DULL.has(key));
  const lines = told.length === 0 ? [] : stringify(Object.fromEntries(told)).split('\n');
  const isOurs = (line: string): boolean => !/^\s*$|node_modules\//.test(line);
  return [`- ${name}`, ...lines.filter(isOurs)];
}

/** The tests of one file. */
class FileCounter {
  readonly counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  readonly notes: string[] = [];
  readonly file: Open;

  constructor(parser: Parser) {
    this.file = begun(parser.name);
    this.#watch(parser, this.file, []);
  }

  #watch(parser: Parser, test: Open, path: readonly string[]): void {
    parser.on('child', (child: Parser) => {
      const inner = begun(child.name);
      test.open.push(inner);
      this.#watch(child, inner, [...path, child.name]);
    });
    parser.on('assert', (result: Result) => {
      // The point right behind a test, with its name, ends it.
      const inner = test.open.at(-1)?.name === result.name ? test.open.pop() : undefined;
      if (inner !== undefined) this.#endTest(test, inner, result, [...path, inner.name]);
      else this.#assertion(test, result);
    });
  }

  #assertion(test: Open, result: Result): void {
    const { ok, skip, todo, name } = result;
    const directive = skip || todo;
    if (test === this.file) {
      // A bare assertion of a file, or a test that was skipped before it could begin.
      test.tests += 1;
      if (directive) this.#skip(name, reasonOf(directive));
      else if (ok) this.counts.passed += 1;
      else this.fail(name, explained(result).slice(1));
      return;
    }
    test.assertions += 1;
    if (directive) test.skips.push(`${name} ${reasonOf(directive)}`.trim());
    else if (!ok) test.why.push(...explained(result));
  }

  #endTest(parent: Open, test: Open, { ok, skip, todo }: Result, path: readonly string[]): void {
    parent.tests += 1;
    const name = path.join(' > ');
    this.endOpen(test);
    const directive = skip || todo;
    if (test.tests > 0) {
      for (const one of test.skips) this.#skip(`${name} > ${one}`, '');
      if (!ok && !test.hasFailed) this.fail(name, test.why);
    } else if (directive) this.#skip(name, reasonOf(directive));
    else if (!ok) this.fail(name, test.why);
    else if (test.assertions > 0 && test.skips.length === test.assertions)
      this.#skip(name, test.skips.join('; '));
    else this.counts.passed += 1;
    parent.hasFailed ||= !ok;
  }

  /** Tests that never came to their closing line: their process died. */
  endOpen(test: Open): void {
    for (const lost of test.open.splice(0)) {
      this.endOpen(lost);
      this.file.tests += 1;
      this.fail(`${lost.name} (its process ended)`, lost.why);
    }
  }

  #skip(name: string, reason: string): void {
    this.counts.skipped += 1;
    this.notes.push(`skipped: ${name}${reason ? ` (${reason})` : ''}`);
  }

  fail(name: string, why: readonly string[] = []): void {
    this.counts.failed += 1;
    this.notes.push(`FAILED: ${name}`, ...why.map((line) => `    ${line}`));
  }
}

export class TapCounter {
  readonly total: Counts = { passed: 0, failed: 0, skipped: 0 };
  readonly #onFile: (result: FileResult) => void;
  readonly #parser = new Parser();
  #open: FileCounter | null = null;

  constructor(onFile: (result: FileResult) => void) {
    this.#onFile = onFile;
    this.#parser.on('child', (child: Parser) => {
      this.#open = new FileCounter(child);
    });
    this.#parser.on('assert', (result: Result) => {
      this.#ended(result);
    });
    this.#parser.on('bailout', (reason: string) => {
      this.#file(`Bail out! ${reason}`, 0, { failed: 1 }, [reason]);
    });
  }

  line(line: string): void {
    this.#parser.write(`${line}\n`);
  }

  /** Call at the end of the stream with what became of tap itself. */
  end(code: number | null): void {
    this.#parser.end();
    if (this.#open !== null) {
      const { counts, file } = this.#open;
      this.#file(file.name, 0, { ...counts, failed: counts.failed + 1 }, ['did not end']);
    } else if (code !== 0 && this.total.failed === 0)
      this.#file('tap', 0, { failed: 1 }, [`ended with status ${String(code)} and no failed test`]);
  }

  #ended({ ok, name, time }: Result): void {
    const open = this.#open;
    if (open?.file.name !== name) {
      if (!ok) this.#file(name, time ?? 0, { failed: 1 }, ['timeout, or tap itself failed']);
      return;
    }
    this.#open = null;
    open.endOpen(open.file);
    if (open.file.tests === 0) open.fail('ran no test: it crashed, or has none');
    else if (!ok && open.counts.failed === 0)
      open.fail('ended badly though no test of it failed', open.file.why);
    this.#file(open.file.name, time ?? 0, open.counts, open.notes);
  }

  #file(name: string, ms: number, counts: Partial<Counts>, notes: readonly string[]): void {
    const { passed = 0, failed = 0, skipped = 0 } = counts;
    this.total.passed += passed;
    this.total.failed += failed;
    this.total.skipped += skipped;
    this.#onFile({ file: name, ms, notes, passed, failed, skipped });
  }
}

export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
