/**
 * A rough reader of PromQL: which metrics an expression names, with which labels they are matched,
 * and by which labels it groups. That the expression is one, promtool says.
 */
export interface NamedMetric {
  readonly name: string;
  /** In its braces. */
  readonly labels: readonly string[];
}

export interface Expression {
  readonly metrics: readonly NamedMetric[];
  /** Of by, without, on, ignoring, group_left and group_right. */
  readonly grouping: readonly string[];
  /** Labels that label_replace may make. */
  readonly made: readonly string[];
}

const TOKEN = /"(?:[^"\\]|\\.)*"|\[[^\]]*\]|[a-zA-Z_:][\w:]*|\d[\w.]*|=~|!~|!=|[^\s\w]/g;
const NAME = /^[a-zA-Z_:][\w:]*$/;
const GROUPS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset']);

/** The names between an opening token and the closing one, and where that stands. */
function namesUntil(
  tokens: readonly string[],
  from: number,
  close: string,
): { names: string[]; end: number } {
  const end = tokens.indexOf(close, from);
  if (end < 0) throw new Error(`no ${close} in ${tokens.join(' ')}`);
  return { names: tokens.slice(from, end).filter((token) => NAME.test(token)), end };
}

export function readExpression(text: string): Expression {
  const tokens = text.match(TOKEN) ?? [];
  const metrics: NamedMetric[] = [];
  const grouping: string[] = [];
  const made: string[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    const next = tokens[at + 1];
    if (token.startsWith('"') && NAME.test(token.slice(1, -1))) made.push(token.slice(1, -1));
    if (!NAME.test(token) || WORDS.has(token)) continue;
    if (GROUPS.has(token) && next === '(') {
      const { names, end } = namesUntil(tokens, at + 2, ')');
      grouping.push(...names);
      at = end;
    } else if (next === '{') {
      const { names, end } = namesUntil(tokens, at + 2, '}');
      metrics.push({ name: token, labels: names });
      at = end;
    } else if (next !== '(' && !GROUPS.has(next ?? '') && !GROUPS.has(token)) {
      metrics.push({ name: token, labels: [] });
    }
  }
  return { metrics, grouping, made };
}
