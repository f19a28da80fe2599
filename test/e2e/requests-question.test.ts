// The question that people have: three things are slow behind one nginx, and the screen of `netwatch
// requests` has to say of each which route it is, whose process, and where the time goes.
import t from 'tap';
import { startTop, type OnScreen } from '../support/requests-screen.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTroubles } from '../support/three-troubles.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft', 'nginx', 'python3', 'perl', 'stty');
const WITHIN_MS = 15_000;

/** What has to stand on the screen: route, side and process, and behind the numbers the first part. */
interface Answer {
  readonly route: string;
  readonly who: string;
  readonly part: RegExp;
}

const ANSWERS: readonly Answer[] = [
  // 1 of 20 waits 300 ms in node, which asks nobody; nginx only passes that on
  { route: 'GET /orders/*', who: 'server node', part: /^application \d+%(, |$)/ },
  { route: 'GET /orders/*', who: 'server nginx', part: /^application \d+% \(upstream \d+%\)/ },
  // 3 % of the segments are lost
  { route: 'GET /photos/*', who: 'server nginx', part: /^send_wait \d+% \(retransmit \d+%\)/ },
  // who reads slowly keeps the writer's buffer full; nothing is missing on the way
  {
    route: 'GET /exports/*',
    who: 'server nginx',
    part: /^response_write \d+% \(send_buffer \d+%\)/,
  },
  { route: 'GET /exports/*', who: 'client reports', part: /^response_transfer \d+%(, |$)/ },
];

interface Row {
  readonly route: string;
  readonly who: string;
  readonly parts: string;
}

/** Rows of the picture by its columns; route and process end where the next column begins. */
function rowsOn(screen: OnScreen): Row[] {
  const [, head = '', ...rows] = screen.lines();
  const at = (title: string): number => head.indexOf(title);
  const [side, process, count, parts] = ['SIDE', 'PROCESS', 'COUNT', 'WHERE'].map(at);
  return rows.map((line) => ({
    route: line.slice(0, side).trim(),
    who: `${line.slice(side, process).trim()} ${line.slice(process, count).trim().split(' ')[0] ?? ''}`,
    parts: line.slice(parts).trim(),
  }));
}

const isIn = (rows: readonly Row[], { route, who, part }: Answer): boolean =>
  rows.some((row) => row.route === route && row.who === who && part.test(row.parts));

t.test(
  'the screen names the route, the process and the part of three troubles at once',
  { skip },
  async (t) => {
    const troubles = await startTroubles(t);
    const args = ['--top', '10', '--by', 'target'];
    const screen = await startTop(t, [troubles.server, troubles.client], args, { columns: 120 });
    const missing = (): readonly Answer[] => {
      const rows = rowsOn(screen);
      return ANSWERS.filter((answer) => !isIn(rows, answer));
    };
    await until(() => missing().length === 0, {
      what: 'three answers',
      deadlineMs: WITHIN_MS,
    }).catch(() => undefined);
    t.strictSame(missing(), [], screen.lines().join('\n'));
    t.ok(troubles.lost() > 0, `${troubles.lost()} segments were lost`);
  },
);
