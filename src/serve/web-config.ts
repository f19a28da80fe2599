/**
 * The web configuration: the file with which all Prometheus exporters are given TLS and passwords
 * (prometheus/exporter-toolkit). What netwatch cannot do is an error, so that nobody believes to be
 * protected by a line that has no effect.
 */
import { dirname } from 'node:path';
import { NetwatchError } from '../failure.js';
import type { Users } from './basic-auth.js';
import { readRegularFile } from './regular-file.js';
import { readTls, type ReadText, type TlsConfig } from './web-config-tls.js';
import { YamlMapping } from './yaml-mapping.js';

export interface WebConfig {
  /** Null: plain HTTP. */
  readonly tls: TlsConfig | null;
  /** Empty: everybody may read. */
  readonly users: Users;
  /** Headers of every answer, in place of netwatch's own; an empty one takes the own one away. */
  readonly headers: ReadonlyMap<string, string>;
}

/** Without a file. */
export const NO_WEB_CONFIG: WebConfig = {
  tls: null,
  users: new Map(),
  headers: new Map(),
};

/**
 * Reads the file and those it names, relative to itself, all of them through `read`. Throws
 * NetwatchError.
 */
export async function readWebConfig(
  file: string,
  read: ReadText = readRegularFile,
): Promise<WebConfig> {
  const root = YamlMapping.parse(file, await textOf(file, read));
  const tls = await readTls(root.mapping('tls_server_config'), dirname(file), read);
  const headers = readHttp(root.mapping('http_server_config'));
  const users = readUsers(root.mapping('basic_auth_users'));
  if (!root.mapping('rate_limit').isEmpty)
    root.fail('rate_limit is not supported', 'leave it out, or put a proxy before netwatch');
  root.done();
  return { tls, headers, users };
}

async function textOf(file: string, read: ReadText): Promise<string> {
  try {
    return await read(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NetwatchError({
      code: 'environment',
      message: `cannot read the web configuration: ${reason}`,
      next: 'correct the path after --web-config, or the permissions of the file',
    });
  }
}

/** Those that the format allows to set, with their values where it names them. */
const SETTABLE: Readonly<Record<string, readonly string[]>> = {
  'Content-Security-Policy': [],
  'Strict-Transport-Security': [],
  'X-Content-Type-Options': ['nosniff'],
  'X-Frame-Options': ['deny', 'sameorigin'],
  'X-XSS-Protection': [],
};

function readHttp(http: YamlMapping): Map<string, string> {
  if (http.flag('http2') === true)
    http.fail('http_server_config.http2: netwatch speaks HTTP/1.1 only', 'set it to false');
  const set = http.mapping('headers');
  http.done();
  const headers = new Map<string, string>();
  for (const [name, values] of Object.entries(SETTABLE)) {
    const value = values.length > 0 ? set.choice(name, [...values, '']) : set.text(name);
    if (value === null) continue;
    if (/[^\t\x20-\x7e]/.test(value))
      set.fail(
        `http_server_config.headers.${name} has characters that no header may have`,
        'correct it',
      );
    headers.set(name, value);
  }
  set.done();
  return headers;
}

const BCRYPT = /^\$2[aby]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

function readUsers(given: YamlMapping): Map<string, string> {
  const users = new Map<string, string>();
  for (const user of given.keys) {
    const hash = given.text(user);
    if (hash === null || !BCRYPT.test(hash))
      given.fail(
        `the password of basic_auth_users.${user} is not a bcrypt hash`,
        'make one with: htpasswd -nBC 10 "" | tr -d \':\\n\'',
      );
    users.set(user, hash);
  }
  return users;
}
