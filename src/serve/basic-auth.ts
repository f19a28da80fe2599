/**
 * Users and passwords (HTTP basic authentication) against bcrypt hashes. A check costs 60 ms of CPU,
 * so what was right once is remembered, and only so many checks may wait.
 */
import { createHmac, randomBytes } from 'node:crypto';
import bcrypt from 'bcryptjs';

export type Verdict = 'right' | 'wrong' | 'busy';

/** User names and their bcrypt hashes. */
export type Users = ReadonlyMap<string, string>;

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
  readonly #mostWaiting: number;
  readonly #compare: (password: string, hash: string) => Promise<boolean>;
  /** Passwords are not kept, only keyed digests; the key dies with the process. */
  readonly #key = randomBytes(32);
  readonly #remembered = new Set<string>();
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** `mostWaiting`: checks under way or waiting, beyond which the answer is `busy`. */
  constructor(
    mostWaiting: number,
    compare: (password: string, hash: string) => Promise<boolean> = bcrypt.compare,
  ) {
    this.#mostWaiting = mostWaiting;
    this.#compare = compare;
  }

  async check(users: Users, authorization: string | undefined): Promise<Verdict> {
    const given = credentialsOf(authorization);
    if (given === null) return 'wrong';
    const known = users.get(given.user);
    const hash = known ?? hashOfNobody(users);
    const digest = this.#digest(given, hash);
    if (this.#remembered.has(digest)) return 'right';
    if (this.#waiting >= this.#mostWaiting) return 'busy';
    const matches = await this.#inTurn(() => this.#compare(given.password, hash));
    if (!matches || known === undefined) return 'wrong';
    this.#remember(digest);
    return 'right';
  }

  #digest({ user, password }: Credentials, hash: string): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([user, password, hash]))
      .digest('base64');
  }

  /** One check after the other: two would not be faster, and leave less for everything else. */
  async #inTurn(check: () => Promise<boolean>): Promise<boolean> {
    this.#waiting += 1;
    const mine = this.#last.then(check, check);
    this.#last = mine;
    try {
      return await mine;
    } finally {
      this.#waiting -= 1;
    }
  }

  #remember(digest: string): void {
    const [oldest] = this.#remembered;
    if (this.#remembered.size >= MOST_REMEMBERED && oldest !== undefined)
      this.#remembered.delete(oldest);
    this.#remembered.add(digest);
  }
}
