/** `netwatch requests`: every HTTP request with where its time went; or groups of them, live. */
import { option } from '../cli/options.js';
import * as parse from '../cli/parse.js';
import { TARGETS } from '../http/targets.js';
import { SIDES, type Exchange } from '../sources/exchange.js';
import type { ExchangeSource } from '../sources/exchange-source.js';
import type { Scope, Summary } from '../terminal/common.js';
import type { EventTool } from '../terminal/event-tool.js';
import { CONNECTIONS, filterOf } from '../terminal/tool-options.js';
import { watchingTool, type ToolOptions } from '../terminal/watching-tool.js';
import { LISTED_PORTS, milliseconds } from './life/options.js';
import { exchangeColumns } from './requests/columns.js';
import { SORTS } from './requests/group-columns.js';
import { GROUPINGS } from './requests/groups.js';

const RING_BYTES = 1 << 23;
const NS_PER_MS = 1e6;

const HELP = `
A row when the response of a request has ended, or the connection has. TOTAL is
from the first byte of the request to the last one of the response, in
milliseconds, and so are the parts, which add up to it; * marks the largest.

  at a server                         at a client
  REQ_XFER   the request arrives      REQ_WRITE  it is written
  RECV_Q     nobody has read it       SEND_WAIT  TCP may not send it yet
  BEHIND     others come before it    REMOTE     network and server
  APP        the application          RESP_XFER  the response arrives
  RESP_WRITE the response is written  RECV_Q     nobody has read it
  SEND_WAIT  TCP may not send it yet

What is not known is N/A: -o json has the cause (partly_explained), and what lies
inside of parts, such as the time until a lost segment was sent again. Targets are
shown without credentials and personal data.

--top adds up since the start: the parts that took most of the time stand last, with
what explains them in parentheses. upstream: the process waited for somebody whom it
had asked on the same route itself. "then delivery": what was lost behind the end of
the response, which is in no sum. On a terminal the arrow keys choose what it is
sorted by, c begins anew, q ends.

Examples:
  sudo netwatch requests                            every request
  sudo netwatch requests --slow 100 --side server   served in 100 ms or more
  sudo netwatch requests --top 10 --by target       the routes that take most time
  sudo netwatch requests --top 20 --by peer -p 181  by client of one process
  sudo netwatch requests -o json --duration 60 > requests.ndjson
`;

const OPTIONS = {
  ...option('--slow <MS>', 'those that took so many milliseconds or more', {
    parse: milliseconds,
  }),
  ...option('--side <SIDE>', 'as seen at this end only', { choices: SIDES }),
  ...option('--targets <TARGETS>', "how much of a request's target is shown", {
    choices: TARGETS,
    default: 'full',
  }),
  ...option('--top <ROWS>', 'so many groups instead, renewed each interval', {
    parse: parse.count,
  }),
  ...option('--by <WHAT>', 'what the requests of a group have in common', {
    choices: GROUPINGS,
    default: 'target',
  }),
  ...option('--sort <SORT>', 'groups with the most of this first', {
    choices: SORTS,
    default: 'time',
  }),
  ...option('-i, --interval <SECONDS>', 'between two tables of --top', {
    parse: parse.seconds,
    default: 1,
  }),
  ...option('-w, --wide', 'targets as long as they are'),
  ...LISTED_PORTS,
  ...CONNECTIONS,
};

type RequestOptions = ToolOptions<typeof OPTIONS>;

async function open(options: RequestOptions, scope: Scope): Promise<ExchangeSource> {
  const { ExchangeSource } = await import('../sources/exchange-source.js');
  const { localport = [], remoteport = [], side = null, slow = 0, targets } = options;
  return new ExchangeSource({
    filter: filterOf(scope, options, { localPorts: localport, peerPorts: remoteport }),
    targets,
    side,
    slowNs: slow * NS_PER_MS,
    ringBytes: RING_BYTES,
  });
}

function atEnd(_options: RequestOptions, { forgottenLines }: ExchangeSource): Summary | null {
  if (forgottenLines === 0) return null;
  const line = `${forgottenLines} requests waited so long that their first line had to make room`;
  return { lines: [line], json: { event: 'request_lines_lost', count: forgottenLines } };
}

const DEFINITION = {
  name: 'requests',
  group: 'How long it takes:',
  summary: 'where the time of each HTTP request went',
  description: 'HTTP/1 requests as they end, with the parts that their time is made of.',
  help: HELP,
  options: OPTIONS,
  trial: async (filter) => (await import('../sources/exchange-source.js')).trial(filter),
  open,
  columns: (options, context) =>
    exchangeColumns({ ...options, side: options.side ?? null }, context),
  atEnd,
  showsRecords: ({ top }) => top === undefined,
} satisfies EventTool<RequestOptions, Exchange, ExchangeSource> & { options: typeof OPTIONS };

export default watchingTool(
  DEFINITION,
  { hasMetrics: false, showsProcesses: true },
  async (options) => {
    const { top } = options;
    if (top === undefined) {
      const { runEventTool } = await import('../terminal/run-events.js');
      await runEventTool(DEFINITION, options);
      return;
    }
    const { runTool } = await import('../terminal/run-common.js');
    const { TopRun } = await import('./requests/top-run.js');
    await runTool(
      DEFINITION,
      options,
      (source, around) => new TopRun(source, { ...options, top }, around),
    );
  },
);
