/**
 * Runs the test files that are named on the command line, in one process: to load tap anew for each file
 * would take an emulated machine five seconds.
 */
import { resolve } from 'node:path';
import t from 'tap';

t.setTimeout(0); // the machine itself has a limit
for (const file of process.argv.slice(2)) await import(resolve(file));
