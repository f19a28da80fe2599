/**
 * netwatch's sources in this process, as the collector has them, but with programs that can be
 * attached and detached at any moment: the collector itself cannot be switched that fast.
 */
import { ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { CollectorOptions } from '../../src/collector/options.js';
import { PacketText } from '../../src/collector/packet-lines.js';
import { createClock } from '../../src/kernel/clock.js';
import type { RingCounts } from '../../src/kernel/source.js';
import { ByteWriter } from '../../src/metrics/bytes.js';
import { sourcesOf } from '../../src/collector/open-sources.js';
import { isPacket, type PacketSource } from '../../src/sources/packet.js';
import type { Lab } from './lab.js';
import { openOwn } from './own.js';

/** The file of lines starts anew at this size. */
const FILE_BYTES = 1 << 28;

export interface Switchable {
  /** Moves what is in the rings to a file, once; the number of packets. */
  drain(): number;
  attach(cgroupFd: number): void;
  detach(): void;
  /** How full the ring of the packets is, from 0 to 1. */
  fill(): number;
  /** Packet records let through and lost so far. */
  counts(): RingCounts;
}

/**
 * Loads the sources of a command line; nothing is attached. They stay loaded: the maps that all
 * sources of a process share belong to the first one.
 */
export function openSwitchable(lab: Lab, args: readonly string[]): Switchable {
  const { options, sources } = openOwn(lab, args);
  const { packets, connections, faults } = sources;
  if (packets === null) throw new Error('the packets were left out');
  const links = sourcesOf(sources).flatMap(({ object, programs }) =>
    programs
      .filter(({ attached, attachType }) => attached && attachType !== 'iter')
      .map(({ program }) => ({ object, program })),
  );
  for (const { object, program } of links) object.detach(program);
  const writeLines = lineWriter(join(lab.folder, `lines${args.join('')}`), options);
  const drain = (): number => {
    connections.drain(() => undefined);
    faults?.drain(() => undefined);
    return packets.drain(writeLines);
  };
  /** Each switch takes milliseconds, in which the timer that drains does not run. */
  const switchAll = (action: (link: (typeof links)[number]) => void): void => {
    for (const link of links) {
      action(link);
      drain();
    }
    while (drain() > 0);
  };
  return {
    drain,
    attach: (cgroupFd) => switchAll(({ object, program }) => object.attach(program, cgroupFd)),
    detach: () => switchAll(({ object, program }) => object.detach(program)),
    fill: () => packets.source.ring.used / packets.source.ring.size,
    counts: () => packets.source.ringCounts(),
  };
}

type TakePackets = Parameters<PacketSource['drain']>[0];

/** What the collector does with packets: they become lines in a file. */
function lineWriter(path: string, { time, http }: CollectorOptions): TakePackets {
  const clock = createClock();
  const text = new PacketText(
    { labels: { times: time, http }, rows: null },
    new ByteWriter(1 << 20),
    new ByteWriter(1 << 10),
    (ns) => clock.toWallMs(ns),
    () => null,
  );
  const fd = openSync(path, 'a');
  let bytes = 0;
  return (view, places, count) => {
    for (let i = 0; i < count; i++) {
      const at = places[i] ?? 0;
      if (isPacket(view, at)) text.add(view, at);
    }
    const lines = text.lines.view();
    if (lines.length > 0) writeSync(fd, lines);
    bytes += lines.length;
    text.lines.reset();
    if (bytes < FILE_BYTES) return;
    ftruncateSync(fd);
    bytes = 0;
  };
}
