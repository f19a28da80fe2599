/** Lines of requests.log, made by the collector's own writer from what a test says of a request. */
import { ExchangeText } from '../../src/collector/exchange-text.js';
import { ByteWriter } from '../../src/metrics/bytes.js';
import { RequestLines } from '../../src/sources/request-lines.js';
import { exchangeRecord, headRecord, type ExchangeFields } from './exchanges.js';

export interface LoggedRequest extends ExchangeFields {
  /** Of the request; null: not known. */
  readonly target?: string | null;
  /** Its end, milliseconds since 1970. */
  readonly endMs: number;
}

/** The line of a GET request, with its newline. */
export function requestLine({ target = '/', endMs, ...fields }: LoggedRequest): string {
  const lines = new RequestLines();
  const view = exchangeRecord({ tsNs: 0, ...fields });
  if (target !== null) lines.add(headRecord({ line: `GET ${target} HTTP/1.1` }), 0);
  const text = new ExchangeText(new ByteWriter(), () => endMs);
  text.add(view, 0, lines.pathIn(lines.takeSlot(view, 0)), null);
  return text.lines.view().toString();
}
