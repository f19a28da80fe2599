/** The parts of a request's time side by side as one bar, with the same in words for who cannot see it. */
import { quantity } from '../model/format.js';
import {
  PART_COLOURS,
  PARTS,
  partShares,
  partWords,
  SIDES,
  type PartName,
} from '../model/parts.js';
import { element, keep, setAttribute } from './dom.js';
import type { PartSeconds } from '../../serve/types.js';

const PERCENT = 100;
/** Of the whole bar: less is no pixel. */
const LEAST_SHOWN = 0.003;

/** `wholeSeconds`: what a bar of full width lasts; absent: as long as its parts together. */
export function drawStack(
  cell: HTMLElement,
  side: string,
  parts: PartSeconds,
  wholeSeconds?: number,
): void {
  const shares = partShares(side, parts);
  const known = shares.reduce((sum, { seconds }) => sum + seconds, 0);
  const whole = wholeSeconds ?? known;
  const bar =
    cell.firstElementChild ?? cell.appendChild(element('span', { class: 'stack', role: 'img' }));
  const shown = shares.filter(({ seconds }) => seconds > LEAST_SHOWN * whole);
  keep(
    bar,
    shown,
    ({ part }) => part,
    ({ part }) => element('span', { class: `swatch ${PART_COLOURS[part]}` }),
    (node, { seconds }) => {
      const width = `${((PERCENT * seconds) / whole).toFixed(2)}%`;
      (node as HTMLElement).style.setProperty('width', width);
    },
  );
  const said = shown.map(
    ({ part, seconds }) => `${partWords(part)} ${quantity(seconds, 'seconds')}`,
  );
  const text = shares.length === 0 ? 'The parts are not known.' : said.join(', ');
  setAttribute(bar, 'aria-label', text);
  setAttribute(cell, 'title', text);
}

/** What the colours of the bars of both sides mean; parts that are alike share one. */
export function stackLegend(): HTMLElement {
  const names = new Map<string, Set<string>>();
  for (const part of SIDES.flatMap((side): readonly PartName[] => PARTS[side])) {
    const colour = PART_COLOURS[part];
    names.set(colour, (names.get(colour) ?? new Set()).add(partWords(part)));
  }
  const items = [...names].map(([colour, parts]) =>
    element(
      'li',
      {},
      element('span', { class: `swatch ${colour}`, 'aria-hidden': 'true' }),
      element('span', { class: 'legend-label' }, [...parts].join(' / ')),
    ),
  );
  return element('div', { class: 'legend' }, element('ul', {}, ...items));
}
