/**
 * What a tool that shows events declares: options, columns, where the events come from, what to say
 * at the end. The rest (namespaces, signals, formats, losses, the `.prom` file) is the same for all
 * of them: run-events.ts, which is loaded when the tool runs.
 */
import type { Options } from '../cli/options.js';
import type { Snapshot } from '../metrics/snapshot.js';
import type { LiveSource } from '../sources/live.js';
import type { Tool } from './tool.js';
import type { Column } from './column.js';
import type { CommonOptions, Context, Scope, Summary } from './common.js';
import {
  watchingTool,
  type OfOptions,
  type ToolDefinition,
  type ToolOptions,
} from './watching-tool.js';

/** O: all its options. R: its records. S: its source. */
export interface EventTool<
  O extends CommonOptions,
  R,
  S extends LiveSource<R>,
> extends ToolDefinition<O> {
  readonly open: (options: O, scope: Scope) => Promise<S & LiveSource<R>>;
  /** The first line of the table's output, before the columns. */
  readonly banner?: (options: O) => string;
  readonly columns: (options: O, context: Context, source: S) => readonly Column<R>[];
  /** Lines below a row of the table: a kernel stack. */
  readonly below?: (record: R, options: O, source: S) => readonly string[];
  /** False: the records are not shown one by one; atEnd says what became of them. Absent: shown. */
  readonly showsRecords?: (options: O) => boolean;
  /** Said at the start: what this kernel does not tell. */
  readonly notes?: (options: O, source: S) => readonly string[];
  /** Takes a record elsewhere too, before it is shown: to count it, to a journal. */
  readonly take?: (record: R, options: O, source: S) => void;
  /** Said at the end; null: nothing. */
  readonly atEnd?: (options: O, source: S, lost: number) => Summary | null;
  /** What --data DIR keeps in DIR/NAME.prom. */
  readonly metrics?: (source: S, snapshot: Snapshot) => void;
}

/** The command of a tool. All types are inferred: from `options`, and from `open`, which comes first. */
export function eventTool<
  G extends Options,
  R extends { readonly tsNs: number },
  S extends LiveSource<R>,
>(tool: OfOptions<G, EventTool<ToolOptions<G>, R, S>>): Tool {
  const abilities = { hasMetrics: tool.metrics !== undefined, showsProcesses: true };
  return watchingTool(tool, abilities, async (options) => {
    const { runEventTool } = await import('./run-events.js');
    await runEventTool(tool, options);
  });
}
