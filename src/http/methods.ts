/**
 * The methods that are shown by their names: those of IANA's registry and those that servers know
 * besides. Any other text may be anything, even a token.
 */

const KNOWN = new Set(
  `ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY
  MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH PUT QUERY
  REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL
  M-SEARCH NOTIFY PURGE SOURCE SUBSCRIBE UNSUBSCRIBE`.split(/\s+/),
);

/** What OpenTelemetry calls every other method. */
const OTHER = '_OTHER';

/** A method as it is shown. */
export function methodName(method: string): string {
  return KNOWN.has(method) ? method : OTHER;
}
