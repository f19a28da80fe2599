/**
 * The names behind which a path holds what is nobody's business: which words they are made of, and what
 * each kind means for the segment behind it. docs/http.md has the same as a table.
 */

/** A name's last word, or all of it in one: what follows is a secret, whatever it looks like. */
const SECRET = new Set(
  `token tokens accesstoken authtoken secret secrets clientsecret password passwords passwd passphrase
  passcode pwd pw key keys apikey apikeys accesskey secretkey privatekey authkey jwt jwts bearer
  credential credentials cred creds otp otps totp hotp 2fa mfa cvv cvc signature signatures sig sid
  sessionid jsessionid phpsessid aspsessionid sessid sess csrf xsrf`.split(/\s+/),
);

/** The same, but only as the whole name: `/pass/x`, not `/boarding-pass/x`. */
const SECRET_ALONE = new Set(['pass', 'pin', 'session', 'sessions', 'basic']);

/** What follows may be a secret, or the next word of a plain address: all but {@link VERBS} goes. */
const SENSITIVE = new Set(
  `auth auth2 oauth oauth2 authenticate authorize sso saml login reset passwordreset resetpassword forgot
  forgotpassword recover recovery verify verification confirm confirmation activate activation invite
  invites invitation invitations magic magiclink unsubscribe hook hooks webhook webhooks share
  shared`.split(/\s+/),
);

/** Who has such a link may do something: what looks like an id goes, a UUID too; words stay. */
const CAPABILITY = new Set(
  `join download downloads dl link links signed guest preview previews attachment attachments upload
  uploads export exports ical optout rsvp voucher vouchers coupon coupons gift redeem claim checkout
  track click open`.split(/\s+/),
);

/** What follows is a person's number if it has six digits or more. */
const PERSONAL = new Set(
  'phone phones tel call sms mobile msisdn fax whatsapp ssn iban bban card cards pan'.split(/\s+/),
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
  error too does did in on at by from exchange`.split(/\s+/),
);

export type NameKind = 'secret' | 'sensitive' | 'capability' | 'personal' | 'digest';

/** More words than this are a title: `how-to-reset-your-password`. */
const MOST_WORDS = 3;

/** Longer ones are none. */
const NAME_MAX = 40;

/** The words of `accessToken`, `access-token`, `ACCESS_TOKEN`, in small letters. */
function wordsOf(text: string): string[] {
  return text
    .replace(/([a-z\d])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[-_.~+]+/)
    .filter((word) => word !== '');
}

const KINDS: readonly (readonly [ReadonlySet<string>, NameKind])[] = [
  [SENSITIVE, 'sensitive'],
  [CAPABILITY, 'capability'],
  [PERSONAL, 'personal'],
  [DIGEST, 'digest'],
];

/** What kind of name a piece of an address is; null if it is none. */
export function nameKind(text: string): NameKind | null {
  if (text.length > NAME_MAX) return null;
  const words = wordsOf(text);
  if (words.length === 0 || words.length > MOST_WORDS) return null;
  const all = words.join('');
  const last = words.at(-1)!;
  if (SECRET.has(last) || SECRET.has(all) || SECRET_ALONE.has(all)) return 'secret';
  if (/^[a-z]$/i.test(text)) return 'capability'; // the short links of those who share: /s/, /d/
  return KINDS.find(([names]) => names.has(all))?.[1] ?? null;
}

/** Characters of a piece up to a secret's name glued to what follows: 4 of `key-…`; 0 without. */
export function gluedName(text: string): number {
  const end = text.search(/[-_.~]/);
  if (end <= 0) return 0;
  const first = text.slice(0, end).toLowerCase();
  if (SECRET.has(first)) return end + 1;
  const more = text.slice(end + 1).search(/[-_.~]/);
  if (more <= 0) return 0;
  const second = end + 1 + more;
  return SECRET.has(text.slice(end + 1, second).toLowerCase()) ? second + 1 : 0;
}

/** A word that stands behind sensitive names in plain addresses. */
export function isVerb(text: string): boolean {
  const word = text.toLowerCase();
  return VERBS.has(word) || VERB_SHAPE.test(word) || SENSITIVE.has(wordsOf(word).join(''));
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
  ...SENSITIVE,
  ...CAPABILITY,
  ...PERSONAL,
];
