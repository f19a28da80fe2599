/**
 * Users and passwords (HTTP basic authentication) against bcrypt hashes. A check costs 60 ms of CPU,
 * so what was right once is remembered, and only so many checks may wait; addresses take turns.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { Turns, type TurnLimits } from './turns.js';

export type Verdict = 'right' | 'wrong' | 'busy';

/** User names and their bcrypt hashes. */
export type Users = ReadonlyMap<string, string>;

/** Whether a password has this hash; asked again only when it has answered. */
export type Compare = (password: string, hash: string) => Promise<boolean>;

const MOST_REMEMBERED = 128;

/** Of no known password; with the cost of the others, so that time does not tell who exists. */
const NOBODY = 'QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi';
const COST = /^\$2[aby]\$(\d\d)\$/;

interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** What an Authorization header says; null if it is not of this kind. */
export function credentialsOf(authorization: string | undefined): Credentials | null {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function hashOfNobody(users: Users): string {
  const costs = [...users.values()].map((hash) => Number(COST.exec(hash)?.[1] ?? 0));
  return `$2y$${String(Math.max(10, ...costs)).padStart(2, '0')}$${NOBODY}`;
}

export class Authenticator {
  readonly #turns: Turns;
  readonly #compare: Compare;
  /** Passwords are not kept, only keyed digests; the key dies with the process. */
  readonly #key = randomBytes(32);
  readonly #remembered = new Set<string>();

  /** `most`: checks under way or waiting, beyond which the answer is `busy`. */
  constructor(most: TurnLimits, compare: Compare) {
    this.#turns = new Turns(most);
    this.#compare = compare;
  }

  /** `address`: of who asks. */
  async check(users: Users, authorization: string | undefined, address: string): Promise<Verdict> {
    const given = credentialsOf(authorization);
    if (given === null) return 'wrong';
    const known = users.get(given.user);
    const hash = known ?? hashOfNobody(users);
    const digest = this.#digest(given, hash);
    if (this.#remembered.has(digest)) return 'right';
    // One check after the other: two would not be faster, and leave less for everything else.
    const matches = await this.#turns.take(address, () => this.#compare(given.password, hash));
    if (matches === null) return 'busy';
    if (!matches || known === undefined) return 'wrong';
    this.#remember(digest);
    return 'right';
  }

  #digest({ user, password }: Credentials, hash: string): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([user, password, hash]))
      .digest('base64');
  }

  #remember(digest: string): void {
    const [oldest] = this.#remembered;
    if (this.#remembered.size >= MOST_REMEMBERED && oldest !== undefined)
      this.#remembered.delete(oldest);
    this.#remembered.add(digest);
  }
}
