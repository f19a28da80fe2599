/**
 * The names behind which a path holds what is nobody's business: which words they are made of, and what
 * each kind means for the segment behind it. docs/http.md has the same as a table.
 */

/** A name's last word, or all of it in one: what follows is a secret, whatever it looks like. */
const SECRET = new Set(
  `token tokens accesstoken authtoken secret secrets clientsecret password passwords passwd passphrase
  passcode pwd pw key keys apikey apikeys accesskey secretkey privatekey authkey jwt jwts bearer
  credential credentials cred creds otp otps totp hotp 2fa mfa cvv cvc cvc2 signature signatures sig hmac
  sid sessionid jsessionid phpsessid aspsessionid sessid sess csrf xsrf viewstate nonce codeverifier
  samlrequest samlresponse samlart mnemonic salt psk rootpw dbpass userpass pincode puk passwort kennwort
  wachtwoord motdepasse contrasena senha haslo parol losenord sifre securityanswer secretanswer`.split(
    /\s+/,
  ),
);

/** However a word begins, if it ends in one of these it is a secret's name: `newpassword`. */
export const SECRET_ENDINGS: readonly string[] = [
  'token',
  'secret',
  'password',
  'passwd',
  'apikey',
];

/** In front of `code` and `codes` they make a secret's name. */
const CODE_KINDS = new Set(
  `access auth authorization backup confirmation device email invite invitation login mfa onetime otp pass
  pin recovery reset security sms user verification verify`.split(/\s+/),
);

/** Behind a secret's name they change nothing: `token_value`. */
const FORM_WORDS = new Set(['id', 'hash', 'value', 'string']);

/** The same, but only as the whole name: `/pass/x`, not `/boarding-pass/x`. */
const SECRET_ALONE = new Set(['pass', 'pin', 'session', 'sessions', 'basic']);

/** The same, but only for what is assigned: `(ticket='x')`, while `/ticket/4711` stays. */
const SECRET_ASSIGNED = new Set(['ticket']);

/** What follows may be a secret, or the next word of a plain address: all but {@link VERBS} goes. */
const SENSITIVE = new Set(
  `auth auth2 oauth oauth2 authenticate authorize authorization sso saml login signin logon reset
  passwordreset resetpassword forgot forgotpassword recover recovery verify verification confirm
  confirmation activate activation invite invites invitation invitations magic magiclink passwordless
  onetime onetimelink relaystate unsubscribe unsub hook hooks webhook webhooks webhookb2 share shared`.split(
    /\s+/,
  ),
);

/** Behind these stand a name and a password, in two segments: `/basic-auth/jane/hunter2`. */
const PAIRED = new Set(
  'auth login signin logon userpass credential credentials cred creds'.split(' '),
);

/** With a sensitive word they make a name of the same kind, in one segment or in two: `verify/email`. */
const CARRIERS = new Set(
  `accept account basic code digest email hidden http incoming int link mail one password phone security
  time your`.split(/\s+/),
);

/** Who has such a link may do something: what looks like an id goes, a UUID too; words stay. */
const CAPABILITY = new Set(
  `join download downloads dl link links signed guest preview previews attachment attachments upload
  uploads export exports ical optout rsvp voucher vouchers coupon coupons gift redeem claim checkout
  track click open ticket state license licence serial passport`.split(/\s+/),
);

/** The same, but a number of six digits is one too. */
const CODE = new Set(['code', 'codes', 'seed']);

/** What follows is a person's number if it has six digits or more. */
const PERSONAL = new Set(
  `phone phones tel call sms mobile msisdn fax whatsapp ssn iban bban card cards pan tan dob birthdate
  birthday`.split(/\s+/),
);

/** What follows is the digest of something public. */
const DIGEST = new Set(
  'commit commits tree blob blobs compare sha sha1 sha256 sha512 md5 digest etag'.split(/\s+/),
);

/** Next words of plain addresses behind sensitive names. */
const VERBS = new Set(
  `login logout signin signout signup register callback authorize refresh revoke introspect userinfo token
  tokens keys session sessions status me user users email password reset request confirm verify new list
  index`.split(/\s+/),
);
const VERB_SHAPE = /^(?:v\d{1,2}|index\.[a-z]{2,4})$/;

/** In free text they stand between a name and its secret: "password is x". */
const LINKS = new Set(
  'is was are be the a an of for to your this that with value named'.split(' '),
);

/** In free text they end what is said of a name: "token expired". */
const ENDS = new Set(
  `and or not no has have had expired invalid valid required missing wrong incorrect mismatch bad unknown
  failed failure denied found revoked rejected needed absent empty malformed must cannot timed timeout
  error too does did in on at by from exchange sent used`.split(/\s+/),
);

export type NameKind = 'secret' | 'sensitive' | 'capability' | 'code' | 'personal' | 'digest';

/** More words than this are a title: `how-to-reset-your-password`. */
const MOST_WORDS = 3;

/** Longer ones are none. */
const NAME_MAX = 40;

/** The words of `accessToken`, `access-token`, `ACCESS_TOKEN`, in small letters. */
function wordsOf(text: string): string[] {
  return text
    .replace(/([a-z\d])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[-_.~]+/)
    .filter((word) => word !== '');
}

const KINDS: readonly (readonly [ReadonlySet<string>, NameKind])[] = [
  [SENSITIVE, 'sensitive'],
  [CAPABILITY, 'capability'],
  [CODE, 'code'],
  [PERSONAL, 'personal'],
  [DIGEST, 'digest'],
];

/** `password`, `newpassword`, `password2`. */
function isSecretWord(word: string): boolean {
  if (SECRET.has(word)) return true;
  const bare = word.replace(/\d+$/, '');
  if (SECRET.has(bare) && !DIGEST.has(word)) return true;
  const one = bare.replace(/s$/, '');
  return SECRET_ENDINGS.some((ending) => one.endsWith(ending));
}

function isSecretName(words: readonly string[]): boolean {
  const last = words.at(-1)!;
  const all = words.join('');
  if (isSecretWord(last) || SECRET.has(all) || SECRET_ALONE.has(all)) return true;
  const before = words.at(-2) ?? '';
  if (FORM_WORDS.has(last) && SECRET_ENDINGS.includes(before)) return true;
  const kind = /^(.*)codes?$/.exec(all)?.[1] ?? '';
  return CODE_KINDS.has(kind);
}

/** `verify-email`: made of sensitive words and what changes nothing about them. */
const isSensitiveCompound = (words: readonly string[]): boolean =>
  words.some((word) => SENSITIVE.has(word)) &&
  words.every((word) => SENSITIVE.has(word) || CARRIERS.has(word));

/** The words of a name; none if it is too long for one. */
function nameWords(text: string): string[] {
  if (text.length > NAME_MAX) return [];
  const words = wordsOf(text.replace(/^x[-_.~]+(?=.)/i, '')); // X-Amz-Security-Token
  return words.length > MOST_WORDS ? [] : words;
}

/** What kind of name a piece of an address is; null if it is none. */
export function nameKind(text: string): NameKind | null {
  const words = nameWords(text);
  if (words.length === 0) return null;
  if (isSecretName(words)) return 'secret';
  if (/^[a-z]$/i.test(text)) return 'capability'; // the short links of those who share: /s/, /d/
  if (isSensitiveCompound(words)) return 'sensitive';
  const all = words.join('');
  return KINDS.find(([names]) => names.has(all))?.[1] ?? null;
}

/** Whether what is assigned to a name is a secret, whatever it looks like: `laravel_session=`, `magic_link=`. */
export function isAssignedSecret(text: string): boolean {
  const words = nameWords(text);
  const last = words.at(-1) ?? '';
  return (
    [SECRET_ALONE, SECRET_ASSIGNED, SENSITIVE, CODE].some((names) => names.has(last)) ||
    isSensitiveCompound(words)
  );
}

/** Whether a name and a password stand behind it. */
export function isPaired(text: string): boolean {
  return nameWords(text).some((word) => PAIRED.has(word));
}

/** A segment behind a sensitive name that is part of it. */
export function isCarrier(text: string): boolean {
  return CARRIERS.has(text.toLowerCase());
}

/** Characters of a piece up to a secret's name glued to what follows: 4 of `key-…`; 0 without. */
export function gluedName(text: string): number {
  const end = text.search(/[-_.~]/);
  if (end <= 0) return 0;
  const first = text.slice(0, end).toLowerCase();
  if (isSecretWord(first)) return end + 1;
  const more = text.slice(end + 1).search(/[-_.~]/);
  if (more <= 0) return 0;
  const second = end + 1 + more;
  return isSecretWord(text.slice(end + 1, second).toLowerCase()) ? second + 1 : 0;
}

/** A word that stands behind sensitive names in plain addresses. */
export function isVerb(text: string): boolean {
  const word = text.toLowerCase();
  return VERBS.has(word) || VERB_SHAPE.test(word) || isSensitiveCompound(wordsOf(word));
}

export function isLink(word: string): boolean {
  return LINKS.has(word.toLowerCase());
}

export function isEnd(word: string): boolean {
  return ENDS.has(word.toLowerCase());
}

/** Every word that can end a name, for the quick look at bytes. */
export const NAME_WORDS: readonly string[] = [
  ...SECRET,
  ...SECRET_ALONE,
  ...SECRET_ENDINGS,
  ...SENSITIVE,
  ...CAPABILITY,
  ...CODE,
  ...PERSONAL,
  ...Array.from(CODE_KINDS, (kind) => `${kind}code`),
  ...Array.from(CODE_KINDS, (kind) => `${kind}codes`),
];
