/**
 * Flows as a graph of three columns: who connects here, the processes or units here, and what they connect
 * to. Each column has a bounded number of nodes; the smallest are one, `others`.
 */
import { bytesOf, type Flow } from './flows.js';

export const GROUPINGS = ['process', 'unit'] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** From left to right. */
const COLUMNS = ['callers', 'here', 'called'] as const;
export type Column = (typeof COLUMNS)[number];

export interface Node {
  /** The same for the same node. */
  readonly id: string;
  readonly column: Column;
  /** Null: all that have no node of their own. */
  readonly name: string | null;
  /** Payload bytes, as seen from here. */
  readonly received: number;
  readonly sent: number;
}

export interface Link {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
}

export interface Graph {
  /** By column, the largest first, `others` last. */
  readonly nodes: readonly Node[];
  readonly links: readonly Link[];
  /** Ids of the nodes a flow is part of, by its key. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
}

/** Nodes with a name in a column. */
export const MOST_NODES = 8;

/** What a flow is called in each column; null: it is not in it, or is one of the others. */
type Names = Readonly<Record<Column, string | null | undefined>>;

function namesOf(flow: Flow, by: Grouping): Names {
  if (flow.isOther) return { callers: undefined, here: null, called: undefined };
  const here = by === 'process' ? flow.process : (flow.unit ?? NO_UNIT);
  if (flow.role === 'server') return { callers: flow.peer, here, called: undefined };
  const host = flow.peer.includes(':') ? `[${flow.peer}]` : flow.peer;
  return { callers: undefined, here, called: `${host}:${flow.port}` };
}

const NO_UNIT = '(no unit)';

const idOf = (column: Column, name: string | null): string =>
  name === null ? `${column} others` : `${column}:${name}`;

/** What tells addresses apart is their end: the last part, and the port. */
const END = {
  callers: /[\da-f]+$/i,
  called: /[\da-f]*\]?:\d+$/i,
} as const;

/** A node's name in two, of which the first is cut where both have no room. */
export function cutName({ column, name }: Pick<Node, 'column' | 'name'>): [string, string] {
  if (name === null || column === 'here') return [name ?? '', ''];
  const at = name.search(END[column]);
  return at < 0 ? [name, ''] : [name.slice(0, at), name.slice(at)];
}

/** The names of a column that get a node of their own. */
function largest(column: Column, named: readonly (readonly [Flow, Names])[]): Set<string> {
  const bytes = new Map<string, number>();
  for (const [flow, { [column]: name }] of named)
    if (typeof name === 'string') bytes.set(name, (bytes.get(name) ?? 0) + bytesOf(flow));
  const inOrder = [...bytes].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return new Set(inOrder.slice(0, MOST_NODES).map(([name]) => name));
}

interface Growing extends Node {
  received: number;
  sent: number;
}

/** Flows that have moved nothing are not in it. */
export function graphOf(flows: readonly Flow[], by: Grouping): Graph {
  const named = flows
    .filter((flow) => bytesOf(flow) > 0)
    .map((flow) => [flow, namesOf(flow, by)] as const);
  const kept = COLUMNS.map((column) => [column, largest(column, named)] as const);
  const nodes = new Map<string, Growing>();
  const links = new Map<string, Link>();
  const parts = new Map<string, readonly string[]>();
  for (const [flow, names] of named) {
    const ids: string[] = [];
    for (const [column, names_] of kept) {
      const asked = names[column];
      if (asked === undefined) continue;
      const name = asked !== null && names_.has(asked) ? asked : null;
      const id = idOf(column, name);
      const node = nodes.get(id) ?? { id, column, name, received: 0, sent: 0 };
      node.received += flow.received;
      node.sent += flow.sent;
      nodes.set(id, node);
      ids.push(id);
    }
    parts.set(flow.key, ids);
    const [from, to] = ids;
    if (from === undefined || to === undefined) continue;
    const id = `${from} > ${to}`;
    links.set(id, { id, from, to, bytes: (links.get(id)?.bytes ?? 0) + bytesOf(flow) });
  }
  return { nodes: [...nodes.values()].sort(inOrder), links: [...links.values()], parts };
}

const inOrder = (a: Node, b: Node): number =>
  COLUMNS.indexOf(a.column) - COLUMNS.indexOf(b.column) ||
  Number(a.name === null) - Number(b.name === null) ||
  bytesOf(b) - bytesOf(a) ||
  (a.id < b.id ? -1 : 1);

/** In pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Ribbon {
  /** Where it leaves its first node and enters the second: the middle of its width. */
  readonly from: readonly [x: number, y: number];
  readonly to: readonly [x: number, y: number];
  readonly width: number;
}

export interface Layout {
  readonly boxes: ReadonlyMap<string, Box>;
  readonly ribbons: ReadonlyMap<string, Ribbon>;
}

/** So high that a line of text fits. */
export const LEAST_HEIGHT = 20;
const GAP = 6;
/** Between two columns, at least, and as a share of the width. */
const LEAST_BETWEEN = 28;
const BETWEEN = 0.08;
const WIDEST = 260;

/** Heights stand for bytes, by the same measure in all columns; a column that has no node takes no room. */
export function layOut({ nodes, links }: Graph, width: number, height: number): Layout {
  const columns = COLUMNS.map((column) => nodes.filter((node) => node.column === column)).filter(
    (column) => column.length > 0,
  );
  const scale = Math.min(
    ...columns.map((column) => {
      const room = height - column.length * LEAST_HEIGHT - (column.length - 1) * GAP;
      return Math.max(0, room) / column.reduce((sum, node) => sum + bytesOf(node), 0);
    }),
  );
  const between = Math.max(LEAST_BETWEEN, width * BETWEEN);
  const room = (width - between * (columns.length - 1)) / Math.max(1, columns.length);
  const wide = Math.max(0, Math.min(WIDEST, room));
  const step = columns.length < 2 ? 0 : (width - wide) / (columns.length - 1);
  const boxes = new Map<string, Box>();
  for (const [i, column] of columns.entries()) {
    let y = 0;
    for (const node of column) {
      const high = LEAST_HEIGHT + bytesOf(node) * scale;
      boxes.set(node.id, { x: i * step, y, width: wide, height: high });
      y += high + GAP;
    }
  }
  return { boxes, ribbons: ribbonsOf(links, boxes, scale) };
}

/** At a node they lie one below the other in the order of their other ends, around its middle. */
function ribbonsOf(
  links: readonly Link[],
  boxes: ReadonlyMap<string, Box>,
  scale: number,
): Map<string, Ribbon> {
  const topOf = (id: string): number => boxes.get(id)?.y ?? 0;
  const places = new Map<string, number>();
  const place = (end: 'from' | 'to', other: 'from' | 'to'): void => {
    const used = new Map<string, number>();
    const total = new Map<string, number>();
    for (const link of links) total.set(link[end], (total.get(link[end]) ?? 0) + link.bytes);
    for (const link of links.toSorted((a, b) => topOf(a[other]) - topOf(b[other]))) {
      const id = link[end];
      const box = boxes.get(id);
      if (box === undefined) continue;
      const above = used.get(id) ?? 0;
      const top = box.y + (box.height - (total.get(id) ?? 0) * scale) / 2;
      places.set(`${end} ${link.id}`, top + (above + link.bytes / 2) * scale);
      used.set(id, above + link.bytes);
    }
  };
  place('from', 'to');
  place('to', 'from');
  const ribbons = new Map<string, Ribbon>();
  for (const link of links) {
    const [from, to] = [boxes.get(link.from), boxes.get(link.to)];
    if (from === undefined || to === undefined) continue;
    ribbons.set(link.id, {
      from: [from.x + from.width, places.get(`from ${link.id}`) ?? 0],
      to: [to.x, places.get(`to ${link.id}`) ?? 0],
      width: Math.max(1, link.bytes * scale),
    });
  }
  return ribbons;
}
