/**
 * Makes elements. Text gets into the page through here alone, and only as text: names of processes, peers
 * and paths come from strangers.
 */

export interface Attributes {
  readonly class?: string;
  readonly [name: `aria-${string}` | `data-${string}`]: string;
  readonly id?: string;
  readonly role?: string;
  readonly title?: string;
  readonly tabindex?: string;
  readonly type?: string;
  readonly name?: string;
  readonly value?: string;
  readonly href?: string;
  readonly scope?: string;
  readonly for?: string;
  readonly placeholder?: string;
  readonly autocomplete?: string;
  readonly spellcheck?: string;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** An element of a drawing. */
export function shape<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
): SVGElementTagNameMap[K] {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Leaves the node alone if nothing changes, so that selections in it survive. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node: Element, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** What is written for people, and the number itself for programs. */
export interface Shown {
  readonly text: string;
  readonly value: string | number | null;
}

export function show(node: HTMLElement, { text, value }: Shown): void {
  setText(node, text);
  setAttribute(node, 'data-value', value === null ? '' : String(value));
}

/** Brings `parent` to hold one child per item, in order; the child of a key stays the same node. */
export function keep<T>(
  parent: Element,
  items: readonly T[],
  keyOf: (item: T) => string,
  make: (item: T) => Element,
  update: (node: Element, item: T) => void,
): void {
  const wanted = new Set(items.map(keyOf));
  const there = new Map<string, Element>();
  for (const child of [...parent.children]) {
    const key = child.getAttribute('data-key') ?? '';
    // First of all, so that those that stay need not move, which would take the focus from them.
    if (wanted.has(key)) there.set(key, child);
    else child.remove();
  }
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const node = there.get(key) ?? make(item);
    there.delete(key);
    setAttribute(node, 'data-key', key);
    update(node, item);
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
}

/** For storage that may be forbidden: then the page forgets, and works. */
export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(`netwatch.${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`netwatch.${name}`, value);
  } catch {
    // nothing depends on it
  }
}
