/**
 * Folds targets of requests into routes: `/orders/4711?x=*` becomes `/orders/*`. What an
 * address calls a thing by (a number, a UUID, digits of a digest, what was hidden) becomes a star. Pure.
 */

/** Segments that tell routes apart; what lies deeper is one star. */
const MOST_SEGMENTS = 8;
/** A longer segment is a name that somebody gave to one thing. */
const MOST_CHARACTERS = 32;

const ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i;
const UUID = /[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/i;
/** Digits of a digest or of a random number, and not a word that happens to be made of a to f. */
const HEX = /^(?=.*\d)[\da-f]{8,}$/i;
/** `4711`, `order-4711`, `2026-11-28`; but not `v2` and `mp3`. */
const NUMBERED = /^[-\d.,:_]*\d[-\d.,:_]*$|\d{3}/;

function isIdentifier(segment: string): boolean {
  return (
    segment.includes('*') ||
    segment.length > MOST_CHARACTERS ||
    UUID.test(segment) ||
    HEX.test(segment) ||
    NUMBERED.test(segment)
  );
}

/** What of a request's target names a resource: no origin, no query, no fragment. */
export function pathOf(target: string): string {
  const path = target.replace(ORIGIN, '').replace(/[?#].*$/s, '');
  return path === '' ? '/' : path;
}

/** The route of a request's (masked) target; a host and port (CONNECT) and `*` are their own. */
export function routeOf(target: string): string {
  const path = pathOf(target);
  if (!path.startsWith('/')) return path;
  const segments = path.slice(1).split('/');
  const folded = segments.map((segment) => (isIdentifier(segment) ? '*' : segment));
  return folded.length <= MOST_SEGMENTS
    ? `/${folded.join('/')}`
    : `/${folded.slice(0, MOST_SEGMENTS).join('/')}/*`;
}
