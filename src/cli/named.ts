/** `--unit` and `--container`, which the collector and every tool have that chooses by process. */
import type { NamesWanted } from '../sources/cgroup-names.js';
import { option, type ValuesOf } from './options.js';
import * as parse from './parse.js';

export const NAMED = {
  ...option('--unit <NAMES>', 'systemd units: nginx, nginx.service or a pattern such as app-*', {
    parse: parse.patterns,
  }),
  ...option('--container <IDS>', 'containers: ids, how they begin, or patterns of them', {
    parse: parse.containers,
  }),
};

export function namesWantedOf({ unit, container }: Partial<ValuesOf<typeof NAMED>>): NamesWanted {
  return { units: unit ?? [], containers: container ?? [] };
}
