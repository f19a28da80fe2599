/** `netwatch serve`: the data directory over HTTP, for Prometheus and for the eye. */
import { Command, Option } from 'commander';
import { DEFAULT_LISTEN, listenAddress, type ListenAddress } from '../cli/listen.js';
import type { Tool } from '../terminal/tool.js';

interface ServeOptions {
  readonly data: string;
  readonly listen: ListenAddress;
  readonly webConfig?: string;
  readonly child: boolean;
}

const HELP = `
  /                          a live page
  /metrics                   all *.prom files of the directory as one, and the
                             endpoint's own; ?collect[]=tcp&collect[]=http for parts
  /metrics/connects?last=N   the newest samples of connects.log; also packets,
                             err
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

async function run({ data, listen, webConfig, child }: ServeOptions): Promise<void> {
  const { runServe } = await import('./run.js');
  await runServe({ directory: data, listen, webConfig: webConfig ?? null, isChild: child });
}

const tool: Tool = {
  name: 'serve',
  summary: 'serve the files over HTTP, for Prometheus and as a live page',
  group: 'About the files:',
  command: () =>
    new Command('serve')
      .description('Serve the files over HTTP, for Prometheus and as a live page.')
      .option('--data <DIR>', 'directory of the files', 'data')
      .addOption(
        new Option('--listen <ADDR>', 'address and port; :PORT for all addresses')
          .argParser(listenAddress)
          .default(listenAddress(DEFAULT_LISTEN), DEFAULT_LISTEN),
      )
      .option('--web-config <FILE>', 'TLS and passwords, as for the Prometheus exporters')
      // How the collector starts it: ends when standard input does, even if the collector is killed.
      .addOption(new Option('--child').default(false).hideHelp())
      .addHelpText('after', HELP)
      .action(run),
};

export default tool;
