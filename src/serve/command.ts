/** `netwatch serve`: the data directory over HTTP, for Prometheus and for the eye. */
import { DEFAULT_LISTEN, listenAddress } from '../cli/listen.js';
import { option } from '../cli/options.js';
import { jobTool } from '../terminal/tool.js';

const HELP = `
  /                          a live page
  /metrics                   all *.prom files of the directory as one, and the
                             endpoint's own; ?collect[]=tcp&collect[]=http for parts
  /metrics/connects?last=N   the newest samples of connects.log; also packets,
                             requests, err
  /-/healthy  /-/ready       for probes
  /api/v1/status             also snapshot, history, stream: what the page reads

FILE is a web configuration of the Prometheus exporters, with TLS and passwords;
it is read again when it changes. Started as root, netwatch becomes nobody before
it answers the first request.

Examples:
  netwatch serve                                     data/ on http://${DEFAULT_LISTEN}/
  netwatch serve --data /var/lib/netwatch --listen :41420 --web-config web.yml
  curl -s localhost:41420/metrics/err?last=20        what went wrong last
`;

const OPTIONS = {
  ...option('--data <DIR>', 'directory of the files', { default: 'data' }),
  ...option('--listen <ADDR>', 'address and port; :PORT for all addresses', {
    parse: listenAddress,
    default: listenAddress(DEFAULT_LISTEN),
    shownDefault: DEFAULT_LISTEN,
  }),
  ...option('--web-config <FILE>', 'TLS and passwords, as for the Prometheus exporters'),
  // How the collector starts it: ends when standard input does, even if the collector is killed.
  ...option('--child', '', { hidden: true }),
};

export default jobTool(
  {
    name: 'serve',
    summary: 'serve the files over HTTP, for Prometheus and as a live page',
    group: 'About the files:',
    description: 'Serve the files over HTTP, for Prometheus and as a live page.',
    options: OPTIONS,
    help: HELP,
  },
  async ({ data: directory, listen, webConfig = null, child: isChild }) => {
    // Packages ask for it while they are loaded, and would end the process with a stack.
    process.cwd();
    const { runServe } = await import('./run.js');
    await runServe({ directory, listen, webConfig, isChild });
  },
);
