/** The tests of one TAP stream, as tap prints it: those that are not inside another. */

export interface TestResult {
  readonly name: string;
  readonly verdict: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped. */
  readonly reason: string;
  readonly ms: number;
  /** Its failed assertions and what was said about them. */
  readonly output: readonly string[];
}

const POINT = /^(ok|not ok) \d+ - (.*)$/;
/** Keys of tap's explanations that say again what the stack and the difference say. */
const KEY = /^ {6}(\w+):/;
const DULL = new Set(['at', 'compare', 'source', 'test', 'tapCaught']);
/** More lines than these say the same again. */
const SHOWN = 60;

/** Takes a stream line by line. */
export class TapReader {
  #output: string[] = [];
  /** What is said now is about an assertion that failed. */
  #failing = false;
  #dull = false;
  /** Inside the block behind the line of a test, which says only where the test is. */
  #behind = false;
  #planned = false;

  /** True once the plan has come: tap prints it last. */
  get complete(): boolean {
    return this.#planned;
  }

  /** The test that this line ends, or null. */
  line(line: string): TestResult | null {
    const point = POINT.exec(line);
    if (point !== null) return this.#end(point[1] === 'ok', point[2] ?? '');
    if (line === '  ---') this.#behind = true;
    else if (line === '  ...') this.#behind = false;
    else if (/^1\.\.\d+/.test(line)) this.#planned = true;
    else if (!this.#behind) this.#keep(line);
    return null;
  }

  /** What came after the last test: the last words of a process that died. */
  rest(): readonly string[] {
    return this.#output.slice(-SHOWN);
  }

  #end(ok: boolean, text: string): TestResult {
    const [name = '', ...comments] = text.split(/(?<!\\) # /);
    const skip = comments.find((comment) => /^SKIP/i.test(comment));
    const time = comments.find((comment) => comment.startsWith('time='));
    const output = ok ? [] : this.#output.slice(0, SHOWN);
    this.#output = [];
    this.#failing = false;
    return {
      name: name.replaceAll('\\#', '#'),
      verdict: !ok ? 'failed' : skip === undefined ? 'passed' : 'skipped',
      reason: skip?.replace(/^SKIP\S*\s*/i, '') ?? '',
      ms: Number(time?.slice('time='.length).replace('ms', '') ?? 0),
      output,
    };
  }

  #keep(line: string): void {
    const assertion = /^ +(not )?ok /.exec(line);
    if (assertion !== null) this.#failing = assertion[1] !== undefined;
    const key = KEY.exec(line)?.[1];
    if (key !== undefined || assertion !== null) this.#dull = DULL.has(key ?? '');
    if (/^ *(---|\.\.\.)?$/.test(line) || this.#dull) return;
    const inside = line.startsWith('    ');
    if (inside ? this.#failing : !/^(#|TAP version)/.test(line)) this.#output.push(line);
  }
}
