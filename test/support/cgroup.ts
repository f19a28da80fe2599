/** Control groups for tests: gone after the test, with whatever still runs in them. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import type { Teardown } from './netns.js';
import { until } from './wait.js';

let serial = 0;

/** A cgroup of this test; the names are those of groups inside it. */
export function createCgroup(t: Teardown, ...inside: readonly string[]): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const root = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
  if (root === undefined) throw new Error('no cgroup v2 is mounted');
  const path = `${root}/nwtest-${process.pid}-${++serial}`;
  const folders = [path, ...inside.map((name) => `${path}/${name}`)];
  for (const folder of folders) mkdirSync(folder);
  t.teardown(async () => {
    writeFileSync(`${path}/cgroup.kill`, '1'); // what a failed test has left in it
    for (const folder of folders.reverse()) {
      // its processes may still be dying
      const gone = (): boolean => {
        rmdirSync(folder);
        return true;
      };
      await until(gone, { what: `${folder} is removed` });
    }
  });
  return path;
}
