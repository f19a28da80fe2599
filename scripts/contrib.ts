/**
 * Writes what others need to use the metrics, made from src/metrics/families.ts: Grafana's dashboard,
 * Prometheus' rules, alerts and their tests, and a scrape configuration, into contrib/.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { outputs } from './contrib/outputs.js';

const root = resolve(import.meta.dirname, '..');
for (const [path, text] of await outputs(root)) {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(path);
}
