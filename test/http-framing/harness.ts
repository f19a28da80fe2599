/** The compiled framing and a way to play one connection to it, for the tests that use it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sentence } from './compare.js';
import { buildFraming, type Report, type Role, run, Script } from './framing.js';

export const GET = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n';
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What was reported of one connection. */
export interface Watched {
  /** In words, without the state at the end. */
  readonly said: string[];
  readonly reports: readonly Report[];
  readonly state: Extract<Report, { kind: 'state' }>;
}

export interface FramingHarness {
  readonly program: string;
  /** Why the tests cannot run, or false. */
  readonly skip: string | false;
  /** One connection, played. */
  readonly watch: (play: (script: Script) => void, role?: Role) => Watched;
}

/** Compiles the framing; what it makes goes away with the test. */
export function framingHarness(t: { teardown(done: () => void): void }): FramingHarness {
  const directory = mkdtempSync(join(tmpdir(), 'netwatch-framing-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const built = buildFraming(directory);
  const program = built ?? '';
  return {
    program,
    skip: built === null && 'no C compiler (cc or clang) on this machine',
    watch: (play, role = 'server') => {
      const script = new Script().connection(role);
      play(script);
      script.state();
      const reports = run(program, script)[0]!;
      const state = reports.at(-1);
      if (state?.kind !== 'state') throw new Error('no state');
      return { said: reports.slice(0, -1).map(sentence), reports, state };
    },
  };
}
