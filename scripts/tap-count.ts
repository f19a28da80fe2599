/**
 * Counts tests in a TAP 14 stream as tap prints it. A test is a `t.test()` without tests inside it;
 * assertions are not counted. A file that crashes, hangs or runs no test counts as one failure, so
 * that no run can look better than it was.
 */

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

interface Frame {
  readonly name: string;
  readonly indent: number;
  readonly counts: Counts;
  readonly notes: string[];
  tests: number;
  points: number;
  skips: string[];
  /** Explanations (YAML) of failed assertions, waiting for the line that ends their test. */
  why: string[];
}

const POINT = /^( *)(ok|not ok)\b(?: \d+)?(?: - )?(.*)$/;
const SUBTEST = /^( *)# Subtest: (.*)$/;
/** Keys of tap's explanations that say again what the stack says. */
const DULL = /^(at|test|tapCaught|compare):/;

function frame(name: string, indent: number): Frame {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  return { name, indent, counts, notes: [], tests: 0, points: 0, skips: [], why: [] };
}

/** Splits `name # SKIP reason # time=1.5ms` into its parts; tap writes a literal # as \#. */
function parsePoint(text: string): { name: string; directive: string; reason: string; ms: number } {
  const [name = '', ...comments] = text.split(/(?<!\\) # |^# /);
  let directive = '';
  let reason = '';
  let ms = 0;
  for (const comment of comments) {
    const time = /^time=([\d.]+)ms/.exec(comment);
    const word = /^(SKIP|TODO)\S*\s*(.*)$/i.exec(comment);
    if (time) ms = Number(time[1]);
    else if (word) [directive, reason] = [(word[1] ?? '').toUpperCase(), word[2] ?? ''];
  }
  return { name: name.replaceAll('\\#', '#').trim(), directive, reason, ms };
}

export class TapCounter {
  readonly total: Counts = { passed: 0, failed: 0, skipped: 0 };
  readonly #onFile: (result: FileResult) => void;
  #stack: Frame[] = [];
  /** Indentation of the YAML block we are in, or -1. */
  #yaml = -1;
  #lastFailed = false;
  #dull = false;

  constructor(onFile: (result: FileResult) => void) {
    this.#onFile = onFile;
  }

  line(line: string): void {
    if (this.#yaml >= 0) {
      this.#yamlLine(line);
      return;
    }
    const opening = SUBTEST.exec(line);
    if (opening) {
      const indent = (opening[1] ?? '').length;
      if (indent === 0 || this.#stack.length > 0) this.#open(frame(opening[2] ?? '', indent));
      return;
    }
    const point = POINT.exec(line);
    if (point) this.#point((point[1] ?? '').length, point[2] === 'ok', point[3] ?? '');
    else if (line.startsWith('Bail out!')) this.#file(line, 0, { failed: 1 }, [line]);
    else if (/^ *---$/.test(line)) this.#yaml = line.length - 3;
  }

  /** Call at the end of the stream with what became of tap itself. */
  end(code: number | null): void {
    const open = this.#stack[0];
    this.#stack = [];
    if (open)
      this.#file(open.name, 0, { ...open.counts, failed: open.counts.failed + 1 }, ['did not end']);
    else if (code !== 0 && this.total.failed === 0) {
      this.#file('tap', 0, { failed: 1 }, [`ended with status ${String(code)} and no failed test`]);
    }
  }

  #open(next: Frame): void {
    while ((this.#stack.at(-1)?.indent ?? -1) >= next.indent) this.#stack.pop();
    this.#stack.push(next);
  }

  #yamlLine(line: string): void {
    const text = line.slice(this.#yaml);
    if (text === '...') this.#yaml = -1;
    if (/^\S/.test(text)) this.#dull = DULL.test(text);
    const wanted = this.#lastFailed && this.#yaml >= 0 && !this.#dull;
    if (wanted && !/^\s*$|node_modules\//.test(text)) this.#stack.at(-1)?.why.push(text);
  }

  #point(indent: number, ok: boolean, text: string): void {
    const { name, directive, reason, ms } = parsePoint(text);
    // Tests that never came to their closing line: their process died.
    while ((this.#stack.at(-1)?.indent ?? -1) > indent) {
      const lost = this.#stack.pop();
      const file = this.#stack[0];
      if (!lost || !file) continue;
      file.tests += 1;
      this.#fail(file, `${lost.name} (its process ended)`, lost.why);
    }
    const top = this.#stack.at(-1);
    this.#lastFailed = !ok;
    if (top?.indent === indent) {
      this.#stack.pop();
      if (indent === 0) this.#endFile(top, ok, ms);
      else this.#endTest(top, ok, directive, reason);
      // The block behind this line only says where the test is; what failed is told already.
      this.#lastFailed = false;
    } else if (!top) {
      if (!ok) this.#file(name, ms, { failed: 1 }, ['timeout, or tap itself failed']);
    } else if (top.indent === 0) {
      // A bare assertion of a file, or a test that was skipped before it could open.
      top.tests += 1;
      if (directive) this.#skip(top, name, reason);
      else if (ok) top.counts.passed += 1;
      else this.#fail(top, name);
    } else {
      top.points += 1;
      if (directive) top.skips.push(`${name} ${reason}`.trim());
      else if (!ok) top.why.push(`- ${name}`);
    }
  }

  #endTest(test: Frame, ok: boolean, directive: string, reason: string): void {
    const parent = this.#stack.at(-1);
    const file = this.#stack[0];
    if (!parent || !file) return;
    parent.tests += 1;
    const path = [...this.#stack.slice(1), test].map((f) => f.name).join(' > ');
    if (test.tests > 0) {
      for (const skip of test.skips) this.#skip(file, `${path} > ${skip}`, '');
      if (!ok && test.counts.failed === 0) this.#fail(file, path, test.why);
    } else if (directive) this.#skip(file, path, reason);
    else if (!ok) this.#fail(file, path, test.why);
    else if (test.points > 0 && test.skips.length === test.points)
      this.#skip(file, path, test.skips.join('; '));
    else file.counts.passed += 1;
    if (!ok) parent.counts.failed += parent === file ? 0 : 1;
  }

  #endFile(file: Frame, ok: boolean, ms: number): void {
    if (file.tests === 0) this.#fail(file, 'ran no test: it crashed, or has none');
    else if (!ok && file.counts.failed === 0)
      this.#fail(file, 'ended badly though no test of it failed', file.why);
    this.#file(file.name, ms, file.counts, file.notes);
  }

  #skip(file: Frame, name: string, reason: string): void {
    file.counts.skipped += 1;
    file.notes.push(`skipped: ${name}${reason ? ` (${reason})` : ''}`);
  }

  #fail(file: Frame, name: string, why: readonly string[] = []): void {
    file.counts.failed += 1;
    file.notes.push(`FAILED: ${name}`, ...why.map((line) => `    ${line}`));
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
