#!/usr/bin/env node
/** The program: takes the debugger's signal away before all else is loaded, then runs the command line. */
import { ignoreDebugSignal } from './process/signals.js';

ignoreDebugSignal();
const { runCommandLine } = await import('./command-line.js');
await runCommandLine(process.argv.slice(2));
