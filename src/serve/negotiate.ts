/** Which of the exposition formats a scraper gets, as Prometheus's own client library decides it. */
import type { Request } from 'express';
import type { Format } from './types.js';

export interface Negotiated {
  readonly format: Format;
  readonly contentType: string;
}

/** The first is for who does not care, and for who asks for nothing that we have. */
const OFFERS: readonly (readonly [offer: string, format: Format])[] = [
  ['text/plain;version=0.0.4', 'text'],
  ['application/openmetrics-text;version=1.0.0', 'openmetrics'],
  ['application/openmetrics-text;version=0.0.1', 'openmetrics'],
];

/** How the client wants characters spelled that our names never have: no reason for a refusal. */
const IRRELEVANT = /;\s*(escaping|charset)=[^;,]*/gi;

export function negotiate(request: Request): Negotiated {
  const { accept } = request.headers;
  if (accept !== undefined) request.headers.accept = accept.replace(IRRELEVANT, '');
  const best = request.accepts(OFFERS.map(([offer]) => offer));
  const [offer, format] = OFFERS.find(([name]) => name === best) ?? OFFERS[0]!;
  return { format, contentType: `${offer.replace(';', '; ')}; charset=utf-8` };
}
