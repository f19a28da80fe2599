/**
 * Parts of netwatch in this process, opened by its own code from a command line, as the collector
 * opens them: what changes there changes here, or does not compile.
 */
import { Command } from 'commander';
import { openSources, type OpenSources } from '../../src/collector/open-sources.js';
import {
  addCollectorOptions,
  collectorOptionsOf,
  filterOf,
  namespacesOf,
  type CollectorOptions,
} from '../../src/collector/options.js';
import type { Lab } from './lab.js';

export interface Own {
  readonly options: CollectorOptions;
  readonly sources: OpenSources;
}

/** The sources of `netwatch ARGS` on the lab's namespace, loaded and attached. */
export function openOwn(lab: Lab, args: readonly string[]): Own {
  const command = addCollectorOptions(new Command('netwatch')).exitOverride();
  command.parse(['--strict', '--netns', lab.name, ...args], { from: 'user' });
  const options = collectorOptionsOf(command);
  return { options, sources: openSources(options, filterOf(options, namespacesOf(options))) };
}
