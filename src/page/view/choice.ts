/** A few alternatives side by side: radio buttons, so that the keyboard works as everywhere. */
import { element } from './dom.js';

export function choice<const T extends string>(
  legend: string,
  name: string,
  values: readonly T[],
  chosen: T,
  onChoice: (value: T) => void,
): HTMLElement {
  return element(
    'fieldset',
    { class: 'choice' },
    element('legend', { class: 'unseen' }, legend),
    ...values.map((value) => {
      const input = element('input', { type: 'radio', name, value });
      input.checked = value === chosen;
      input.addEventListener('change', () => onChoice(value));
      return element('label', {}, input, element('span', {}, value));
    }),
  );
}
