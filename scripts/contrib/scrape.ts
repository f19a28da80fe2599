/**
 * Prometheus configurations with every way to scrape netwatch: scrape.yml, and one for inside
 * Kubernetes, of which Debian's Prometheus knows nothing. Written as text, since their comments are
 * half of them; what depends on the families is filled in.
 */
import { DEFAULT_LISTEN } from '../../src/cli/listen.js';
import { familiesIn } from '../../src/metrics/families.js';

const PORT = DEFAULT_LISTEN.replace(/^.*:/, '');
/** `--max-connections`, unless told otherwise. */
export const CONNECTIONS = 1000;
/** Room for totals, histograms and the endpoint itself. */
const OTHER_SERIES = 30_000;

/** Families of single connections, as a regular expression. */
const PER_CONNECTION = 'netwatch_connection_.+';

const sampleLimit = CONNECTIONS * familiesIn('connects').length + OTHER_SERIES;

const limits = (indent: string): string =>
  [
    '# Single connections (-x) are at most --max-connections (1000) times their families.',
    `sample_limit: ${sampleLimit}`,
    'body_size_limit: 32MB',
  ]
    .map((line) => `${indent}${line}`)
    .join('\n');

/** The text of scrape.yml, without the line that says where it comes from. */
export function scrapeConfig(): string {
  return `# An example to take parts from. Files are looked for beside this one.
#   promtool check config scrape.yml
global:
  scrape_interval: 15s # netwatch writes every 5 s: more often brings nothing new
  external_labels:
    cluster: example

rule_files: [rules.yml, alerts.yml]

alerting:
  alertmanagers:
    - static_configs: [{ targets: ['localhost:9093'] }]

scrape_configs:
  # 1. This host: netwatch serve listens on 127.0.0.1 only, without asking for a password.
  - job_name: netwatch
    static_configs: [{ targets: ['${DEFAULT_LISTEN}'] }]
${limits('    ')}

  # 2. Many hosts, over TLS and with a password (netwatch serve with a web configuration file).
  - job_name: netwatch-fleet
    scheme: https
    tls_config: { ca_file: netwatch-ca.pem }
    basic_auth: { username: prometheus, password_file: netwatch.password }
    file_sd_configs: [{ files: ['targets/netwatch-*.yml'] }]
    http_sd_configs: [{ url: 'https://inventory.example/prometheus/netwatch' }]
    relabel_configs:
      # The inventory names hosts; all listen on the same port.
      - source_labels: [__address__]
        regex: '([^:]+)'
        target_label: __address__
        replacement: '$1:${PORT}'
      # web1 rather than web1.example.com:${PORT}, where that is one host; addresses stay as they are.
      - source_labels: [__address__]
        regex: '([a-zA-Z][^.:]*).*'
        target_label: instance
    metric_relabel_configs:
      # Totals only: thousands of hosts with a thousand connections each are too many series.
      - source_labels: [__name__]
        regex: '${PER_CONNECTION}'
        action: drop
${limits('    ')}

  # 3. No endpoint: node_exporter reads netwatch.prom (--collector.textfile.directory).
  - job_name: node
    static_configs: [{ targets: ['127.0.0.1:9100'] }]

# Long-term storage. Single connections are of interest for hours, not for years.
remote_write:
  - url: https://storage.example/api/v1/write
    basic_auth: { username: prometheus, password_file: storage.password }
    queue_config: { max_samples_per_send: 5000 }
    write_relabel_configs:
      - source_labels: [__name__]
        regex: '${PER_CONNECTION}'
        action: drop
`;
}

/** The text of scrape-kubernetes.yml. */
export function kubernetesScrapeConfig(): string {
  return `# For a Prometheus that runs in the cluster, with the right to list pods.
global:
  scrape_interval: 15s

rule_files: [rules.yml, alerts.yml]

scrape_configs:
  # The pods of the DaemonSet, one for each node, as far as they are annotated.
  - job_name: netwatch-pods
    kubernetes_sd_configs: [{ role: pod }]
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name]
        regex: netwatch
        action: keep
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        regex: 'true'
        action: keep
      - source_labels: [__meta_kubernetes_pod_ip]
        target_label: __address__
        replacement: '$1:${PORT}'
      - source_labels: [__meta_kubernetes_pod_node_name]
        target_label: instance
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
${limits('    ')}
`;
}
