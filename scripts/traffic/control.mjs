// @ts-check
/**
 * The child's side of a traffic program: options arrive as JSON in the first argument, commands as
 * JSON lines on stdin, answers leave as JSON lines on stdout. When stdin ends the parent is gone,
 * and so are we.
 */
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/**
 * The options of this process, over the program's defaults. `commBase64`, if given, becomes our
 * `comm`: raw bytes, because a test may want a newline or broken UTF-8 in it.
 * @template {object} T
 * @param {T} defaults
 * @returns {T}
 */
export function readOptions(defaults) {
  const { commBase64, ...given } = JSON.parse(process.argv[2] ?? '{}');
  if (commBase64 !== undefined) writeFileSync('/proc/self/comm', Buffer.from(commBase64, 'base64'));
  return { ...defaults, ...given };
}

/**
 * Reports ready and serves the parent's commands, one after the other.
 * @param {object} ready
 * @param {{ go?: () => Promise<object>, stop: () => Promise<object> }} commands
 */
export function obey(ready, { go = async () => ({}), stop }) {
  const lines = createInterface({ input: process.stdin });
  let turn = Promise.resolve();
  lines.on('line', (line) => {
    turn = turn.then(async () => {
      if (line === 'go') send('result', await go());
      else if (line === 'stop') send('stopped', await stop(), () => process.exit(0));
    });
    turn.catch(fail);
  });
  lines.on('close', () => process.exit(0));
  send('ready', { pid: process.pid, ...ready });
}

/**
 * @param {string} event
 * @param {object} data
 * @param {() => void} [done]
 */
function send(event, data, done) {
  process.stdout.write(JSON.stringify({ event, ...data }) + '\n', done);
}

/** @param {unknown} error */
function fail(error) {
  console.error(error);
  process.exit(1);
}
