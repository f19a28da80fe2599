/**
 * Exchanges as lines of requests.log: straight from the kernel's record to bytes, as packet-lines.ts does.
 * What is not known has no label.
 */
import { HTTP_EXCHANGE } from '../generated/packet.js';
import { readAddress, readComm, readIp, readU64 } from '../kernel/read.js';
import { formatAddress, formatEndpoint } from '../metrics/address.js';
import { Constant, putConstant, putFixed, putUint, type ByteWriter } from '../metrics/bytes.js';
import { PrefixCache, type PlainText } from '../metrics/lines.js';
import { escapeLabel } from '../metrics/text.js';
import {
  causeOf,
  httpMethod,
  outcomeOf,
  placesOf,
  sideOf,
  type Side,
} from '../sources/exchange.js';

const { at: FIELD } = HTTP_EXCHANGE;
const DECIMALS_OF_SECONDS = 9;
const QUOTE = 0x22;
const SPACE = 0x20;
const NEWLINE = 0x0a;

/** The words that tell connections, owners and kinds apart: the socket; the ends to the pid; role to outcome. */
const SOCK_WORDS = 2;
const REST_WORDS = (FIELD.pid + 4 - FIELD.localAddr) / 4;
const KEY_WORDS = SOCK_WORDS + REST_WORDS + 1;

const UNKNOWN_WORD = -1;
const WORD = 2 ** 32;
/** The longest a line can be without what is made once and without a path that is text. */
const ROOM = 2048;
const PATH = Constant.of(',url_path="');
const STATUS = Constant.of(',http_response_status_code="');
const RETRANSMITS = Constant.of(',retransmits="');
const EARLY = Constant.of(',early="1"');
const END = Constant.of('} ');

/** What is made once for each connection, owner and kind of exchange: all before the path. */
interface Known {
  readonly head: Constant;
  readonly places: readonly PlaceBytes[];
}

interface PlaceBytes {
  /** `,behind_seconds="` */
  readonly label: Constant;
  readonly at: number;
}

const labelsOf = (side: Side): readonly PlaceBytes[] =>
  placesOf(side).map(({ name, at }) => ({ label: Constant.of(`,${name}_seconds="`), at }));

const PLACES: Readonly<Record<Side, readonly PlaceBytes[]>> = {
  server: labelsOf('server'),
  client: labelsOf('client'),
};

export class ExchangeText {
  readonly lines: ByteWriter;
  readonly #toWallMs: (ns: number) => number;
  readonly #known = new PrefixCache<Known>(KEY_WORDS);
  readonly #key = new Int32Array(KEY_WORDS);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #words: Int32Array = new Int32Array(0);
  /** Of the record that is being looked up. */
  #at = 0;

  constructor(lines: ByteWriter, toWallMs: (ns: number) => number) {
    this.lines = lines;
    this.#toWallMs = toWallMs;
  }

  /**
   * Adds the line of the exchange at `at`; `path`: what is shown of the request's, null if it is not known;
   * `connectNs`: how long connecting took before it. Works on the buffer itself, as packetLine does.
   */
  add(view: DataView, at: number, path: string | PlainText | null, connectNs: number | null): void {
    const out = this.lines;
    const known = this.#knownOf(view, at);
    out.ensure(known.head.length + ROOM);
    let { data } = out;
    let end = putConstant(data, out.length, known.head);
    if (path !== null) {
      end = putConstant(data, end, PATH);
      if (typeof path !== 'string') {
        const { bytes, from, to } = path;
        for (let i = from; i < to; i++) data.setUint8(end++, bytes[i]!);
      } else {
        out.length = end;
        out.label(path);
        out.ensure(ROOM);
        ({ data, length: end } = out);
      }
      data.setUint8(end++, QUOTE);
    }
    const status = view.getUint16(at + FIELD.status, true);
    if (status !== 0) end = putNumber(data, end, STATUS, status);
    end = this.#putPlaces(data, end, at, known.places);
    end = putNumber(data, end, RETRANSMITS, this.#words[(at + FIELD.retransmits) >> 2]! >>> 0);
    if (connectNs !== null) end = putSeconds(data, end, CONNECT, connectNs);
    if (view.getUint8(at + FIELD.early) === 1) end = putConstant(data, end, EARLY);
    const cause = causeOf(view.getUint8(at + FIELD.unexplained));
    if (cause !== null) {
      out.length = end;
      out.ascii(`,partly_explained="${cause}"`);
      end = out.length;
    }
    end = putConstant(data, end, END);
    end = putFixed(data, end, readU64(view, at + FIELD.durationNs), DECIMALS_OF_SECONDS);
    data.setUint8(end++, SPACE);
    end = putUint(data, end, this.#toWallMs(readU64(view, at)));
    data.setUint8(end++, NEWLINE);
    out.length = end;
  }

  #putPlaces(data: DataView, start: number, at: number, places: readonly PlaceBytes[]): number {
    const words = this.#words;
    let end = start;
    for (let i = 0; i < places.length; i++) {
      const { label, at: place } = places[i]!;
      const word = (at + place) >> 2;
      const high = words[word + 1]!;
      // as readDuration has it
      if (high === UNKNOWN_WORD) continue;
      const ns = (high >>> 0) * WORD + (words[word]! >>> 0);
      end = putSeconds(data, end, label, ns);
    }
    return end;
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
    key[KEY_WORDS - 1] = words[(at + FIELD.role) >> 2]!;
    this.#at = at;
    return this.#known.get(key, 0, this.#render);
  }

  readonly #render = (): Known => render(this.#view, this.#at);
}

const CONNECT = Constant.of(',connect_seconds="');

function putNumber(data: DataView, at: number, label: Constant, value: number): number {
  const end = putUint(data, putConstant(data, at, label), value);
  data.setUint8(end, QUOTE);
  return end + 1;
}

function putSeconds(data: DataView, at: number, label: Constant, ns: number): number {
  const end = putFixed(data, putConstant(data, at, label), ns, DECIMALS_OF_SECONDS);
  data.setUint8(end, QUOTE);
  return end + 1;
}

function render(view: DataView, at: number): Known {
  const end = (address: number, port: number): string =>
    escapeLabel(formatEndpoint(readIp(view, at + address), view.getUint16(at + port, true)));
  const sock = escapeLabel(formatAddress(readAddress(view, at + FIELD.sock)));
  const src = end(FIELD.localAddr, FIELD.localPort);
  const dst = end(FIELD.peerAddr, FIELD.peerPort);
  const side = sideOf(view.getUint8(at + FIELD.role));
  const method = httpMethod(view.getUint8(at + FIELD.method));
  const outcome = outcomeOf(view.getUint8(at + FIELD.outcome));
  const pid = view.getUint32(at + FIELD.pid, true);
  const comm = escapeLabel(readComm(view, at + FIELD.comm));
  const owner = pid === 0 ? '' : `,pid="${pid}",process="${comm}"`;
  return {
    head: Constant.of(
      `netwatch_http_exchange_seconds{sock="${sock}",src="${src}",dst="${dst}",side="${side}",` +
        `http_request_method="${method}",outcome="${outcome}"${owner}`,
    ),
    places: PLACES[side],
  };
}
