/**
 * Takes credentials and personal data out of a request target or a reason phrase before anything else
 * sees it. The kernel has hidden queries and what stands before an `@` already; this does it again and
 * adds what takes more than a few instructions. docs/http.md has the rules as a table: names that tell of
 * a secret (names.ts), shapes (shapes.ts), strings drawn by lot (drawn.ts).
 *
 * All rules look at what the text says, percent-encoding undone; what is hidden becomes `*` in the text
 * as it came. Names and structure stay, so that lines can still be told apart. Pure; nothing is escaped.
 */
import { hideDrawn, isOpaque, mayBeHalf } from './drawn.js';
import { gluedName, isEnd, isLink, isVerb, nameKind, type NameKind } from './names.js';
import { decodePercent, isRaw, type Plain } from './percent.js';
import { hideShapes } from './shapes.js';

const HIDDEN = '*';

/** What looks like a header with credentials: from here to the end. */
const HEADER =
  /(?:proxy-)?authorization\s*[:=]|(?:set-)?cookies?2?\s*[:=]|x-(?:api-key|auth-token)\s*[:=]|\b(?:bearer|basic)[\s+]+\S/i;

const SCHEME = /[a-z][a-z\d+.-]*:[/\\]+|^\/\//gi;
const PORT = /^[^:]*:\d*$/;
/** What pieces of an address are made of; anything else stands between them. */
const PIECE = /[^\s/\\?#&;,:=()'"[\]{}<>|!$`^]+/g;

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

/** Walks over the pieces of a path or a phrase with the name that stood before. */
class Pieces {
  readonly #draft: Draft;
  readonly #end: number;
  #name: NameKind | 'word' | null = null;
  /** What is hidden whole ends here. */
  #hiddenTo = 0;

  constructor(draft: Draft, end: number) {
    this.#draft = draft;
    this.#end = end;
  }

  walk(): void {
    let last = 0;
    for (const { 0: piece, index } of this.#draft.text.slice(0, this.#end).matchAll(PIECE)) {
      // `/token/./x` is `/token/x`
      if (piece === '.') continue;
      this.#take(piece, index, this.#draft.text.slice(last, index));
      last = index + piece.length;
    }
  }

  #take(piece: string, at: number, between: string): void {
    const name = this.#name;
    if (at >= this.#hiddenTo && name !== null && this.#follows(name, piece, at, between)) return;
    const kind = nameKind(piece);
    if (kind !== null) this.#name = kind;
    // behind a name and a word, `/password/reset/…`, is no place for an id either
    else
      this.#name =
        name !== null && at < this.#hiddenTo && /^[a-z]{2,12}$/.test(piece) ? 'word' : null;
    const glued = gluedName(piece);
    if (glued > 0 && isOpaque(piece.slice(glued), true))
      this.#draft.hide(at + glued, at + piece.length);
  }

  /** What a piece behind a name is taken for; true: the name counts for the next one too. */
  #follows(name: NameKind | 'word', piece: string, at: number, between: string): boolean {
    if (/[?#&]/.test(between)) return false;
    const isSegment = /[/\\]/.test(between);
    if (name === 'secret') {
      if (isSegment) {
        if (!PAGE.test(this.#draft.text.slice(at, this.#segmentEnd(at)))) this.#hideSegment(at);
      } else if (/^\s+$/.test(between)) return this.#followsWord(piece, at);
      else this.#hideTo(at, this.#draft.rawIndex('/&;?# ', at));
      return false;
    }
    if (isSegment && this.#isSecret(name, piece, at)) this.#hideSegment(at);
    return false;
  }

  /** In free text: `token abc`, `password is abc`, but `token expired`. */
  #followsWord(piece: string, at: number): boolean {
    if (isLink(piece)) return true;
    if (!isEnd(piece) && nameKind(piece) !== 'secret') this.#hideTo(at, at + piece.length);
    return false;
  }

  #isSecret(name: NameKind | 'word', piece: string, at: number): boolean {
    const segment = this.#draft.text.slice(at, this.#segmentEnd(at));
    switch (name) {
      case 'sensitive':
        return !isVerb(piece);
      case 'capability':
        return isOpaque(segment, false);
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

/** Each segment by the shapes and the chance of what it holds. */
function hideInSegments(draft: Draft, end: number, separators: string): void {
  const { text, hide } = draft;
  let digest = false;
  for (let from = 0; from < end;) {
    const to = Math.min(end, draft.rawIndex(separators, from));
    if (to > from) {
      hideShapes(text, from, to, hide);
      const segment = text.slice(from, to);
      hideDrawn(text, from, to, digest || /^sha\d+:/.test(segment), hide);
      digest = nameKind(segment) === 'digest';
    }
    from = to + 1;
  }
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
  new Pieces(draft, header).walk();
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
  new Pieces(draft, header).walk();
  hideInSegments(draft, header, ' /\\');
  if (isCut && header === text.length) hideHalf(draft, LAST_WORD);
  return draft.render();
}
