/**
 * The worker's memory: what it has read of the directory, and what it makes of it. A file is read
 * again only when it has changed.
 */
import { keyOf, prepareBody, type BodyKind } from './body.js';
import { FileBytes } from './file-bytes.js';
import { mergeScans, type Merged, type NamedScan } from './merge.js';
import { briefSnapshot, fullJson, type SnapshotFacts } from './page-model.js';
import { connectionTable } from './page-connections.js';
import { directoryIdentity, readContent, stampFiles, type FileStamp } from './prom-files.js';
import { linesOf, scanExposition, type Scan, type ScanResult } from './scan.js';
import { parseSample } from '../metrics/sample.js';
import { clip, oneLine } from '../metrics/text.js';
import { collectorState, STATE_FILE, type CollectorFile } from './staleness.js';
import type { CollectorState, TextFile } from './types.js';
import type { Answer, KeyedBody, Question, SnapshotBytes, Version } from './worker-protocol.js';

/** Of all files together; no exporter of files has a tenth of it. */
const LIMIT_BYTES = 2 ** 30;
/** Of the sentence about a file: what it says of the content is a stranger's. */
const MOST_ERROR_CHARS = 400;
const INTERVAL_FAMILY = 'netwatch_collection_interval_seconds';

interface KnownFile {
  readonly stamp: FileStamp;
  readonly result: ScanResult;
}

/** What the newest snapshot is made of; `scan` null: the numbers must not be shown. */
interface Shown {
  readonly facts: SnapshotFacts;
  readonly scan: Scan | null;
  /** Whether its connections have been read. */
  isFull: boolean;
}

const NOTHING: Merged = { families: [], errors: new Map() };

export class Catalog {
  readonly #directory: string;
  #files: readonly KnownFile[] = [];
  #merged = NOTHING;
  #collector: CollectorState | null = null;
  /** Open files, by their descriptors. */
  readonly #open = new Map<number, FileBytes>();
  /** Of the newest snapshot. */
  #shown: Shown | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  answer({ nowMs, wanted, missing, isWatched, held }: Question): Answer {
    const before = this.#files;
    this.#closeAllBut(held);
    const identity = directoryIdentity(this.#directory);
    this.#files = this.#read();
    const collectorFile = this.#collectorFile();
    const collector = collectorState(collectorFile, nowMs);
    const turned = collector !== this.#collector;
    const isChanged = turned || !isSame(before, this.#files);
    const isNewState = turned || fileNamed(before) !== fileNamed(this.#files);
    this.#collector = collector;
    if (isChanged) this.#merged = this.#merge(collector);
    if (isNewState) this.#shown = this.#look(collectorFile, collector, nowMs);
    return {
      version: isChanged ? this.#version(collectorFile, collector) : null,
      snapshot: this.#snapshot(isNewState, isWatched),
      bodies: this.#bodies(isChanged ? [...wanted, ...missing] : missing),
      directoryIdentity: identity,
    };
  }

  #read(): readonly KnownFile[] {
    const known = new Map(this.#files.map((file) => [file.stamp.name, file]));
    let room = LIMIT_BYTES;
    return stampFiles(this.#directory).map((stamp) => {
      const old = known.get(stamp.name);
      const file =
        old?.stamp.identity === stamp.identity ? old : { stamp, result: this.#scan(stamp, room) };
      if (file.result.ok) room -= stamp.bytes;
      return file;
    });
  }

  #scan(stamp: FileStamp, limitBytes: number): ScanResult {
    const content = readContent(this.#directory, stamp, limitBytes);
    if (!content.ok) return content;
    const { bytes } = content;
    if (bytes instanceof FileBytes) this.#open.set(bytes.file.fd, bytes);
    return scanExposition(bytes);
  }

  /** A file whose name has another content stays open while its bodies are `held`. */
  #closeAllBut(held: readonly number[]): void {
    const needed = new Set(held);
    for (const { result } of this.#files)
      if (result.ok && result.scan.bytes instanceof FileBytes)
        needed.add(result.scan.bytes.file.fd);
    for (const [fd, bytes] of this.#open) {
      if (needed.has(fd)) continue;
      this.#open.delete(fd);
      bytes.close();
    }
  }

  /** netwatch.prom comes first, so that nothing but itself can keep it out. */
  #collectorFile(): CollectorFile {
    const file = fileNamed(this.#files);
    if (file === undefined) return { writtenMs: null, valid: false, intervalSeconds: null };
    const { stamp, result } = file;
    const valid =
      result.ok && mergeScans([{ name: STATE_FILE, scan: result.scan }]).errors.size === 0;
    const intervalSeconds = result.ok ? intervalOf(result.scan) : null;
    return { writtenMs: stamp.mtimeMs, valid, intervalSeconds };
  }

  #merge(collector: CollectorState): Merged {
    const scans = this.#files.flatMap(({ stamp: { name }, result }): NamedScan[] => {
      // Old numbers are left out, so that Prometheus ends their series.
      const isLeft = name === STATE_FILE && collector === 'stale';
      return result.ok && !isLeft ? [{ name, scan: result.scan }] : [];
    });
    return mergeScans(scans);
  }

  #version(collectorFile: CollectorFile, collector: CollectorState): Version {
    const files = this.#files.map(({ stamp, result }): TextFile => {
      const { name, mtimeMs, bytes } = stamp;
      const error = result.ok ? (this.#merged.errors.get(name) ?? null) : result.error;
      return {
        name,
        mtimeMs,
        bytes,
        error:
          error === null ? null : oneLine(clip(`${name} is left out: ${error}`, MOST_ERROR_CHARS)),
      };
    });
    return { files, collectorFile, collector };
  }

  #look(
    { writtenMs, intervalSeconds }: CollectorFile,
    collector: CollectorState,
    nowMs: number,
  ): Shown {
    const result = fileNamed(this.#files)?.result;
    const scan = collector === 'running' && result?.ok === true ? result.scan : null;
    const facts = { atMs: nowMs, writtenMs, intervalSeconds, collector };
    return { facts, scan, isFull: false };
  }

  /** Connections are the most of it: they are read only for somebody who looks. */
  #snapshot(isNew: boolean, isWatched: boolean): SnapshotBytes | null {
    const shown = this.#shown;
    if (shown === null || !(isNew || (isWatched && !shown.isFull))) return null;
    const { facts, scan } = shown;
    const brief = JSON.stringify(briefSnapshot(facts, scan));
    const encoder = new TextEncoder();
    const full = isWatched ? fullJson(brief, scan && connectionTable(scan)) : null;
    shown.isFull = isWatched;
    return {
      atMs: facts.atMs,
      brief: isNew ? encoder.encode(brief) : null,
      full: full === null ? null : encoder.encode(full),
    };
  }

  #bodies(kinds: readonly BodyKind[]): readonly KeyedBody[] {
    const byKey = new Map(kinds.map((kind) => [keyOf(kind), kind]));
    return Array.from(byKey, ([key, kind]) => ({
      key,
      body: prepareBody(this.#merged.families, kind),
    }));
  }
}

function isSame(before: readonly KnownFile[], now: readonly KnownFile[]): boolean {
  return before.length === now.length && before.every((file, i) => file === now[i]);
}

function fileNamed(files: readonly KnownFile[]): KnownFile | undefined {
  return files.find(({ stamp }) => stamp.name === STATE_FILE);
}

/** null if the file does not say it. */
function intervalOf({ bytes, families }: Scan): number | null {
  const [line] = linesOf(bytes, families.get(INTERVAL_FAMILY)?.ranges ?? []);
  const seconds = line === undefined ? NaN : parseSample(line).value;
  return Number.isFinite(seconds) && seconds > 0 ? seconds : null;
}
