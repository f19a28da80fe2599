/**
 * Exchanges as lines of requests.log: straight from the kernel's record to bytes, as packet-lines.ts does.
 * What is not known has no label.
 */
import { HTTP_EXCHANGE } from '../generated/packet.js';
import { readAddress, readComm, readDuration, readIp, readU64 } from '../kernel/read.js';
import { formatAddress, formatEndpoint } from '../metrics/address.js';
import type { ByteWriter } from '../metrics/bytes.js';
import { PrefixCache } from '../metrics/lines.js';
import { escapeLabel } from '../metrics/text.js';
import {
  causeOf,
  httpMethod,
  outcomeOf,
  placesOf,
  sideOf,
  type Side,
} from '../sources/exchange.js';
import type { RequestLine } from '../sources/request-lines.js';

const { at: FIELD } = HTTP_EXCHANGE;
const DECIMALS_OF_SECONDS = 9;
const QUOTE = 0x22;
const SPACE = 0x20;
const NEWLINE = 0x0a;

/** The words that tell connections and owners apart: the socket, then the ends to the pid in one piece. */
const SOCK_WORDS = 2;
const REST_WORDS = (FIELD.pid + 4 - FIELD.localAddr) / 4;

/** What is made once for each connection and owner. */
interface Known {
  /** Up to the value of the label side. */
  readonly head: Uint8Array;
  /** Labels of the process; empty: not known. */
  readonly owner: Uint8Array;
}

interface PlaceBytes {
  /** `,behind_seconds="` */
  readonly label: Uint8Array;
  readonly at: number;
}

const labelsOf = (side: Side): readonly PlaceBytes[] =>
  placesOf(side).map(({ name, at }) => ({ label: Buffer.from(`,${name}_seconds="`), at }));

const PLACES: Readonly<Record<Side, readonly PlaceBytes[]>> = {
  server: labelsOf('server'),
  client: labelsOf('client'),
};

export class ExchangeText {
  readonly lines: ByteWriter;
  readonly #toWallMs: (ns: number) => number;
  readonly #known = new PrefixCache<Known>(SOCK_WORDS + REST_WORDS);
  readonly #key = new Int32Array(SOCK_WORDS + REST_WORDS);
  #view: DataView | null = null;
  #words: Int32Array = new Int32Array(0);

  constructor(lines: ByteWriter, toWallMs: (ns: number) => number) {
    this.lines = lines;
    this.#toWallMs = toWallMs;
  }

  /** Adds the line of the exchange at `at`; `connectNs`: how long connecting took before it. */
  add(view: DataView, at: number, request: RequestLine | null, connectNs: number | null): void {
    const out = this.lines;
    const known = this.#knownOf(view, at);
    const side = sideOf(view.getUint8(at + FIELD.role));
    out.bytes(known.head);
    out.ascii(side);
    out.ascii('",http_request_method="');
    out.ascii(httpMethod(view.getUint8(at + FIELD.method)));
    out.ascii('",outcome="');
    out.ascii(outcomeOf(view.getUint8(at + FIELD.outcome)));
    out.byte(QUOTE);
    out.bytes(known.owner);
    if (request !== null) {
      out.ascii(',url_path="');
      out.label(request.path);
      out.byte(QUOTE);
    }
    const status = view.getUint16(at + FIELD.status, true);
    if (status !== 0) this.#number(',http_response_status_code="', status);
    for (const place of PLACES[side]) this.#duration(place, readDuration(view, at + place.at));
    this.#number(',retransmits="', view.getUint32(at + FIELD.retransmits, true));
    if (connectNs !== null) this.#duration(CONNECT, connectNs);
    if (view.getUint8(at + FIELD.early) === 1) out.ascii(',early="1"');
    const cause = causeOf(view.getUint8(at + FIELD.unexplained));
    if (cause !== null) out.ascii(`,partly_explained="${cause}"`);
    out.ascii('} ');
    out.fixed(readU64(view, at + FIELD.durationNs), DECIMALS_OF_SECONDS);
    out.byte(SPACE);
    out.uint(this.#toWallMs(readU64(view, at)));
    out.byte(NEWLINE);
  }

  #number(label: string, value: number): void {
    this.lines.ascii(label);
    this.lines.uint(value);
    this.lines.byte(QUOTE);
  }

  #duration({ label }: Pick<PlaceBytes, 'label'>, ns: number | null): void {
    if (ns === null) return;
    this.lines.bytes(label);
    this.lines.fixed(ns, DECIMALS_OF_SECONDS);
    this.lines.byte(QUOTE);
  }

  #knownOf(view: DataView, at: number): Known {
    if (view !== this.#view) {
      this.#view = view;
      this.#words = new Int32Array(view.buffer, view.byteOffset, view.byteLength >> 2);
    }
    const [words, key] = [this.#words, this.#key];
    const sock = (at + FIELD.sock) >> 2;
    for (let i = 0; i < SOCK_WORDS; i++) key[i] = words[sock + i]!;
    const rest = (at + FIELD.localAddr) >> 2;
    for (let i = 0; i < REST_WORDS; i++) key[SOCK_WORDS + i] = words[rest + i]!;
    return this.#known.get(key, 0, () => render(view, at));
  }
}

const CONNECT = { label: Buffer.from(',connect_seconds="') };

function render(view: DataView, at: number): Known {
  const end = (address: number, port: number): string =>
    escapeLabel(formatEndpoint(readIp(view, at + address), view.getUint16(at + port, true)));
  const sock = escapeLabel(formatAddress(readAddress(view, at + FIELD.sock)));
  const src = end(FIELD.localAddr, FIELD.localPort);
  const dst = end(FIELD.peerAddr, FIELD.peerPort);
  const pid = view.getUint32(at + FIELD.pid, true);
  const comm = escapeLabel(readComm(view, at + FIELD.comm));
  return {
    head: Buffer.from(
      `netwatch_http_exchange_seconds{sock="${sock}",src="${src}",dst="${dst}",side="`,
    ),
    owner: Buffer.from(pid === 0 ? '' : `,pid="${pid}",process="${comm}"`),
  };
}
