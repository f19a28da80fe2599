/** Reports of the framing and events of llhttp, in words in which they can be compared. */
import type { Exchange } from './corpus.js';
import { METHODS, type Report } from './framing.js';
import type { OracleResult } from './oracle.js';

/** Our reports in the words of the oracle. */
export function events(reports: readonly Report[], side: 'request' | 'response'): string[] {
  const list: string[] = [];
  for (const report of reports) {
    if (report.kind === side)
      list.push(`head ${report.method || report.status} HTTP/1.${report.version}`);
    else if (report.kind === (side === 'request' ? 'sent' : 'end')) list.push(`end ${report.body}`);
  }
  return list;
}

export type Side = 'request' | 'response';

function ourName(method: string): string {
  return (METHODS as readonly string[]).includes(method) ? method : '_OTHER';
}

/** The oracle's events in ours: interim responses do not end, methods have our names. */
export function expected(result: OracleResult, exchanges: readonly Exchange[] | null): string[] {
  const list: string[] = [];
  let requests = 0;
  let interim = false;
  for (const event of result.events) {
    if (event.kind === 'head') {
      const name =
        event.status || (exchanges ? exchanges[requests++]!.method : ourName(event.method));
      interim = event.status >= 100 && event.status < 200 && event.status !== 101;
      list.push(`head ${name} HTTP/1.${event.version}`);
    } else if (!interim) {
      list.push(`end ${event.body}`);
    }
  }
  return list;
}

/** What a first line looks like outside the kernel. */
export function hidden(exchange: Exchange, method: string): string {
  const at = exchange.target.search(/[?#]/);
  const path = at < 0 ? exchange.target : exchange.target.slice(0, at);
  const query = at < 0 ? '' : exchange.target.slice(at);
  const shown =
    path.replace(/^([a-z]+:\/\/)[^/]*@/, '$1') +
    query.replaceAll(/=[^&#]+/g, () => '=*').replaceAll(/(?<=[?#&;])[^?#&;=]+(?![^?#&;]*=)/g, '*');
  return `${method} ${shown} HTTP/1.${exchange.version}`;
}

/** A report as the tests write it down. */
export function sentence(report: Report): string {
  switch (report.kind) {
    case 'request':
    case 'response':
      return `${report.line}${report.truncated ? '…' : ''} @${report.offset}`;
    case 'end':
      return `end ${report.method || '?'} ${report.status} ${report.start ?? '?'}-${report.end} ${report.body}`;
    case 'sent':
      return `sent ${report.body}`;
    case 'lost':
      return `lost ${report.requests}`;
    default:
      return report.kind;
  }
}
