/**
 * Secrets and personal data that are known by their shape, wherever they stand: the tokens of services
 * that mark theirs, JSON web tokens, base64 with its padding, e-mail addresses, the numbers of cards,
 * accounts, telephones and people. Numbers with a checksum count only if it is right.
 */

/** Marks [from, to) as hidden. */
export type Hide = (from: number, to: number) => void;

const JWT = /(?<![A-Za-z\d])[eE]yJ[\w-]{6,}(?:\.[\w-]*){0,4}/g;

/** They begin with a mark, and hold a digit or a capital: `npm_config_cache` is none. */
const MARKED = new RegExp(
  [
    // with an underscore
    '(?:gh[opsur]|GH[OPSUR]|github_pat|gl[a-z]{2,5}|npm|ntn|hf|dop_v1|doo_v1|shp(?:at|ca|pa|ss)|lin_api|figd|whsec|dckr_pat|secret|(?:sk|pk|rk|cs)_(?:live|test))_[A-Za-z\\d_.-]{10,}',
    // with a hyphen
    '(?:glpat|xox[a-eoprs]|xapp|GOCSPX|HRKU|PMAK|sq0[a-z]{3}|AGE-SECRET-KEY)-[\\w-]{6,}',
    'pypi-AgE[\\w-]{6,}',
    'sk-[\\w-]{16,}',
    // with a dot
    '\\bhv[sbr]\\.[\\w-]{8,}',
    'ya29\\.[\\w-]+',
    'SG\\.[\\w-]{10,}(?:\\.[\\w-]+)?',
    // with nothing
    '\\b(?:AKIA|ASIA|AROA|AIDA|ABIA)[A-Z\\d]{12,}',
    'AIza[\\w-]{20,}',
    '\\bdapi[a-f\\d]{10,}',
    // tickets of CAS
    '\\b(?:ST|PT|TGT|PGT)-\\d+-[A-Za-z\\d]{16,}[\\w-]*',
  ].join('|'),
  'g',
);
/** Marks that are words of their own, for the quick look at bytes; those with _ it knows by that. */
export const MARK_WORDS: readonly string[] =
  'ey glpat xoxa xoxb xoxc xoxd xoxe xoxo xoxp xoxr xoxs xapp gocspx hrku pmak sq pypi sk ya29 sg hvs hvb hvr'.split(
    ' ',
  );

/** The sessions of ASP.NET without cookies: `(S(lit3py55t21z5v55vlm25s55))`. */
const COOKIELESS = /(?<=[()][AFS]\()[\w.-]{8,}(?=\))/g;

/** Telegram's: the bot's number stands before the secret. */
const BOT = /(?<=bot)\d{4,}:[\w-]+/g;

const PADDED = /(?<![\w+/=-])[\w+/-]{6,}={1,2}(?![\w=])/g;

const EMAIL =
  /[^\s/\\?#&;,:=()'"[\]{}<>|*@]+(?=@([a-z\d-]+(?:\.[a-z\d-]+)*\.([a-z]{2,24}))(?![\w.-]*@))/gi;
/** Names in quotes, hosts as numbers, and those that hide from machines. */
const ODD_EMAIL =
  /"[^"/]+"(?=@)|[\w.+-]+(?=@\[)|[\w.+-]+(?= ?[[({] ?at ?[\])}] ?[\w-]+(?:\.|[[({ ]))/gi;
/** Endings of files that are not top-level domains: `logo@2x.png`. */
const FILE_ENDING =
  /^(?:png|jpe?g|gif|webp|svg|ico|avif|mjs|js|css|map|json|xml|html?|tgz|gz|bz|xz|jar|war|pdf|mp[34]|webm|woff|ttf|txt|csv|yaml|yml)$/i;
const VERSION = /^v?\d+\.\d/;

/** `user:password@host` without a scheme. */
const USERINFO = /[^\s/\\?#&;,@*]+:[^\s/\\?#&;@]*(?=@[^\s/\\?#])/g;

const CARD = /(?<![A-Za-z\d])\d(?:[ ._+-]?\d){12,18}(?![A-Za-z\d])/g;
/** What the numbers of cards begin with, and how long they are (ISO/IEC 7812 as the networks use it). */
const CARD_SHAPE =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|(?:5[0-8]|6\d)\d{14}(?:\d{3})?|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12})$/;

const IBAN = /(?<![A-Za-z\d])[A-Z]{2}\d{2}(?:[ ._+-]?[A-Z\d]){11,30}(?![A-Za-z\d])/gi;

/** E.164 with its plus, the international prefix 00 (in groups too), and the American three-three-four. */
const PHONE =
  /(?<!\w)\+[1-9](?:[ .()-]{0,2}\d){6,14}(?!\d)|(?<!\w)00[1-9]\d{8,12}(?!\w)|(?<![\w.-])00[1-9]\d{0,2}[ .-]\d{2,5}[ .-]\d{3,8}(?:[ .-]\d{2,6})?(?![\w-])|(?<![\w.-])(?:\(\d{3}\)[ -]?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])/g;

/** A social security number. */
const SSN = /(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])/g;

/** More digits than a 64-bit number has. */
const LONG_NUMBER = /\d{20,}/g;

/** True if the digits pass the check of ISO/IEC 7812 (Luhn). */
function isLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 0x30;
    const weighted = i % 2 === 1 ? digit * 2 : digit;
    sum += weighted > 9 ? weighted - 9 : weighted;
  }
  return sum % 10 === 0;
}

/** True if it passes the check of ISO 13616 (modulo 97). */
function isIban(account: string): boolean {
  let rest = 0;
  for (const c of account.slice(4) + account.slice(0, 4)) {
    const value = Number.parseInt(c, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

const bare = (found: string): string => found.replace(/[ ._+-]/g, '');

function isEmail(domain: string, top: string): boolean {
  return !VERSION.test(domain) && !FILE_ENDING.test(top);
}

type Judge = (found: RegExpExecArray) => boolean;

/** Characters of the shortest mark and its separator. */
const MARK_MIN = 3;

const always: Judge = () => true;

/** What a part must have for a shape to be in it: most have not, and cost no search. */
interface Traits {
  readonly text: string;
  readonly digits: number;
  readonly capitals: number;
}

function traitsOf(text: string): Traits {
  let digits = 0;
  let capitals = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x30 && code <= 0x39) digits++;
    else if (code >= 0x41 && code <= 0x5a) capitals++;
  }
  return { text, digits, capitals };
}

type Gate = (traits: Traits) => boolean;

const fromDigits =
  (least: number): Gate =>
  ({ digits }) =>
    digits >= least;
const hasAt: Gate = ({ text }) => text.includes('@');

const IBAN_MIN = 15;

/** What is looked for, where it may be, and what it must pass. */
const SHAPES: readonly (readonly [RegExp, Gate, Judge])[] = [
  [JWT, ({ text }) => text.includes('yJ'), always],
  [
    MARKED,
    ({ digits, capitals }) => digits + capitals > 0,
    ([found]) => /[A-Z\d]/.test(found.slice(MARK_MIN)),
  ],
  [BOT, ({ text }) => text.includes('bot'), always],
  [
    PADDED,
    ({ text }) => text.includes('='),
    ([found]) => found.length % 4 === 0 && /[A-Z\d]/.test(found),
  ],
  [LONG_NUMBER, fromDigits(20), always],
  [CARD, fromDigits(13), ([found]) => CARD_SHAPE.test(bare(found)) && isLuhn(bare(found))],
  [
    IBAN,
    ({ text, digits }) => digits > 1 && text.length >= IBAN_MIN,
    ([found]) => isIban(bare(found)),
  ],
  [PHONE, fromDigits(7), always],
  [SSN, fromDigits(9), always],
  [USERINFO, hasAt, always],
  [ODD_EMAIL, ({ text }) => /[@[({]/.test(text), always],
  [COOKIELESS, ({ text }) => text.includes('('), always],
  [EMAIL, hasAt, ([, domain = '', top = '']) => isEmail(domain, top)],
];

/** Hides everything of a known shape in text[from, to). */
export function hideShapes(text: string, from: number, to: number, hide: Hide): void {
  const part = from === 0 && to === text.length ? text : text.slice(from, to);
  const traits = traitsOf(part);
  for (const [shape, mayBe, isOne] of SHAPES) {
    if (!mayBe(traits)) continue;
    shape.lastIndex = 0;
    for (let found = shape.exec(part); found !== null; found = shape.exec(part))
      if (isOne(found)) hide(from + found.index, from + found.index + found[0].length);
  }
}
