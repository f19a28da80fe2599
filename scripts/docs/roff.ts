/** Text for man(7): escaping, and the few macros that the page uses. */

/** One line of running text; `\` `-` `'` and a leading dot would otherwise mean something. */
export function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('"', '\\(dq')
    .replaceAll('^', '\\(ha')
    .replaceAll('`', '\\(ga')
    .replaceAll('~', '\\(ti')
    .replace(/^\./, '\\&.');
}

export const bold = (text: string): string => `\\fB${escape(text)}\\fR`;
export const italic = (text: string): string => `\\fI${escape(text)}\\fR`;

export const section = (title: string, ...body: readonly string[]): string =>
  [`.SH ${title}`, ...body].join('\n');

export const subsection = (title: string, ...body: readonly string[]): string =>
  [`.SS "${escape(title)}"`, ...body].join('\n');

/** A term (already marked up) and its explanation. */
export const item = (term: string, ...body: readonly string[]): string =>
  ['.TP', term, ...body].join('\n');

export const paragraphs = (text: string): string =>
  text
    .split(/\n{2,}/)
    .map((block) => `.PP\n${block.split('\n').map(escape).join('\n')}`)
    .join('\n');

/** Lines as they stand. */
export const verbatim = (text: string): string =>
  `.PP\n.nf\n${text
    .split('\n')
    .map((line) => (line === '' ? '.sp' : escape(line).replace(/^(?=[.'])/, '\\&')))
    .join('\n')}\n.fi`;
