/** The key numbers in a row, each with a line of its last minutes. */
import { TILES, tileText, type Tile } from '../model/tiles.js';
import { element, setText, show } from './dom.js';
import { sparkline } from './sparkline.js';
import type { State, View } from './state.js';

export function tiles(): View {
  const made = TILES.map(tileView);
  const root = element(
    'section',
    { class: 'tiles', 'aria-label': 'Key numbers' },
    element('dl', {}, ...made.map(({ root }) => root)),
  );
  return { root, render: (state) => made.forEach((tile) => tile.render(state)) };
}

function tileView(tile: Tile): View {
  const value = element('dd', { class: 'tile-value' });
  const more = element('dd', { class: 'tile-more' });
  const spark = sparkline();
  const root = element(
    'div',
    { class: 'tile', 'data-tile': tile.id },
    element('dt', {}, tile.title),
    value,
    more,
    element('dd', { class: 'tile-spark', 'aria-hidden': 'true' }, spark.root),
  );
  return {
    root,
    render({ snapshot, summary, minute, timeline }: State) {
      const shown = tileText(tile, snapshot === null ? null : { snapshot, summary, minute });
      show(value, shown);
      setText(more, shown.more);
      root.classList.toggle('is-bad', shown.isBad === true);
      spark.update(
        timeline.points.map((point) =>
          point.summary === null ? null : tile.history(point.summary),
        ),
      );
    },
  };
}
