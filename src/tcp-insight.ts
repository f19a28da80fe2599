#!/usr/bin/env node
/** The program under tcp-insight's name: `tcp-insight …` is `netwatch insight …`. */
process.argv.splice(2, 0, 'insight');
await import('./main.js');
