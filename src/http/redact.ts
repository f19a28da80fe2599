/**
 * Takes credentials out of a request target before anything else sees it. The kernel has hidden query
 * values and userinfo already; this does it again, and adds what takes more than a few instructions:
 *
 *  1. `?a=b&c=d`, and the same behind `#`: every value becomes `*`; so does a name that looks like a
 *     secret itself.
 *  2. `scheme://user:password@host`, `user:password@host:443`: what stands before the `@` goes, also in
 *     an address within a path.
 *  3. `;jsessionid=…`: the value of every matrix parameter becomes `*`.
 *  4. `/token/…`, `/api-key/…`, `/password/…` and the like: the segment behind the name becomes `*`.
 *     Behind names that are common in plain addresses (`/auth/…`, `/reset/…`) it stays if it is one of a
 *     few verbs (`/auth/login`). `token=…` and `token:…` within a segment lose their value.
 *  5. JSON web tokens (`eyJ…`), the tokens of services that mark theirs (`ghp_…`, `AKIA…`, `/bot123:…`):
 *     `*`, wherever they stand in a segment.
 *  6. Long strings that look drawn by lot (20 letters and digits or more, or 24 that change often between
 *     upper case, lower case and digits): `*`. A UUID stays: it names things far more often than it opens
 *     them.
 *  7. What looks like a header with credentials (`Authorization: …`, `Cookie: …`): `*` to the end.
 *
 * Names and structure stay, so that lines can still be told apart. Pure; nothing is escaped here.
 */

const HIDDEN = '*';

/** What follows is a secret, whatever it looks like. */
const SECRET_NAME =
  /^(?:(?:access|api|auth|bearer|client|csrf|id|refresh|session|x)?[-_.]?(?:tokens?|keys?|apikeys?|secrets?|passwords?|passwd|passphrase|pwd)|jwts?|bearer|credentials?|otp|pin|signatures?|sig|sid|sessions?|jsessionid|phpsessid)$/i;

/** What follows may be a secret, or the next word of a plain address. */
const SENSITIVE_NAME =
  /^(?:o?auth2?|authenticate|authorize|sso|saml|login|reset|password[-_]?reset|reset[-_]?password|forgot|recover|verify|verification|confirm|confirmation|activate|activation|invites?|invitations?|magic|magic[-_]?link|unsubscribe|hooks?|webhooks?|share|shared)$/i;

const VERB =
  /^(?:login|logout|signin|signout|signup|register|callback|authorize|refresh|revoke|introspect|userinfo|token|tokens|keys|session|sessions|status|me|user|users|email|password|reset|request|confirm|verify|new|list|index|v\d{1,2}|index\.[a-z]{2,4})$/i;

const MARKED =
  /eyJ[\w-]{6,}(?:\.[\w-]*){0,2}|(?:ghp|gho|ghu|ghs|ghr|github_pat|glpat|npm|hf|dop_v1|shpat|(?:sk|pk|rk)_(?:live|test))[-_][\w-]{8,}|xox[a-z]-[\w-]{6,}|sk-[\w-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|ya29\.[\w-]+|SG\.[\w-]{10,}(?:\.[\w-]+)?|bot\d{4,}(?::|%3[aA])[\w-]+/g;

const HEADER =
  /(?:proxy-)?authorization\s*[:=]|(?:set-)?cookies?2?\s*[:=]|x-(?:api-key|auth-token)\s*[:=]|\b(?:bearer|basic)(?:\s|%20|\+)+\S/i;

const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;
const RUN = /[A-Za-z\d+=]{20,}/g;
const RANDOM = /[\w+=-]{24,}/g;
const RUN_MIN = 20;

/** A target without any of these, and with no long segment, has nothing to hide. */
const INNOCENT = /^\/[a-z/.\-_]*$/;
const NAMED =
  /tok|key|sec|pass|pwd|jwt|bear|cred|otp|pin|sig|sid|sess|auth|sso|saml|log|reset|forg|recov|veri|conf|activ|invi|magic|unsub|hook|share|cook/;

/** Changes between upper case, lower case, digits and the rest: many of them are nobody's words. */
function isRandom(text: string): boolean {
  let changes = 0;
  let before = '';
  for (const c of text) {
    const kind =
      c >= 'a' && c <= 'z' ? 'a' : c >= 'A' && c <= 'Z' ? 'A' : c >= '0' && c <= '9' ? '0' : '-';
    if (kind !== before) changes++;
    before = kind;
  }
  return changes * 4 >= text.length && /\d/.test(text) && /[A-Z]/.test(text) && /[a-z]/.test(text);
}

function isLetterAndDigit(text: string): boolean {
  return /[A-Za-z]/.test(text) && /\d/.test(text);
}

/** Rules 5 and 6, within a piece of text without separators. */
function hideSecrets(text: string): string {
  if (text.length < RUN_MIN && !text.includes('eyJ') && !text.includes('bot') && !/[_-]/.test(text))
    return text;
  if (UUID.test(text)) return text;
  return text
    .replace(MARKED, (found) => (found.startsWith('bot') ? `bot${HIDDEN}` : HIDDEN))
    .replace(RUN, (run) => (isLetterAndDigit(run) ? HIDDEN : run))
    .replace(RANDOM, (run) => (isRandom(run) ? HIDDEN : run));
}

/** `token=…`, `token:…` */
function hideAssigned(segment: string): string {
  const at = segment.search(/[=:]/);
  if (at <= 0 || at === segment.length - 1) return segment;
  return SECRET_NAME.test(segment.slice(0, at)) ? segment.slice(0, at + 1) + HIDDEN : segment;
}

function hideParameters(segment: string): string {
  const at = segment.indexOf(';');
  if (at < 0) return segment;
  return segment.slice(0, at) + segment.slice(at).replace(/=[^;]+/g, `=${HIDDEN}`);
}

function redactSegment(segment: string, before: string): string {
  if (segment === '') return segment;
  if (SECRET_NAME.test(before)) return HIDDEN;
  const bare = hideParameters(segment);
  if (SENSITIVE_NAME.test(before) && !VERB.test(bare) && !SENSITIVE_NAME.test(bare)) return HIDDEN;
  return hideSecrets(hideAssigned(bare));
}

/** Percent-encoded letters are letters. */
function nameOf(segment: string): string {
  const name = segment.split(';', 1)[0]!;
  if (!name.includes('%')) return name;
  return name.replace(/%([2-7][\da-f])/gi, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function redactPath(path: string): string {
  let before = '';
  return path
    .split('/')
    .map((segment) => {
      const shown = redactSegment(segment, before);
      if (segment !== '') before = nameOf(segment);
      return shown;
    })
    .join('/');
}

function redactQuery(query: string): string {
  return query.replace(
    /([?&#;]*)([^=&#]*)(?:=([^&#]*))?/g,
    (_all, mark: string, name: string, value?: string) => {
      const shown = hideSecrets(name);
      if (value === undefined) return mark + shown;
      return `${mark}${shown}=${value === '' ? '' : HIDDEN}`;
    },
  );
}

function withoutUserinfo(target: string): string {
  return target
    .replace(/^[^/?#]*@/, '')
    .replace(/^\/\/[^/?#]*@/, '//')
    .replace(/([a-z][a-z\d+.-]*:\/\/)[^/?#]*@/gi, '$1')
    .replace(/(%3a%2f%2f)(?:(?!%2f)[^/?#])*(?:@|%40)/gi, '$1');
}

/**
 * A cut may leave the first half of a secret, too short to be known for one: of a cut target a last
 * segment of letters and digits goes.
 */
function redactCut(target: string): string {
  const at = Math.max(target.lastIndexOf('/'), target.lastIndexOf('=')) + 1;
  const last = target.slice(at);
  return last.length >= 6 && isLetterAndDigit(last) ? target.slice(0, at) + HIDDEN : target;
}

/** A request target without credentials; `truncated`: it was cut at its end. */
export function redactTarget(target: string, truncated = false): string {
  if (INNOCENT.test(target) && target.length < 256 && !NAMED.test(target)) return target;
  const header = HEADER.exec(target);
  const safe = withoutUserinfo(header ? target.slice(0, header.index) : target);
  const at = safe.search(/[?#]/);
  const path = redactPath(at < 0 ? safe : safe.slice(0, at));
  const query = at < 0 ? '' : redactQuery(safe.slice(at));
  const shown = header ? `${path}${query}${HIDDEN}` : path + query;
  return truncated && at < 0 ? redactCut(shown) : shown;
}

/** A reason phrase: free text of the server; nobody's credentials belong there, so none stay. */
export function redactReason(reason: string): string {
  const header = HEADER.exec(reason);
  const text = header ? reason.slice(0, header.index) + HIDDEN : reason;
  return text
    .split(' ')
    .map((word) => hideSecrets(hideAssigned(word)))
    .join(' ');
}
