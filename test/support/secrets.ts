/** Secrets and the forms in which they come into first lines, made from a seed: every form with every secret. */
import type { Random } from '../http-framing/corpus.js';

const DIGITS = '0123456789';
const LOWER = 'abcdefghijklmnopqrstuvwxyz';
const LETTERS = LOWER + LOWER.toUpperCase();
const HEX = `${DIGITS}abcdef`;
export const BASE62 = LETTERS + DIGITS;

/** A first line and what must not be seen of it. */
export interface SecretLine {
  readonly line: string;
  readonly secret: string;
  readonly form: string;
}

type Make = (random: Random) => string;

const part =
  (alphabet: string, least: number, more = 1): Make =>
  (random) =>
    random.text(alphabet, least + random.int(more));

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const base64url = (text: string): string => Buffer.from(text).toString('base64url');

function luhn(random: Random): string {
  const digits = `4${random.text(DIGITS, 14)}`;
  const last = Array.from(DIGITS).find((digit) => {
    const sum = Array.from(digits + digit)
      .reverse()
      .reduce((all, c, i) => {
        const value = Number(c) * (1 + (i % 2));
        return all + (value > 9 ? value - 9 : value);
      }, 0);
    return sum % 10 === 0;
  });
  return digits + last!;
}

function iban(random: Random): string {
  const account = random.text(DIGITS, 18);
  const check = 98n - (BigInt(`${account}131400`) % 97n); // D = 13, E = 14
  return `DE${check.toString().padStart(2, '0')}${account}`;
}

/** What a password that people choose looks like. */
const chosen: Make = (random) =>
  random.pick(['hunter', 'Dragon', 'sommer', 'pa55wort', 'letmein']) +
  random.text(DIGITS, 3) +
  random.pick(['horse', 'Apfel', '!x', 'blau']);

/** Known by what they look like, wherever they stand. */
const SHAPED: Readonly<Record<string, Make>> = {
  'base62, 20 or more': part(BASE62, 20, 30),
  'hexadecimal, 16 or more': (random) => `a1${random.text(HEX, 14 + random.int(50))}`,
  'base36, 24 or more': part(LOWER + DIGITS, 24, 20),
  'base32, 20 or more': part('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 20, 20),
  'small letters, 32 or more': part(LOWER, 32, 20),
  'letters, 24 or more': part(LETTERS, 24, 20),
  'digits, 20 or more': part(DIGITS, 20, 20),
  base64url: part(`${BASE62}-_`, 32, 20),
  'padded base64': (random) => base64(`${random.text(BASE62, 12)}:x`.slice(0, 13)),
  'a web token': (random) =>
    `${base64url('{"alg":"HS256"}')}.${base64url(`{"sub":"${random.text(BASE62, 8)}"}`)}.${random.text(BASE62, 43)}`,
  'the token of a service': (random) =>
    random.pick([
      `ghp_${random.text(BASE62, 36)}`,
      `glpat-${random.text(BASE62, 20)}`,
      `xoxb-${random.text(DIGITS, 12)}-${random.text(BASE62, 24)}`,
      `sk-proj-${random.text(BASE62, 24)}`,
      `AKIA${random.text('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`,
      `sk_live_${random.text(BASE62, 24)}`,
      `ghs_${random.text(BASE62, 12)}.${random.text(BASE62, 12)}`,
      `ntn_${random.text(BASE62, 24)}`,
      `whsec_${random.text(BASE62, 24)}`,
      `HRKU-${random.text(HEX, 8)}-${random.text(HEX, 4)}`,
      `PMAK-${random.text(HEX, 24)}-${random.text(HEX, 10)}`,
      `hvs.${random.text(BASE62, 24)}`,
      `dapi${random.text(HEX, 32)}`,
      `sq0atp-${random.text(BASE62, 12)}`,
      `ST-${random.text(DIGITS, 5)}-${random.text(BASE62, 20)}`,
      `AGE-SECRET-KEY-1${random.text('ABCDEFGHIJKLMNOPQRSTUVWXYZ', 12)}`,
      `${base64url(random.text(BASE62, 16))}/${random.text(BASE62, 18)}`,
    ]),
  'a card number': luhn,
  'a bank account': iban,
  'a telephone number': (random) =>
    random.pick([`+49${random.text('123456789', 10)}`, `555-${random.text(DIGITS, 3)}-0199`]),
};

const places: Readonly<Record<string, (secret: string) => string>> = {
  'a segment': (secret) => `/v1/things/${secret}`,
  'a segment in the middle': (secret) => `/v1/things/${secret}/edit`,
  'the first segment': (secret) => `/${secret}`,
  'behind an encoded slash': (secret) => `/proxy/x%2F${secret}`,
  'behind a twice encoded slash': (secret) => `/proxy/x%252F${secret}%252Fy`,
  'behind merged slashes': (secret) => `//proxy///${secret}`,
  'an argument in parentheses': (secret) => `/odata/Things('${secret}')`,
  'a list': (secret) => `/things/1,${secret},2`,
  'a name of a query': (secret) => `/things?${secret.replace(/=/g, '')}=1`,
};

/** Of a secret nothing can be known, but for the name before it. */
const UNSHAPED: Readonly<Record<string, Make>> = {
  'eight random characters': (random) => `${random.text(BASE62, 6)}7x`,
  'a chosen password': chosen,
  'a code': part('123456789', 6),
};

const NAMES =
  `token tokens access_token accessToken API-KEY apikey client-secret password Passwd passcode pw otp 2fa
  reset_password_token session jsessionid signature X-Amz-Signature credentials PHPSESSID %74oken
  refreshToken %u0074oken %EF%BD%94oken to%E2%80%8Bken newpassword password2 csrfmiddlewaretoken
  auth_code verification-code tokenValue secret_id X-Amz-Security-Token passwort contrase%C3%B1a
  mot-de-passe SAMLResponse hmac nonce`.split(/\s+/);

const named: Readonly<Record<string, (name: string, secret: string) => string>> = {
  'a segment': (name, secret) => `/v1/${name}/${secret}`,
  'a segment in the middle': (name, secret) => `/v1/${name}/${secret}/use`,
  'a segment after merged slashes': (name, secret) => `/v1/${name}//${secret}`,
  'an encoded slash': (name, secret) => `/v1/${name}%2F${secret}`,
  'an assignment': (name, secret) => `/v1/${name}=${secret}`,
  'a colon': (name, secret) => `/v1/${name}:${secret}/x`,
  'an encoded assignment': (name, secret) => `/v1/${name}%3D${secret}`,
  'a twice encoded assignment': (name, secret) => `/v1/x%2526${name}%253d${secret}`,
  'an encoded query': (name, secret) => `/v1/x%3Fa%3Db%26${name}%3D${secret}`,
  'an argument': (name, secret) => `/v1/Users(${name}='${secret}')`,
  'a list': (name, secret) => `/v1/a,${name}=${secret}`,
  'free text': (name, secret) => `/v1/x ${name} is ${secret}`,
  'a path parameter': (name, secret) => `/v1/x;${name}=${secret}/y`,
  'text with plus signs': (name, secret) => `/v1/my+${name}+is+${secret}`,
  'text with encoded plus signs': (name, secret) => `/v1/my%2B${name}%2B${secret}/x`,
  'no-break spaces': (name, secret) => `/v1/my%C2%A0${name}%C2%A0${secret}`,
  'an overlong slash': (name, secret) => `/v1/${name}%c0%af${secret}`,
  'a slash of full width': (name, secret) => `/v1/${name}%EF%BC%8F${secret}`,
  'an equals sign of full width': (name, secret) => `/v1/${name}%EF%BC%9D${secret}`,
  'a NUL': (name, secret) => `/v1/${name}%00${secret}`,
  'a segment after a NUL': (name, secret) => `/v1/${name}%00/${secret}`,
  'a star': (name, secret) => `/v1/${name}*${secret}`,
  'a segment that was left again': (name, secret) => `/v1/${name}/x/../${secret}`,
  'an object': (name, secret) => `/v1/%7B%22${name}%22:%20%22${secret}%22%7D`,
  'an entity': (name, secret) => `/v1/${name}&#61;${secret}`,
  'a key in brackets': (name, secret) => `/v1/user[${name}]=${secret}`,
};

/** Whatever the secret is, the place alone hides it. */
const placed: Readonly<Record<string, (secret: string) => string>> = {
  'a value': (secret) => `/x?a=${secret}`,
  'a query without a value': (secret) => `/x?${secret}`,
  'the last of a query, without a value': (secret) => `/x?a=b&${secret}`,
  'a fragment': (secret) => `/x?a#${secret}`,
  'behind a second ?': (secret) => `/x?a?b=${secret}`,
  'behind a semicolon': (secret) => `/x?a=1;b=${secret}`,
  'an encoded = in a query': (secret) => `/x?a%3D${secret}`,
  'a password': (secret) => `http://user:${secret}@host/x`,
  'a user': (secret) => `http://${secret}@host/x`,
  'a password with a slash': (secret) => `http://user:p/${secret}@host/x`,
  'a password with a ?': (secret) => `http://user:p?${secret}@host/x`,
  'a password in a path': (secret) => `/fetch/https://user:${secret}@host/x`,
  'a password behind a merged slash': (secret) => `/fetch/https:/user:${secret}@host/x`,
  'a password without a scheme': (secret) => `/fetch/user:${secret}@host/x`,
  'an encoded address': (secret) => `/fetch/ftp%3A%2F%2Fuser%3A${secret}%40host%2Fx`,
  'a bearer': (secret) => `/x/Bearer%20${secret}`,
  'a header': (secret) => `/x Authorization: Basic ${secret}`,
  'a cookie': (secret) => `/x;Cookie:sid=${secret}`,
  'a header behind a line end': (secret) => `/x%0d%0aAuthorization:%20Basic%20${secret}`,
  'a cookie behind a line end': (secret) => `/x%0aSet-Cookie:a=${secret}`,
  'a name and a password': (secret) => `/basic-auth/jane/${secret}`,
  'a name and a password, digested': (secret) => `/digest-auth/auth-int/jane/${secret}`,
  'a login': (secret) => `/api/login/jane/${secret}/x`,
  'a link to verify an address': (secret) => `/verify-email/${secret}`,
  'a link in two segments': (secret) => `/verify/email/${secret}`,
  'an invitation': (secret) => `/invitations/accept/${secret}`,
  'a session of a framework': (secret) => `/x/laravel_session=${secret}`,
  'a password before an address of IPv6': (secret) => `http://user:${secret}@[2001:db8::1]:80/x`,
  'a password without a user': (secret) => `/x/redis://:${secret}@host:6379`,
  'a password for Oracle': (secret) => `/x/jdbc:oracle:thin:scott/${secret}@//host:1521`,
  'a password in a database address': (secret) => `/x/jdbc:mysql://h/db;user=a;password=${secret}`,
};

const phrases: Readonly<Record<string, (secret: string) => string>> = {
  'a bearer': (secret) => `Bearer ${secret}`,
  'an assignment': (secret) => `token=${secret}`,
  'a name': (secret) => `Invalid token ${secret}`,
  'a sentence': (secret) => `password ${secret} is wrong`,
  'an address with a query': (secret) => `See /x?a=${secret}`,
  'an address with a password': (secret) => `See http://user:${secret}@host/`,
  'an address with two segments': (secret) => `See /basic-auth/jane/${secret}`,
  'a name and a password': (secret) => `Bad credentials jane/${secret}`,
  'a sentence with plus signs': (secret) => `password+is+${secret}`,
  'two words': (secret) => `The password is my ${secret}`,
  'an object': (secret) => `{"token":"${secret}"}`,
};

const request = (target: string): string => `GET ${target} HTTP/1.1`;

/** Every form with every kind of secret that it is to hide, `times` each. */
export function* secretLines(random: Random, times: number): Generator<SecretLine> {
  for (let i = 0; i < times; i++) {
    for (const [kind, make] of Object.entries(SHAPED))
      for (const [place, put] of Object.entries(places)) {
        const secret = make(random);
        yield { line: request(put(secret)), secret, form: `${kind} as ${place}` };
      }
    for (const [kind, make] of Object.entries(UNSHAPED)) {
      for (const [place, put] of Object.entries(named)) {
        const secret = make(random);
        const name = random.pick(NAMES);
        yield {
          line: request(put(name, secret)),
          secret,
          form: `${kind} behind ${name}, ${place}`,
        };
      }
      for (const [place, put] of Object.entries(placed)) {
        const secret = make(random);
        yield { line: request(put(secret)), secret, form: `${kind} as ${place}` };
      }
      for (const [place, put] of Object.entries(phrases)) {
        const secret = make(random);
        yield {
          line: `HTTP/1.1 401 ${put(secret)}`,
          secret,
          form: `${kind} in a phrase, ${place}`,
        };
      }
    }
    const name = `${random.pick(['jane', 'h.mueller', 'o_brien'])}${random.int(100)}`;
    for (const at of ['@', '%40', '%2540'])
      yield {
        line: request(`/users/${name}${at}mail.example/orders`),
        secret: name,
        form: `an e-mail address with ${at}`,
      };
    const method = random.text(BASE62, 14);
    yield { line: `${method} /x HTTP/1.1`, secret: method, form: 'a method' };
  }
}

/** Characters of the longest piece of `secret` that `text` shows. */
export function shownOf(secret: string, text: string): number {
  let most = 0;
  for (let from = 0; from < secret.length; from++)
    while (from + most < secret.length && text.includes(secret.slice(from, from + most + 1)))
      most++;
  return most;
}
