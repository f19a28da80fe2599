/** Dark, light or as the system has it; and the colours of the style sheet for what is drawn on canvas. */
import { choice } from './choice.js';
import { remember, remembered } from './dom.js';

const THEMES = ['auto', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

/** Custom properties of theme.css. */
export type Colour =
  | 'text-soft'
  | 'line'
  | 'grid'
  | 'series-1'
  | 'series-2'
  | 'series-3'
  | 'series-4'
  | 'series-5'
  | 'series-6'
  | 'heat-0'
  | 'heat-1'
  | 'heat-2'
  | 'heat-3';

const cache = new Map<Colour, string>();
const listeners: (() => void)[] = [];
let probe: HTMLElement | undefined;

/** As `rgb(…)`: a custom property itself would be read as it was written, `light-dark(…)`. */
export function colour(name: Colour): string {
  const known = cache.get(name);
  if (known !== undefined) return known;
  if (probe === undefined) {
    probe = document.createElement('span');
    probe.hidden = true;
    document.body.append(probe);
  }
  probe.style.color = `var(--${name})`;
  const resolved = getComputedStyle(probe).color;
  cache.set(name, resolved);
  return resolved;
}

export function onThemeChange(listener: () => void): void {
  listeners.push(listener);
}

function changed(): void {
  cache.clear();
  for (const listener of listeners) listener();
}

function apply(theme: Theme): void {
  const { dataset } = document.documentElement;
  if (theme === 'auto') delete dataset['theme'];
  else dataset['theme'] = theme;
  changed();
}

/** The switch; applies what was chosen last time. */
export function themeSwitch(): HTMLElement {
  const last = THEMES.find((theme) => theme === remembered('theme')) ?? 'auto';
  apply(last);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  return choice('Theme', 'theme', THEMES, last, (theme) => {
    remember('theme', theme);
    apply(theme);
  });
}
