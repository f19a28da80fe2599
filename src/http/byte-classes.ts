/** What a byte of a first line is, for the quick look at it. */

export const OTHER = 0;
export const DIGIT = 1;
export const LOWER = 2;
export const UPPER = 3;
export const GLUE = 4;
export const SLASH = 5;
export const QUESTION = 6;
export const EQUALS = 7;
export const AMPERSAND = 8;
export const STAR = 9;
export const SPACE = 10;

/** By byte. */
export const CLASSES = new Uint8Array(256);
for (let code = 0x30; code <= 0x39; code++) CLASSES[code] = DIGIT;
for (let code = 0x61; code <= 0x7a; code++) CLASSES[code] = LOWER;
for (let code = 0x41; code <= 0x5a; code++) CLASSES[code] = UPPER;
for (const [characters, kind] of [
  ['-_.~', GLUE],
  ['/', SLASH],
  ['?', QUESTION],
  ['=', EQUALS],
  ['&', AMPERSAND],
  ['*', STAR],
  [' ', SPACE],
] as const)
  for (const character of characters) CLASSES[character.charCodeAt(0)] = kind;
