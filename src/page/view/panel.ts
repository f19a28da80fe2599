/** The frame of a chart or table: a heading, a line about it, and a note in its place when it is empty. */
import { element, setText } from './dom.js';

export interface Panel {
  readonly root: HTMLElement;
  readonly body: HTMLElement;
  /** Text instead of the body, which keeps its height; null: the body. */
  note(text: string | null): void;
}

export interface PanelOptions {
  readonly title: string;
  readonly about: string;
  /** Right of the heading. */
  readonly tools?: readonly HTMLElement[];
  readonly class?: string;
}

let made = 0;

export function panel({ title, about, tools = [], class: kind = '' }: PanelOptions): Panel {
  const id = `panel-${++made}`;
  const note = element('p', { class: 'note' });
  const body = element('div', { class: 'panel-body' });
  const frame = element('div', { class: 'panel-frame' }, body, note);
  const root = element(
    'section',
    { class: `panel ${kind}`.trim(), 'aria-labelledby': id },
    element(
      'div',
      { class: 'panel-head' },
      element('h3', { id }, title),
      element('div', { class: 'panel-tools' }, ...tools),
      element('p', { class: 'about' }, about),
    ),
    frame,
  );
  note.hidden = true;
  return {
    root,
    body,
    note(text) {
      note.hidden = text === null;
      root.classList.toggle('is-empty', text !== null);
      setText(note, text ?? '');
    },
  };
}

/** A part of the page with a heading of its own. */
export function area(title: string, ...content: readonly HTMLElement[]): HTMLElement {
  const id = `area-${++made}`;
  return element(
    'section',
    { class: 'area', 'aria-labelledby': id },
    element('h2', { id }, title),
    element('div', { class: 'grid' }, ...content),
  );
}
