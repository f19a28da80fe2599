/**
 * Takes credentials and personal data out of a request target or a reason phrase before anything else
 * sees it. The kernel has hidden queries and what stands before an `@` already; this does it again and
 * adds what takes more than a few instructions. docs/http.md has the rules as a table: names that tell of
 * a secret (names.ts), shapes (shapes.ts), strings drawn by lot (drawn.ts).
 *
 * All rules look at what the text says, percent-encoding undone; what is hidden becomes `*` in the text
 * as it came. Names and structure stay, so that lines can still be told apart. Pure; nothing is escaped.
 */
import { hideDrawn, isOpaque, mayBeHalf, mayBePiece } from './drawn.js';
import {
  gluedName,
  isAssignedSecret,
  isCarrier,
  isEnd,
  isLink,
  isPaired,
  isVerb,
  nameKind,
  type NameKind,
} from './names.js';
import { decodePercent, isRaw, type Plain } from './percent.js';
import { hideShapes } from './shapes.js';

const HIDDEN = '*';

/** What looks like a header with credentials: from here to the end. */
const HEADER =
  /(?:proxy-)?authorization\s*[:=]|(?:set-)?cookies?2?\s*[:=]|x-(?:api-key|auth-token)\s*[:=]|\b(?:bearer|basic)[\s+]+\S/i;

const SCHEME = /[a-z][a-z\d+.-]*:[/\\]+|^\/\//gi;
const PORT = /^[^:]*:\d*$/;
/** What pieces of an address are made of; anything else stands between them. */
const PIECE = /[^\0-\x20\x7f\s/\\?#&;,:=()'"[\]{}<>|!$`^+*%]+/g;
/** What stands between two words of a text. */
const GAP = /^[\s+]+$/;

/** Nobody's secret: `/tokens/overview.html`. */
const PAGE = /^[a-z-]+\.(?:html?|php|jsp|aspx?|js|css|json|md)$/;

/** What becomes of a character. */
const SHOWN = 0;
const STARRED = 1;
const REMOVED = 2;

/** A text with what is to be hidden in it. */
class Draft {
  readonly plain: Plain;
  readonly text: string;
  readonly #fate: Uint8Array;
  #isClean = true;

  constructor(raw: string) {
    this.plain = decodePercent(raw);
    this.text = this.plain.text;
    this.#fate = new Uint8Array(this.text.length);
  }

  readonly hide = (from: number, to: number): void => {
    this.#isClean = false;
    for (let i = from; i < to; i++) this.#fate[i] ||= STARRED;
  };

  remove(from: number, to: number): void {
    this.#isClean = false;
    this.#fate.fill(REMOVED, from, to);
  }

  /** The next of some characters, as itself and not encoded; the text's end without. */
  rawIndex(characters: string, from: number): number {
    for (let i = from; i < this.text.length; i++)
      if (characters.includes(this.text[i]!) && isRaw(this.plain, i)) return i;
    return this.text.length;
  }

  /** The text as it came, a star for each stretch that is hidden. */
  render(): string {
    const { raw, starts } = this.plain;
    if (this.#isClean) return raw;
    let shown = '';
    for (let i = 0; i < this.text.length; i++) {
      const fate = this.#fate[i]!;
      if (fate === SHOWN) shown += starts === null ? raw[i]! : raw.slice(starts[i], starts[i + 1]);
      else if (fate === STARRED && !shown.endsWith(HIDDEN)) shown += HIDDEN;
    }
    return shown;
  }
}

/** What stands between `scheme://` and the host's `@`; of an authority that is none, all of it. */
function hideUserinfo(draft: Draft, end: number, isCut: boolean): void {
  const path = draft.text.slice(0, end);
  for (const { 0: scheme, index } of path.matchAll(SCHEME)) {
    const from = index + scheme.length;
    const length = path.slice(from).search(/[/\\]/);
    const to = length < 0 ? end : from + length;
    const authority = path.slice(from, to);
    const at = authority.lastIndexOf('@');
    if (at >= 0) {
      draft.remove(from, from + at + 1);
    } else if (authority.includes(':') && !authority.startsWith('[') && !PORT.test(authority)) {
      // a password may hold what ends an authority
      const later = path.lastIndexOf('@');
      if (later > to) draft.remove(from, later + 1);
      else draft.hide(from, to);
    } else if (isCut && to === draft.text.length) {
      draft.hide(from, to);
    }
  }
}

/** Every value of a query, and every name without one; rules for pieces see to the other names. */
function hideQuery(draft: Draft, from: number): void {
  const { text, plain } = draft;
  let at = from + 1;
  while (at <= text.length) {
    const end = draft.rawIndex('&#?', at);
    let equals = at;
    while (equals < end && !(text[equals] === '=' && isRaw(plain, equals))) equals++;
    if (equals === end) draft.hide(at, end);
    else {
      const name = text.slice(at, equals).search(/[=&?#;]/);
      if (name >= 0) draft.hide(at + name + 1, equals);
      draft.hide(equals + 1, end);
    }
    at = end + 1;
  }
}

/** Values behind a `?` that is percent-encoded: a query, if anything there has a value. */
function hideEncodedQuery(draft: Draft, end: number): void {
  const from = draft.text.slice(0, end).search(/[?#]/);
  if (from < 0) return;
  for (const { index } of draft.text.slice(from, end).matchAll(/=[^&?#]*/g)) {
    const at = from + index + 1;
    draft.hide(at, at + draft.text.slice(at, end).search(/[&?#]|$/));
  }
}

/** `;name=value`, and what stands there alone and is no word. */
function hideParameters(draft: Draft, end: number): void {
  for (const { 1: body = '', index } of draft.text.slice(0, end).matchAll(/;([^;/\\]*)/g)) {
    const equals = body.indexOf('=');
    const from = index + 1 + equals + 1;
    if (equals >= 0 || /[A-Z\d]/.test(body)) draft.hide(from, index + 1 + body.length);
  }
}

/** What a piece may be behind: a name, the first of a pair, or what was hidden itself. */
type Behind = NameKind | 'pair' | 'word' | null;

/** Walks over the pieces of a path or a phrase with the name that stood before. */
class Pieces {
  readonly #draft: Draft;
  readonly #end: number;
  readonly #isPhrase: boolean;
  #name: Behind = null;
  /** The name before the last segment, for `/token/x/../y`. */
  #nameAbove: Behind = null;
  #isPair = false;
  #last = '';
  /** What is hidden whole ends here. */
  #hiddenTo = 0;

  constructor(draft: Draft, end: number, isPhrase: boolean) {
    this.#draft = draft;
    this.#end = end;
    this.#isPhrase = isPhrase;
  }

  walk(): void {
    let last = 0;
    for (const { 0: piece, index } of this.#draft.text.slice(0, this.#end).matchAll(PIECE)) {
      // `/token/./x` is `/token/x`
      if (piece === '.') continue;
      if (piece === '..') this.#name = this.#nameAbove;
      else this.#take(piece, index, this.#draft.text.slice(last, index));
      last = index + piece.length;
    }
  }

  #take(piece: string, at: number, between: string): void {
    const name = this.#name;
    const last = this.#last;
    this.#nameAbove = name;
    this.#last = piece;
    if (at >= this.#hiddenTo && name !== null && this.#follows(name, piece, at, between)) return;
    this.#name = this.#nameOf(piece, at, GAP.test(between) ? `${last}-${piece}` : '');
    const glued = gluedName(piece);
    if (glued > 0 && isOpaque(piece.slice(glued), true))
      this.#draft.hide(at + glued, at + piece.length);
  }

  /** What the next piece is behind; `joined`: with the word before, `pass phrase`. */
  #nameOf(piece: string, at: number, joined: string): Behind {
    const kind = nameKind(piece);
    if (kind !== null) {
      this.#isPair = isPaired(piece);
      const isAssigned = /^[=:]/.test(this.#draft.text.slice(at + piece.length));
      return isAssigned && isAssignedSecret(piece) ? 'secret' : kind;
    }
    if (joined !== '' && nameKind(joined) === 'secret') return 'secret';
    if (/^[=:]/.test(this.#draft.text.slice(at + piece.length)) && isAssignedSecret(piece))
      return 'secret';
    // what a name has hidden may have something behind it that belongs to it: `/reset/MQ/5xk-4e3a2b/`
    if (this.#name === null || at >= this.#hiddenTo) return null;
    const isFirst = this.#isPair && this.#name !== 'pair';
    return isFirst ? 'pair' : 'word';
  }

  /** What a piece behind a name is taken for; true: the name counts for the next one too. */
  #follows(name: Behind, piece: string, at: number, between: string): boolean {
    // a star with something behind it is what has been hidden already
    if (/[?#&]|\*./.test(between)) return false;
    const isSegment = /[/\\]/.test(between);
    if (name === 'secret') {
      if (isSegment) {
        if (!PAGE.test(this.#draft.text.slice(at, this.#segmentEnd(at)))) this.#hideSegment(at);
      } else if (GAP.test(between)) return this.#followsWord(piece, at);
      else this.#hideTo(at, this.#draft.rawIndex('/&;?# ', at));
      return false;
    }
    if (name === 'code' && !isSegment) {
      if (isLink(piece)) return true;
      if (isOpaque(piece, true)) this.#hideTo(at, at + piece.length);
    } else if (isSegment && name === 'sensitive' && isCarrier(piece) && nameKind(piece) === null)
      return true;
    else if (isSegment && this.#isSecret(name, piece, at)) this.#hideSegment(at);
    return false;
  }

  /** In free text: `token abc`, `password is a b c`, but `token expired`. */
  #followsWord(piece: string, at: number): boolean {
    const isHidden = this.#hiddenTo > 0 && this.#wasHidden(at);
    if (isLink(piece)) return !isHidden;
    if (isEnd(piece) || nameKind(piece) === 'secret') return false;
    const to = this.#draft.text.slice(at).search(this.#isPhrase ? /[\s+]/ : /[\s+/&;?#]/);
    this.#hideTo(at, to < 0 ? this.#end : Math.min(this.#end, at + to));
    return true;
  }

  /** Whether what stands before the gap before `at` has been hidden. */
  #wasHidden(at: number): boolean {
    return GAP.test(this.#draft.text.slice(this.#hiddenTo, at));
  }

  #isSecret(name: Behind, piece: string, at: number): boolean {
    const segment = this.#draft.text.slice(at, this.#segmentEnd(at));
    switch (name) {
      case 'sensitive':
        return !isVerb(piece);
      case 'pair':
        return !isVerb(piece) && !PAGE.test(segment);
      case 'capability':
        return isOpaque(segment, false);
      case 'code':
      case 'word':
        return isOpaque(segment, true);
      case 'personal':
        return segment.replace(/\D/g, '').length >= 6;
      default:
        return false;
    }
  }

  #segmentEnd(at: number): number {
    return Math.min(this.#end, this.#draft.rawIndex('/;', at));
  }

  #hideSegment(at: number): void {
    this.#hideTo(at, this.#segmentEnd(at));
  }

  #hideTo(at: number, end: number): void {
    this.#draft.hide(at, end);
    this.#hiddenTo = end;
  }
}

/**
 * Each segment by the shapes and the chance of what it holds. Beside one that was drawn stands perhaps
 * another piece of it: base64 has slashes.
 */
function hideInSegments(draft: Draft, end: number, separators: string): void {
  const { text, hide } = draft;
  let digest = false;
  let isDrawn = false;
  let before = { from: 0, to: 0 };
  for (let from = 0; from < end;) {
    const to = Math.min(end, draft.rawIndex(separators, from));
    if (to > from) {
      hideShapes(text, from, to, hide);
      const segment = text.slice(from, to);
      const wasDrawn = isDrawn;
      isDrawn = hideDrawn(text, from, to, digest || /^sha\d+:/.test(segment), hide);
      if (wasDrawn && mayBePiece(segment)) hide(from, to);
      if (isDrawn && mayBePiece(text.slice(before.from, before.to))) hide(before.from, before.to);
      digest = nameKind(segment) === 'digest';
      before = { from, to };
    }
    from = to + 1;
  }
}

/** Where Slack takes messages from whoever knows the address. */
const SLACK_HOOK = /(?<=\/T[A-Z\d]{8,}\/B[A-Z\d]{8,}\/)[^/?#]+/g;
/** `jdbc:oracle:thin:scott/tiger@//host`. */
const JDBC_USER = /(?<=jdbc:[a-z]+:(?:[a-z]+:)?)[^:@\s]+\/[^@\s]+(?=@)/gi;

/** What is known by its shape across segments. */
function hideInPath(draft: Draft, end: number): void {
  const path = draft.text.slice(0, end);
  for (const shape of [SLACK_HOOK, JDBC_USER])
    for (const { 0: found, index } of path.matchAll(shape)) draft.hide(index, index + found.length);
}

const LAST_SEGMENT = /[^/\\]*$/;
/** A capital at its beginning is nothing in a phrase. */
const LAST_WORD = /(?<=^|\s|[A-Z])[^\sA-Z]\S*$|$/;

/**
 * A cut may leave the first half of a secret, too short to be known for one: of a cut target a last
 * segment stays only if it is made of words.
 */
function hideHalf(draft: Draft, last: RegExp): void {
  const { text } = draft;
  const from = text.search(last);
  if (mayBeHalf(text.slice(from))) draft.hide(from, text.length);
}

/** A request target without credentials and personal data; `isCut`: it was cut at its end. */
export function redactTarget(target: string, isCut = false): string {
  const draft = new Draft(target);
  const { text, hide } = draft;
  const header = HEADER.exec(text)?.index ?? text.length;
  hide(header, text.length);
  const query = Math.min(header, draft.rawIndex('?#', 0));
  if (query < header) hideQuery(draft, query);
  if (!/^[/\\]|^[a-z][a-z\d+.-]*:[/\\]/i.test(text)) {
    const at = text.slice(0, query).replace(/\/.*/s, '').lastIndexOf('@');
    draft.remove(0, at + 1);
  }
  hideUserinfo(draft, query, isCut && query === text.length);
  hideEncodedQuery(draft, query);
  hideParameters(draft, query);
  hideInPath(draft, query);
  new Pieces(draft, header, false).walk();
  hideInSegments(draft, header, '/\\?&=#');
  if (isCut && query === text.length) hideHalf(draft, LAST_SEGMENT);
  return draft.render();
}

/** A reason phrase: free text of the server; nobody's credentials belong there, so none stay. */
export function redactReason(reason: string, isCut = false): string {
  const draft = new Draft(reason);
  const { text } = draft;
  const header = HEADER.exec(text)?.index ?? text.length;
  draft.hide(header, text.length);
  for (const { index } of text.matchAll(/(?<=\S)[?#]\S+/g)) {
    const end = draft.rawIndex(' ', index);
    draft.hide(index + 1, end);
  }
  hideUserinfo(draft, header, false);
  new Pieces(draft, header, true).walk();
  hideInSegments(draft, header, ' /\\');
  if (isCut && header === text.length) hideHalf(draft, LAST_WORD);
  return draft.render();
}
