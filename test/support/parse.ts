/** Documents in the Prometheus text format as the tests read them: strictly, with all their samples. */
import {
  ExpositionParser,
  readExposition,
  type ParsedFamily,
  type ParseIssue,
  type ParseRules,
} from '../../src/metrics/parse.js';
import type { Sample } from '../../src/metrics/sample.js';

/** Of `.prom` files and of what an endpoint serves. */
export const STATE_RULES: ParseRules = {
  timestamps: 'forbid',
  grouped: true,
  unique: true,
  documented: true,
};
/** Of the history logs: one event a line, in the order of time. */
export const LOG_RULES: ParseRules = {
  timestamps: 'require',
  grouped: false,
  unique: false,
  documented: true,
};

export interface ParsedExposition {
  readonly samples: readonly Sample[];
  readonly families: ReadonlyMap<string, ParsedFamily>;
  readonly issues: readonly ParseIssue[];
}

/** A whole document. */
export function parseExposition(
  body: string | Uint8Array,
  rules: ParseRules = STATE_RULES,
): ParsedExposition {
  const samples: Sample[] = [];
  const parser = new ExpositionParser(rules, (sample) => samples.push(sample));
  const issues = readExposition(body, parser);
  return { samples, families: parser.families, issues };
}
