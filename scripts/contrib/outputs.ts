/** Every file that is made from the families, as text: formatted as the rest of the checkout is. */
import { readFileSync } from 'node:fs';
import { format, resolveConfig } from 'prettier';
import { stringify } from 'yaml';
import { alertRules } from './alerts.js';
import { dashboard, provisioning } from './dashboard.js';
import { withFamilyTable } from './family-table.js';
import { reliabilityDocument } from './reliability.js';
import { recordingRules } from './recording.js';
import { ruleTests } from './rule-tests.js';
import { kubernetesScrapeConfig, scrapeConfig } from './scrape.js';

const ORIGIN = '# Made by scripts/contrib.ts (make contrib): change it there.\n';

/** YAML below some lines of explanation. */
function yaml(about: string, content: object): string {
  return `${ORIGIN}${about}\n${stringify(content, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

const TEXTS: Readonly<Record<string, () => string>> = {
  'contrib/grafana/netwatch.json': () => JSON.stringify(dashboard()),
  'contrib/grafana/provisioning.yml': () =>
    yaml(
      '# To /etc/grafana/provisioning/dashboards/netwatch.yml; the dashboard into the folder named here.',
      provisioning(),
    ),
  'contrib/prometheus/rules.yml': () =>
    yaml(
      '# Ratios and quantiles that the alerts and the dashboard use. A quantile lies somewhere in a bucket: those used\n' +
        '# here are 9 % wide, or are so from a bound on that the description of their panel names.',
      recordingRules(),
    ),
  'contrib/prometheus/alerts.yml': () =>
    yaml('# Alerts; they need rules.yml beside them.', alertRules()),
  'contrib/prometheus/rules_test.yml': () =>
    yaml('# promtool test rules rules_test.yml', ruleTests()),
  'contrib/prometheus/scrape.yml': () => `${ORIGIN}${scrapeConfig()}`,
  'contrib/prometheus/scrape-kubernetes.yml': () => `${ORIGIN}${kubernetesScrapeConfig()}`,
};

/** Holds the table of all families between two markers; the rest is written by hand. */
const DOCUMENT = 'docs/files-and-metrics.md';

/** Path below the checkout to text. */
export async function outputs(root: string): Promise<Map<string, string>> {
  const made = new Map<string, string>();
  for (const [path, text] of Object.entries(TEXTS)) {
    const filepath = `${root}/${path}`;
    const options = await resolveConfig(filepath);
    made.set(path, await format(text(), { ...options, filepath }));
  }
  made.set(DOCUMENT, withFamilyTable(readFileSync(`${root}/${DOCUMENT}`, 'utf8')));
  made.set('docs/reliability.md', reliabilityDocument());
  return made;
}
