/** Option --targets: how much of a request's target is shown at all. */

/** Everything but secrets; without names of a query; the first segment of the path; nothing. */
export const TARGETS = ['full', 'path', 'first-segment', 'none'] as const;
export type Targets = (typeof TARGETS)[number];

const ORIGIN = /^([a-z][a-z\d+.-]*:\/\/[^/?#]*)?(\/*[^/?#]*)(.*)$/is;

/** What of a redacted target is shown; the rest is a star, and the same for every request. */
export function reduceTarget(target: string, targets: Targets): string {
  if (targets === 'full') return target;
  if (targets === 'none') return '*';
  if (targets === 'path') return target.replace(/[?#].*$/s, '');
  const [, origin = '', first = '', rest = ''] = ORIGIN.exec(target) ?? [];
  return origin + first + (rest.replace(/^[?#].*|^\/$/s, '') === '' ? '' : '/*');
}
