/**
 * What a tool that shows a report each interval declares: options, where the numbers come from, and
 * how they are shown. The rest is the same for all of them: run-reports.ts.
 */
import type { Options } from '../cli/options.js';
import type { Snapshot } from '../metrics/snapshot.js';
import type { CountingSource } from '../sources/counting.js';
import type { Tool } from './tool.js';
import type { NamesOf } from '../sources/cgroup-names.js';
import type { CommonOptions, Scope } from './common.js';
import type { Block } from './report.js';
import {
  watchingTool,
  type OfOptions,
  type ToolDefinition,
  type ToolOptions,
} from './watching-tool.js';

/** When reports come. */
export interface Schedule {
  /** Between two of them; null: one, at the end. */
  readonly everySeconds: number | null;
  /** How many, then it ends; null: until it is stopped. */
  readonly count: number | null;
  /** The terminal is cleared before each. */
  readonly clears: boolean;
  /** At the end there is one more, of the interval that was cut short. */
  readonly atEnd: boolean;
}

/** What a report is made at. */
export interface Moment {
  readonly wallMs: number;
  /** Since the last one, or since the start. */
  readonly elapsedSeconds: number;
  readonly namesOf: NamesOf;
}

/** O: all its options. C: what its source counted in an interval. S: its source. */
export interface ReportTool<
  O extends CommonOptions,
  C,
  S extends CountingSource<C>,
> extends ToolDefinition<O> {
  readonly open: (options: O, scope: Scope, namesOf: NamesOf) => Promise<S & CountingSource<C>>;
  /** Its rows name processes: `--show-unit` is one of its options. */
  readonly showsProcesses?: boolean;
  /** The first line of the table's output. */
  readonly banner?: (options: O) => string;
  readonly schedule: (options: O) => Schedule;
  /** The counts of one interval as blocks. */
  readonly report: (counts: C, options: O, moment: Moment, source: S) => readonly Block[];
  /** What --data DIR keeps in DIR/NAME.prom: sums since the start. */
  readonly metrics?: (source: S, snapshot: Snapshot) => void;
}

/** The command of a tool. All types are inferred: from `options`, and from `open`, which comes first. */
export function reportTool<G extends Options, C, S extends CountingSource<C>>(
  tool: OfOptions<G, ReportTool<ToolOptions<G>, C, S>>,
): Tool {
  const { metrics, showsProcesses = false } = tool;
  const abilities = { hasMetrics: metrics !== undefined, showsProcesses };
  return watchingTool(tool, abilities, async (options) => {
    const { runReportTool } = await import('./run-reports.js');
    await runReportTool(tool, options);
  });
}
