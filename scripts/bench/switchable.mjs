/**
 * netwatch's sources in this process, as the collector has them, but with programs that can be
 * attached and detached at any moment: the collector itself cannot be switched that fast.
 */
import { ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PacketText } from '../../build/collector/packet-lines.js';
import { createClock } from '../../build/kernel/clock.js';
import { ByteWriter } from '../../build/metrics/bytes.js';
import { ConnectionSource } from '../../build/sources/connection.js';
import { FaultSource } from '../../build/sources/fault.js';
import { NO_FILTER } from '../../build/sources/filter.js';
import { isPacket, PacketSource } from '../../build/sources/packet.js';

const RING_BYTES = 1 << 23;
const OTHER_RING_BYTES = 1 << 20;
/** The file of lines starts anew at this size. */
const FILE_BYTES = 1 << 28;

/** @typedef {ReturnType<typeof openSwitchable>} Switchable */

/**
 * Loads the sources of the default options or (`all`) of `-x -r -t -i -e`; nothing is attached. They
 * stay loaded: the maps that all sources of a process share belong to the first one.
 * @param {import('./lab.mjs').Lab} lab
 * @param {boolean} all
 */
export function openSwitchable(lab, all) {
  const filter = { ...NO_FILTER, namespaces: [lab.inode] };
  const ringBytes = OTHER_RING_BYTES;
  const packets = new PacketSource({ filter, time: all, http: all, ringBytes: RING_BYTES });
  const connections = new ConnectionSource({ filter, retransmits: all, ringBytes });
  const faults = all ? new FaultSource(filter, ringBytes) : null;
  const links = [packets, connections, ...(faults === null ? [] : [faults])].flatMap(({ source }) =>
    source.programs
      .filter(({ attached, attachType }) => attached && attachType !== 'iter')
      .map(({ program }) => ({ object: source.object, program })),
  );
  for (const { object, program } of links) object.detach(program);
  const writeLines = lineWriter(join(lab.folder, `lines-${all}`), all);
  const drain = () => {
    connections.drain(() => undefined);
    faults?.drain(() => undefined);
    return packets.drain(writeLines);
  };
  const drainAll = () => {
    while (drain() > 0);
  };
  return {
    /** Moves what is in the rings to a file, once; the number of packets. */
    drain,
    attach: (/** @type {number} */ cgroup) => {
      // Each switch takes milliseconds, in which the timer that drains does not run.
      for (const { object, program } of links) {
        object.attach(program, cgroup);
        drain();
      }
      drainAll();
    },
    detach: () => {
      for (const { object, program } of links) {
        object.detach(program);
        drain();
      }
      drainAll();
    },
    /** How full the ring of the packets is, from 0 to 1. */
    fill: () => packets.source.ring.used / packets.source.ring.size,
    /** Packet records let through and lost so far. */
    counts: () => packets.source.ringCounts(),
  };
}

/**
 * What the collector does with packets: they become lines in a file.
 * @param {string} path
 * @param {boolean} all
 */
function lineWriter(path, all) {
  const text = new PacketText(
    { labels: { times: all, http: all }, rows: null },
    new ByteWriter(1 << 20),
    new ByteWriter(1 << 10),
    createClock().toWallMs,
    () => null,
  );
  const fd = openSync(path, 'a');
  let bytes = 0;
  return (
    /** @type {DataView} */ view,
    /** @type {Int32Array} */ places,
    /** @type {number} */ n,
  ) => {
    for (let i = 0; i < n; i++) if (isPacket(view, places[i])) text.add(view, places[i]);
    const lines = text.lines.view();
    if (lines.length > 0) writeSync(fd, lines);
    bytes += lines.length;
    text.lines.reset();
    if (bytes < FILE_BYTES) return;
    ftruncateSync(fd);
    bytes = 0;
  };
}
