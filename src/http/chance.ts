/**
 * Tells what was drawn by lot from what somebody wrote: how much likelier a run of letters and digits
 * is as a draw from the smallest alphabet it fits (hex, base32, letters, base62) than as words, names
 * and numbers one behind the other. In bits: 10 are a thousand to one.
 */

/**
 * How often a letter follows another one in words: a row for each letter a to z and one for the start of
 * a word; in it a character for each letter a to z, 'a' plus twice the bits it tells (-log2 of its
 * share). Counted over words of nine European languages, 60,000 of each (Debian's w* lists), and names
 * and summaries of 227,000 npm packages.
 */
const FOLLOWS = [
  'okijomkokqnhjgsjtghgklpqno',
  'flppfrorhorgqqhpwhjohsstlr',
  'gvmrhtueisikrufrujmikvwunn',
  'gnoldonqgqplpohqxjkqjqprnp',
  'kmjjmnlokpoijfpmqegjonomqn',
  'gqrqgipsfsrhrqgryhljiusukq',
  'hqsqdskjhsrjokirvhimitstpt',
  'fpsqerqsgsrkmlgrpjlhjunymr',
  'jmikhljutpoikfimrkhhqltpxl',
  'frnmfpsskwmrmlhpnsephpovwo',
  'gnqneooogqnjqkgpvjiijpownr',
  'fnolfopqfsohoohnwrkjjprvjr',
  'fjpofrrsgssnipghtrlojssvnu',
  'hpjghmgphqmoqljpsqhfmnrtoo',
  'mljjnnkqnpmiifkjtfijjmkoqp',
  'gqppfnrkhtrhpqgjyfkjjusvov',
  'rvvstxzzpxzgwxtpulppbxqtzu',
  'fmlkfompgslnkkhotliiknqvlo',
  'iohpgopkhslllojjpqhekootno',
  'gqnreqqkfqrnpqhpyhikksovlo',
  'kkjkikkpioohigpjvgghrqqoup',
  'ftqsdsosfwsprshuyonpmqvusz',
  'ernofsrkfupnrkhpzkjplxsukt',
  'jriphqpngpsmlsjfvpnemprnju',
  'jkiljllrlmlihhjgxlgjnrksxl',
  'fonpesprgsnmnlhpvqplgtlujk',
  'hjhijjkkknmkjkliqihjlklrrn',
] as const;

/** The row of the start of a word. */
export const WORD_START = 26;
export const WORD_LETTERS = 26;
/** Bits of a letter behind another one, a row of {@link WORD_LETTERS} for each. */
export const WORD_BITS: Float64Array = Float64Array.from(
  FOLLOWS.flatMap((row) => Array.from(row, (c) => (c.charCodeAt(0) - 0x61) / 2)),
);

const KIND = { start: 0, digit: 1, lower: 2, upper: 3 } as const;
type Kind = (typeof KIND)[keyof typeof KIND];

/**
 * Bits of a change of kind in names as people write them, by the kind before and the kind behind. A
 * digit after a digit costs its own bits besides.
 */
const CHANGE_BITS: readonly (readonly number[])[] = [
  // start, digit, lower, upper
  [0, 2.3, 0.5, 1.5], // behind the start
  [0, 0.4, 2.5, 3.5], // behind a digit
  [0, 5, 0.1, 5], // behind a lower-case letter
  [0, 5, 0.7, 1.4], // behind an upper-case letter
];
const DIGIT_BITS = Math.log2(10);

function kindOf(code: number): Kind {
  if (code <= 0x39) return KIND.digit;
  return code >= 0x61 ? KIND.lower : KIND.upper;
}

/** Bits that one character of the smallest usual alphabet tells. */
function alphabetBits(
  hasDigit: boolean,
  hasLower: boolean,
  hasUpper: boolean,
  isHex: boolean,
): number {
  if (hasLower && hasUpper) return hasDigit ? Math.log2(62) : Math.log2(52);
  if (isHex) return 4;
  if (!hasDigit) return Math.log2(WORD_LETTERS);
  return hasUpper ? 5 : Math.log2(36);
}

/**
 * For text[from, to), letters and digits only: bits by which it is likelier to be drawn by lot than
 * written; negative for words. Digits alone give 0.
 */
export function chanceBits(text: string, from: number, to: number): number {
  let written = 0;
  let before: Kind = KIND.start;
  let letter: number = WORD_START;
  let kinds = 0;
  let isHex = true;
  let characters = to - from;
  let repeated = 0;
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    const kind = kindOf(code);
    kinds |= 1 << kind;
    repeated = code === text.charCodeAt(i - 1) ? repeated + 1 : 0;
    if (repeated > 1 && i > from + 1) {
      characters--; // a row of the same says nothing
      continue;
    }
    written += CHANGE_BITS[before]![kind]!;
    if (kind === KIND.digit) {
      written += DIGIT_BITS;
      letter = WORD_START;
    } else {
      const next = (code | 0x20) - 0x61;
      if (next > 5) isHex = false;
      // a capital behind a small letter begins a word
      const row = before === KIND.lower && kind === KIND.upper ? WORD_START : letter;
      written += WORD_BITS[row * WORD_LETTERS + next]!;
      letter = next;
    }
    before = kind;
  }
  const has = (kind: Kind): boolean => (kinds & (1 << kind)) !== 0;
  if (!has(KIND.lower) && !has(KIND.upper)) return 0;
  const drawn = characters * alphabetBits(has(KIND.digit), has(KIND.lower), has(KIND.upper), isHex);
  return written - drawn;
}
