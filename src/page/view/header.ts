/** The top of the page: the collector's state and what to do about it, versions, theme. */
import { describeStatus } from '../model/status.js';
import { scalars } from '../model/series.js';
import { element, setAttribute, setText } from './dom.js';
import type { State, View } from './state.js';
import { themeSwitch } from './theme.js';

export interface Header extends View {
  /** Between snapshots, so that ages tick. */
  tick(state: State, ageSeconds: number | null): void;
}

export function header(): Header {
  const version = element('span', { class: 'version' });
  const short = element('span', { class: 'state-short' });
  const sentence = element('p', { class: 'state-sentence' });
  // Said aloud when the state changes; the sentence itself has a new age every second.
  const aloud = element('p', { class: 'unseen', role: 'status' });
  const state = element('div', { class: 'state', 'data-tone': 'wait' }, short, sentence, aloud);
  const root = element(
    'div',
    { class: 'header' },
    element('h1', {}, 'netwatch', version),
    state,
    themeSwitch(),
  );
  return {
    root,
    render({ snapshot }) {
      const build = snapshot === null ? undefined : scalars(snapshot, 'netwatch_build_info')[0];
      if (build === undefined) return;
      setText(version, build.labels['version'] ?? '');
      version.title = `Linux ${build.labels['kernel'] ?? ''}, libbpf ${build.labels['libbpf'] ?? ''}, Node.js ${build.labels['node'] ?? ''}`;
    },
    tick({ snapshot, feed }, ageSeconds) {
      const status = describeStatus(snapshot, feed, ageSeconds);
      setAttribute(state, 'data-tone', status.tone);
      if (short.textContent !== status.short) setText(aloud, status.sentence);
      setText(short, status.short);
      setText(sentence, status.sentence);
      document.title = `${status.tone === 'good' ? '' : `${status.short} · `}netwatch`;
    },
  };
}

/** Where programs get the same numbers. */
export function footer(): HTMLElement {
  const link = (path: string): HTMLElement => element('a', { href: path }, `/${path}`);
  return element(
    'p',
    {},
    'The same numbers for programs: ',
    link('metrics'),
    ' and ',
    link('api/v1/snapshot'),
    '.',
  );
}
