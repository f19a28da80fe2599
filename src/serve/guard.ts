/** What every request passes before it reaches a path, and what every answer carries. */
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { sendText } from './answer.js';
import type { Authenticator } from './basic-auth.js';
import { isOwnHost } from './hosts.js';
import type { WebConfig } from './web-config.js';

/** The page needs its own script, style and data; charts set styles through the DOM, which is allowed. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['Content-Security-Policy', CONTENT_SECURITY_POLICY],
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Opener-Policy', 'same-origin'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Cache-Control', 'no-store'],
];

/** Headers that keep a browser from doing more with an answer than the page needs. */
export function securityHeaders(config: () => WebConfig): RequestHandler {
  return (_request, response, next) => {
    for (const [name, value] of HEADERS) response.setHeader(name, value);
    for (const [name, value] of config().headers)
      if (value === '') response.removeHeader(name);
      else response.setHeader(name, value);
    next();
  };
}

/** Refuses requests that a browser was tricked into sending; only for loopback addresses. */
export const ownHostOnly: RequestHandler = (request, response, next) => {
  const { host } = request.headers;
  // HTTP/1.0 may leave it out; no browser speaks that.
  if (host === undefined || isOwnHost(host)) next();
  else
    sendText(
      response,
      421,
      'This Host is none of this machine; use http://localhost or the IP address.',
    );
};

/** Asks for user and password if there are users. */
export function basicAuth(config: () => WebConfig, authenticator: Authenticator): RequestHandler {
  return async (request, response, next) => {
    const { users } = config();
    const { socket, headers } = request;
    const { authorization } = headers;
    if (users.size === 0) {
      next();
      return;
    }
    switch (await authenticator.check(users, authorization, socket.remoteAddress ?? '')) {
      case 'right':
        next();
        return;
      case 'wrong':
        sendText(response, 401, 'User and password are needed.', {
          'www-authenticate': 'Basic realm="netwatch", charset="UTF-8"',
        });
        return;
      case 'busy':
        sendText(response, 503, 'Too many passwords wait to be checked; try again.', {
          'retry-after': '1',
        });
    }
  };
}

const METHODS = 'GET, HEAD';

/** Only reading, without a body. What is sent nevertheless is not read. */
export function readOnly(
  { method, headers }: Request,
  response: Response,
  next: NextFunction,
): void {
  const hasBody =
    headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
  const close: Record<string, string> = hasBody ? { connection: 'close' } : {};
  if (method !== 'GET' && method !== 'HEAD')
    sendText(response, 405, 'Nothing here can be changed; use GET.', { ...close, allow: METHODS });
  else if (hasBody) sendText(response, 413, 'Nothing here takes a body.', close);
  else next();
}
