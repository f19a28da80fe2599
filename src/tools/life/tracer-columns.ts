/** The columns of tcptracer. Pure. */
import type { LifeRecord } from '../../sources/life.js';
import { column, columnWith } from '../../terminal/column.js';
import type { CommonOptions, Context } from '../../terminal/common.js';
import {
  acceptedByColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../../terminal/record-columns.js';
import {
  bracketColumn,
  glued,
  nanosecondsColumn,
  optional,
  secondsColumn,
  timeForPrograms,
  uidColumn,
  type LifeColumn,
} from './columns.js';
import { lifeEvent, type LifeEvent } from '../../sources/life-events.js';

export interface TracerOptions extends CommonOptions {
  readonly timestamp: boolean;
  readonly printUid: boolean;
  readonly verbose: boolean;
}

const WORDS: Readonly<Partial<Record<LifeEvent, readonly [letter: string, word: string]>>> = {
  ESTABLISHED: ['C', 'connect'],
  ACCEPT: ['A', 'accept'],
  END: ['X', 'close'],
};

const UNKNOWN = ['U', 'unknown'] as const;

function wordsOf(record: LifeRecord): readonly [letter: string, word: string] {
  return WORDS[lifeEvent(record)] ?? UNKNOWN;
}

function typeColumn(verbose: boolean): LifeColumn {
  const event = (r: LifeRecord): Readonly<Record<string, string>> => ({ event: wordsOf(r)[1] });
  return verbose
    ? columnWith('TYPE', 12, (r) => wordsOf(r)[1], event)
    : columnWith('T', 2, (r) => wordsOf(r)[0], event);
}

export function tracerColumns(options: TracerOptions, context: Context): readonly LifeColumn[] {
  const { timestamp, printUid, verbose, netns } = options;
  const front = [
    ...timeForPrograms(options, context),
    ...(timestamp ? [verbose ? nanosecondsColumn() : secondsColumn(3)] : []),
    ...optional(printUid, options, uidColumn()),
  ];
  const namespace = column('NETNS', 8, 'network_namespace', (r: LifeRecord) => r.netns);
  return [
    ...glued(front, [typeColumn(verbose)]),
    pidColumn(6),
    commColumn(16),
    ipColumn(),
    bracketColumn('SADDR', 'local', 16),
    bracketColumn('DADDR', 'peer', 16),
    portColumn('SPORT', 'local', 6),
    portColumn('DPORT', 'peer', verbose ? 7 : 6),
    ...optional(verbose && netns === undefined, options, { ...namespace, before: '' }),
    ...acceptedByColumn<LifeRecord>(options.output === 'json'),
  ];
}
