/**
 * The cast of the filter table: two parties in a namespace, and what each of them has done
 * (test/filter-table/cast.py), seen as deeds: one end of a connection, a call of listen() …
 */
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Namespace } from './netns.js';

interface End {
  readonly ip: string;
  readonly port: number;
  /** Who connected or accepted. */
  readonly owner: number;
  /** Who sends and reads. */
  readonly caller: number;
  /** Bytes. */
  readonly sent: number;
}

interface Connection {
  readonly way: string;
  /** Older than netwatch. */
  readonly early: boolean;
  /** Limit of the listener's queue. */
  readonly backlog: number;
  /** Who called listen(). */
  readonly listener: number;
  readonly client: End;
  readonly server: End;
  /** Ended by a reset of the client's. */
  readonly reset: boolean;
  /** The first request was dropped at the server. */
  readonly lost: boolean;
  /** A segment out of the window came to the server. */
  readonly wrong: boolean;
}

/** What a party has done by now, as cast.py prints it. */
interface Party {
  readonly name: string;
  /** Processes that -p names. */
  readonly known: readonly number[];
  readonly connections: readonly Connection[];
  readonly listens: readonly {
    readonly ip: string;
    readonly port: number;
    readonly pid: number;
    readonly early: boolean;
  }[];
  readonly passes: readonly {
    readonly pid: number;
    /** Of the unix socket. */
    readonly inode: number;
    readonly action: 'SEND' | 'RECV';
  }[];
  readonly refused: readonly {
    readonly ip: string;
    readonly port: number;
    readonly to: string;
    readonly toPort: number;
    readonly pid: number;
  }[];
}

/** An address and a port. */
export interface Place {
  readonly ip: string;
  readonly port: number;
}

const NOWHERE: Place = { ip: '', port: 0 };

interface Common {
  readonly party: string;
  readonly local: Place;
  readonly peer: Place;
  /** Null: it belongs to no process, and so to no group of processes either. */
  readonly owner: number | null;
  readonly caller: number | null;
}

/** One end of a connection. */
export interface ConnectionEnd extends Common, Omit<Connection, 'client' | 'server'> {
  readonly kind: 'connection';
  readonly role: 'client' | 'server';
  readonly sent: number;
  readonly received: number;
}

/** What a filter is to judge. */
export type Deed =
  | ConnectionEnd
  | (Common & { readonly kind: 'listen'; readonly early: boolean })
  | (Common & { readonly kind: 'pass'; readonly inode: number; readonly action: string })
  /** A connect() where nobody listens. */
  | (Common & { readonly kind: 'refused' })
  /** The kernel's answer to it. */
  | (Common & { readonly kind: 'refusal' });

function endsOf(party: string, { client, server, ...rest }: Connection): ConnectionEnd[] {
  const end = (role: 'client' | 'server', own: End, other: End): ConnectionEnd => ({
    ...rest,
    kind: 'connection',
    party,
    role,
    local: { ip: own.ip, port: own.port },
    peer: { ip: other.ip, port: other.port },
    owner: own.owner,
    caller: own.caller,
    sent: own.sent,
    received: other.sent,
  });
  return [end('client', client, server), end('server', server, client)];
}

function deedsOf({ name: party, connections, listens, passes, refused }: Party): Deed[] {
  const by = (pid: number | null) => ({ party, owner: pid, caller: pid });
  return [
    ...connections.flatMap((connection) => endsOf(party, connection)),
    ...listens.map(({ ip, port, pid, early }): Deed => {
      return { ...by(pid), kind: 'listen', local: { ip, port }, peer: NOWHERE, early };
    }),
    ...passes.map(({ pid, inode, action }): Deed => {
      return { ...by(pid), kind: 'pass', local: NOWHERE, peer: NOWHERE, inode, action };
    }),
    ...refused.flatMap(({ ip, port, to, toPort, pid }): Deed[] => {
      const [here, there] = [
        { ip, port },
        { ip: to, port: toPort },
      ];
      return [
        { ...by(pid), kind: 'refused', local: here, peer: there },
        { ...by(null), kind: 'refusal', local: there, peer: here },
      ];
    }),
  ];
}

export const WANTED = {
  name: 'wanted',
  server: '127.0.1.1',
  client: '127.0.1.2',
  port: 7100,
} as const;

/** Its name begins with the other's. */
export const FOREIGN = {
  name: 'wanted-not',
  server: 'fd77::2:1',
  client: 'fd77::2:2',
  port: 7200,
} as const;

/** Places of the wanted party's servers, and where nobody listens. */
export const WANTED_PORTS = [0, 1, 2, 3, 4, 99].map((place) => WANTED.port + place);

/** Where the clients' ports are, in both namespaces: see `firstPort` of openCast(). */
export const CLIENT_PORTS = '10000-29999';

export interface Groups {
  readonly wanted: string;
  readonly foreign: string;
}

export interface Cast {
  /** Processes of the wanted party that -p names. */
  readonly known: readonly number[];
  /** Does everything; what has been done. */
  play(): Promise<Deed[]>;
}

const PROGRAM = resolve(import.meta.dirname, '../filter-table/cast.py');

/**
 * Opens what is older than netwatch. `firstPort`: of the clients, so that casts in two namespaces, with
 * the same servers, can be told apart.
 */
export async function openCast(
  namespace: Namespace,
  groups: Groups,
  firstPort: number,
): Promise<Cast> {
  const addresses = [FOREIGN.server, FOREIGN.client];
  const lines = addresses.map((ip) => `addr add ${ip}/128 dev lo nodad\n`);
  namespace.execSync('ip', ['-batch', '-'], { input: lines.join('') });
  const inGroup = (cgroup: string, otherCgroup: string) => ({ cgroup, other_cgroup: otherCgroup });
  const parties = [
    { ...WANTED, first: firstPort, ...inGroup(groups.wanted, groups.foreign) },
    { ...FOREIGN, first: firstPort + 500, ...inGroup(groups.foreign, groups.wanted) },
  ];
  const child = namespace.spawn('python3', [PROGRAM, JSON.stringify(parties)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { stdin, stdout, stderr } = child;
  if (!stdin || !stdout || !stderr) throw new Error('cannot start python3');
  let errors = '';
  stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const output = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const stage = async (name: string): Promise<Party[]> => {
    stdin.write(`${name}\n`);
    const line = (await output.next()).value as string | undefined;
    if (line === undefined) throw new Error(`${join('filter-table', 'cast.py')}: ${errors}`);
    return JSON.parse(line) as Party[];
  };
  const [wanted] = await stage('open');
  return {
    known: wanted?.known ?? [],
    play: async () => (await stage('play')).flatMap(deedsOf),
  };
}
