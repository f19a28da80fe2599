/** Leads the program of listeners/listeners.py, a step at a time. */
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import type { Namespace, Teardown } from './netns.js';

const PROGRAM = join(import.meta.dirname, '..', 'listeners', 'listeners.py');

export interface Listeners {
  readonly pid: number;
  /** Does the steps, one after the other; the program says what they are. */
  play(...steps: readonly string[]): Promise<void>;
  /** Ends the program. */
  stop(): void;
}

/** Starts the program in the namespace, where no reset leaves the kernel from now on. */
export async function startListeners(t: Teardown, namespace: Namespace): Promise<Listeners> {
  namespace.execSync('nft', ['-f', '-'], {
    input: `table inet quiet {
      chain output { type filter hook output priority 0; tcp flags & rst == rst drop; }
    }`,
  });
  const child = namespace.spawn('python3', [PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('cannot start python3');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const answer = async (to: string): Promise<void> => {
    const { done } = await lines.next();
    if (done === true) throw new Error(`the listeners ended at: ${to}`);
  };
  await answer('start');
  return {
    pid: child.pid ?? 0,
    async play(...steps) {
      for (const step of steps) {
        stdin.write(`${step}\n`);
        await answer(step);
      }
    },
    stop: () => void child.kill('SIGKILL'),
  };
}
