/** The part `tls_server_config` of the web configuration, in the words of Node.js. */
import type { X509Certificate } from 'node:crypto';
import { isAbsolute, join } from 'node:path';
import { createSecureContext, getCiphers, type SecureContextOptions } from 'node:tls';
import type { YamlMapping } from './yaml-mapping.js';

export interface TlsConfig {
  readonly context: SecureContextOptions;
  /** Whether a client needs a certificate of `context.ca`. */
  readonly clientCertificate: boolean;
  /** Of its alternative names one must be here; null: any will do. */
  readonly clientNames: ReadonlySet<string> | null;
}

/** Text of a file; rejects as readFile does. */
export type ReadText = (path: string) => Promise<string>;

/** The first is the default. Go knows more, none of which tells who a client is. */
const CLIENT_AUTH = ['NoClientCert', 'RequireAndVerifyClientCert'] as const;
const VERSIONS = { TLS12: 'TLSv1.2', TLS13: 'TLSv1.3' } as const;
const VERSION_NAMES = ['TLS12', 'TLS13'] as const;
const CURVES = {
  CurveP256: 'P-256',
  CurveP384: 'P-384',
  CurveP521: 'P-521',
  X25519: 'X25519',
} as const;
/** Always possible: the format chooses among those of TLS 1.2 only. */
const TLS13_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
] as const;

/** Null if there is no such part. Throws NetwatchError. */
export async function readTls(
  tls: YamlMapping,
  folder: string,
  readText: ReadText,
): Promise<TlsConfig | null> {
  const material = await readMaterial(tls, folder, readText);
  const options = { ...readVersions(tls), ...readCiphers(tls), ...readCurves(tls) };
  const auth = tls.choice('client_auth_type', CLIENT_AUTH) ?? CLIENT_AUTH[0];
  const names = tls.texts('client_allowed_sans');
  tls.done();
  if (tls.isEmpty) return null;
  const { cert, key, clientCa } = material;
  if (cert === null || key === null)
    return tls.fail('tls_server_config lacks a certificate or its key', 'set cert_file, key_file');
  const clientCertificate = auth === 'RequireAndVerifyClientCert';
  if (clientCertificate !== (clientCa !== null) || (names !== null && !clientCertificate))
    return tls.fail(
      'tls_server_config: client_ca, client_allowed_sans and client_auth_type contradict each other',
      'set client_auth_type: RequireAndVerifyClientCert and client_ca_file, or none of them',
    );
  const context = { ...options, cert, key, ...(clientCa === null ? {} : { ca: clientCa }) };
  checkContext(tls, context);
  return { context, clientCertificate, clientNames: names && new Set(names) };
}

interface Material {
  readonly cert: string | null;
  readonly key: string | null;
  readonly clientCa: string | null;
}

/** Each is in the configuration itself or in a file beside it. */
async function readMaterial(
  tls: YamlMapping,
  folder: string,
  readText: ReadText,
): Promise<Material> {
  const read = async (key: string): Promise<string | null> => {
    const inline = tls.text(key);
    const name = tls.text(`${key}_file`);
    if (name === null) return inline;
    if (inline !== null) tls.fail(`${key} and ${key}_file exclude each other`, 'remove one');
    const file = isAbsolute(name) ? name : join(folder, name);
    try {
      return await readText(file);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return tls.fail(
        `${key}_file cannot be read: ${reason}`,
        'correct the path, or the permissions of the file',
      );
    }
  };
  const [cert, key, clientCa] = [await read('cert'), await read('key'), await read('client_ca')];
  return { cert, key, clientCa };
}

function readVersions(tls: YamlMapping): SecureContextOptions {
  const min = tls.choice('min_version', VERSION_NAMES) ?? 'TLS12';
  const max = tls.choice('max_version', VERSION_NAMES) ?? 'TLS13';
  if (min > max) tls.fail('min_version is newer than max_version', 'swap the two');
  return { minVersion: VERSIONS[min], maxVersion: VERSIONS[max] };
}

/** `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is `ECDHE-RSA-AES128-GCM-SHA256` to OpenSSL. */
function opensslName(name: string): string {
  return name
    .replace(/^TLS_/, '')
    .replace('_WITH_', '_')
    .replace(/AES_(\d+)/, 'AES$1')
    .replace('CBC_', '')
    .replace('POLY1305_SHA256', 'POLY1305')
    .replaceAll('_', '-');
}

function readCiphers(tls: YamlMapping): SecureContextOptions {
  const honorCipherOrder = tls.flag('prefer_server_cipher_suites') ?? true;
  const wanted = tls.texts('cipher_suites') ?? [];
  if (wanted.length === 0) return { honorCipherOrder };
  const available = new Set(getCiphers());
  const ciphers = wanted
    .filter((name) => !TLS13_CIPHERS.some((known) => known === name))
    .map((name) => {
      const cipher = opensslName(name);
      if (!name.startsWith('TLS_') || !available.has(cipher.toLowerCase()))
        tls.fail(`cipher_suites: ${name} is not known here`, 'use the names of crypto/tls in Go');
      return cipher;
    });
  return { honorCipherOrder, ciphers: [...TLS13_CIPHERS, ...ciphers].join(':') };
}

function readCurves(tls: YamlMapping): SecureContextOptions {
  const wanted = tls.texts('curve_preferences') ?? [];
  if (wanted.length === 0) return {};
  const known = new Map<string, string>(Object.entries(CURVES));
  const curves = wanted.map(
    (name) =>
      known.get(name) ??
      tls.fail(`curve_preferences: ${name} is not known here`, `use ${[...known.keys()].join()}`),
  );
  return { ecdhCurve: curves.join(':') };
}

/** OpenSSL says by itself what does not fit together; what it says holds no secret. */
function checkContext(tls: YamlMapping, context: SecureContextOptions): void {
  try {
    createSecureContext(context);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    tls.fail(`tls_server_config cannot be used: ${reason}`, 'check certificate and key');
  }
}

/** Whether a client's certificate has one of the names. */
export function hasName(certificate: X509Certificate, names: ReadonlySet<string>): boolean {
  // Node.js puts a name in quotes if it holds what could be taken for another one.
  const own = (certificate.subjectAltName ?? '').split(', ');
  return own.some((entry) => names.has(entry.replace(/^(DNS|IP Address|URI|email):/, '')));
}
