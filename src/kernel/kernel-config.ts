/** What the running kernel was configured with, where the system says so. */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { u32 } from './rodata.js';

/** Where distributions keep it, the kernel's own word first. */
const PLACES = (): readonly string[] => [
  '/proc/config.gz',
  `/boot/config-${release()}`,
  `/lib/modules/${release()}/config`,
];

function textOf(path: string): string | null {
  try {
    const bytes = readFileSync(path);
    return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  } catch {
    return null;
  }
}

/**
 * Jiffies per second (CONFIG_HZ); null where no configuration can be read: a container image has
 * none, nor have many self-made kernels. Other places than the kernel's own are for tests.
 */
export function jiffiesPerSecond(places: readonly string[] = PLACES()): number | null {
  for (const place of places) {
    const hz = /^CONFIG_HZ=(\d+)$/m.exec(textOf(place) ?? '')?.[1];
    if (hz !== undefined) return Number(hz);
  }
  return null;
}

/** The same as the constant of a BPF program; 0 = not known. */
export const encodeJiffies = (): Uint8Array => u32(jiffiesPerSecond() ?? 0);
