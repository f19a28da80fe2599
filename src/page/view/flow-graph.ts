/**
 * The graph of flows: ribbons as SVG, and a button for each node, so that names are cut and kept apart by the
 * browser, and the keyboard works: one stop for Tab, arrows from node to node, Enter to pick one.
 */
import type { Flows } from '../model/flows.js';
import {
  cutName,
  layOut,
  type Box,
  type Column,
  type Graph,
  type Layout,
  type Node,
} from '../model/flow-graph.js';
import { bytesOf } from '../model/flows.js';
import { quantity, UNKNOWN } from '../model/format.js';
import { element, keep, setAttribute, setText, shape } from './dom.js';

export interface FlowGraph {
  readonly root: HTMLElement;
  /** `picked`: id of a node, whose ribbons stand out. */
  update(graph: Graph, seconds: Flows['seconds'], picked: string | null): void;
}

/** What the nodes of a column are to a sentence. */
const ROLES: Readonly<Record<Column, string>> = {
  callers: 'connects here',
  here: 'here',
  called: 'is connected to',
};

const HEIGHT_PX = 300;
/** Below that there is room for names alone. */
const ROOM_FOR_VALUES_PX = 150;

/** Payload over the span, per second where its length is known. */
export function amount(bytes: number, seconds: Flows['seconds']): string {
  return seconds === null ? quantity(bytes, 'bytes') : quantity(bytes / seconds, 'bytesRate');
}

/** In two, as {@link cutName} gives it. */
function nameOf(node: Node): [string, string] {
  if (node.name === null) return ['others', ''];
  return node.name === '' ? [UNKNOWN, ''] : cutName(node);
}

export function describe(node: Node, seconds: Flows['seconds']): string {
  const { received, sent, column } = node;
  const moved = `received ${amount(received, seconds)}, sent ${amount(sent, seconds)}`;
  return `${nameOf(node).join('')}, ${ROLES[column]}: ${moved}`;
}

export function flowGraph(onPick: (id: string | null) => void): FlowGraph {
  const ribbons = shape('svg', { class: 'ribbons', 'aria-hidden': 'true' });
  const nodes = element('div', {
    class: 'nodes',
    role: 'group',
    'aria-label': 'Who talks to whom, as a graph; arrow keys go from one to the next',
  });
  const root = element('div', { class: 'flow-graph' });
  root.append(ribbons, nodes);
  let last: Parameters<FlowGraph['update']> | null = null;
  let layout: Layout | null = null;
  const redraw = (): void => {
    if (last === null || root.clientWidth === 0) return;
    layout = layOut(last[0], root.clientWidth, HEIGHT_PX);
    drawRibbons(ribbons, last[0], layout, last[2]);
    drawNodes(nodes, layout, ...last);
  };
  new ResizeObserver(redraw).observe(root);
  nodes.addEventListener('click', ({ target }) => {
    const id = idOf(target);
    if (id !== null) onPick(last?.[2] === id ? null : id);
  });
  nodes.addEventListener('keydown', (event) => {
    const id = idOf(event.target);
    if (event.key === 'Escape') onPick(null);
    const next = id === null || layout === null ? null : neighbour(layout.boxes, id, event.key);
    if (next === null) return;
    event.preventDefault();
    focusOn(nodes, next);
  });
  return {
    root,
    update(...all) {
      last = all;
      redraw();
    },
  };
}

const idOf = (target: EventTarget | null): string | null =>
  target instanceof Element ? (target.closest('.node')?.getAttribute('data-key') ?? null) : null;

/** The only one that Tab stops at. */
function focusOn(nodes: HTMLElement, id: string): void {
  for (const node of nodes.children) {
    const isIt = node.getAttribute('data-key') === id;
    setAttribute(node, 'tabindex', isIt ? '0' : '-1');
    if (isIt && node instanceof HTMLElement) node.focus();
  }
}

const WAYS: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The nearest one in the direction of the key; null: there is none. */
function neighbour(boxes: ReadonlyMap<string, Box>, id: string, key: string): string | null {
  const [way, here] = [WAYS[key], boxes.get(id)];
  if (way === undefined || here === undefined) return null;
  const [x, y] = way;
  let nearest: string | null = null;
  let least = Infinity;
  for (const [other, box] of boxes) {
    const across = (box.x - here.x) * x;
    const along = (box.y - here.y) * y;
    const isThere = x === 0 ? along > 0 && box.x === here.x : across > 0;
    const distance = Math.abs(box.x - here.x) * 1000 + Math.abs(box.y - here.y);
    if (!isThere || distance >= least) continue;
    [nearest, least] = [other, distance];
  }
  return nearest;
}

function drawRibbons(
  svg: SVGSVGElement,
  { links }: Graph,
  layout: Layout,
  picked: string | null,
): void {
  keep(
    svg,
    links.filter(({ id }) => layout.ribbons.has(id)),
    ({ id }) => id,
    () => shape('path'),
    (path, { id, from, to }) => {
      const ribbon = layout.ribbons.get(id)!;
      const [x1, y1] = ribbon.from;
      const [x2, y2] = ribbon.to;
      const middle = (x1 + x2) / 2;
      setAttribute(path, 'd', `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`);
      setAttribute(path, 'stroke-width', ribbon.width.toFixed(1));
      setAttribute(path, 'class', `ribbon ${from.startsWith('callers') ? 'incoming' : 'outgoing'}`);
      path.classList.toggle('is-dim', picked !== null && picked !== from && picked !== to);
    },
  );
}

function drawNodes(
  root: HTMLElement,
  { boxes }: Layout,
  graph: Graph,
  seconds: Flows['seconds'],
  picked: string | null,
): void {
  keep(
    root,
    // Always in the same order: one that is moved would lose the focus.
    graph.nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    ({ id }) => id,
    ({ column }) =>
      element(
        'button',
        { type: 'button', class: `node ${column}`, tabindex: '-1' },
        element('span', { class: 'node-name' }, element('span'), element('span')),
        element('span', { class: 'node-value' }),
      ),
    (button, node) => {
      const box = boxes.get(node.id);
      if (!(button instanceof HTMLElement) || box === undefined) return;
      const { style } = button;
      style.setProperty('left', `${box.x.toFixed(1)}px`);
      style.setProperty('top', `${box.y.toFixed(1)}px`);
      style.setProperty('width', `${box.width.toFixed(1)}px`);
      style.setProperty('height', `${box.height.toFixed(1)}px`);
      const [name, value] = [button.children[0]!, button.children[1]!];
      for (const [i, part] of nameOf(node).entries()) setText(name.children[i]!, part);
      setText(value, box.width < ROOM_FOR_VALUES_PX ? '' : amount(bytesOf(node), seconds));
      setAttribute(button, 'title', describe(node, seconds));
      setAttribute(button, 'aria-label', describe(node, seconds));
      setAttribute(button, 'data-value', String(bytesOf(node)));
      setAttribute(button, 'aria-pressed', String(node.id === picked));
    },
  );
  const stops = [...root.children];
  if (!stops.some((node) => node.getAttribute('tabindex') === '0'))
    stops[0]?.setAttribute('tabindex', '0');
}
