/** A name server inside a namespace that knows a few names. */
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

/** Answers A and AAAA, by what the address looks like; the name is pointed to. */
const SERVE = `
const names = JSON.parse(process.argv[1]);
const socket = require('node:dgram').createSocket('udp4');
const bytesOf = (address) => {
  if (!address.includes(':')) return address.split('.').map(Number);
  return [...Array(15).fill(0), Number(address.slice(2))]; // ::1 and the like
};
socket.on('message', (query, { port, address }) => {
  const labels = [];
  let at = 12;
  for (; query[at] > 0; at += query[at] + 1) labels.push(query.subarray(at + 1, at + 1 + query[at]));
  const data = bytesOf(names[labels.join('.')] ?? '0.0.0.0');
  const question = query.subarray(12, at + 5);
  const header = Buffer.from([...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
  const type = data.length === 4 ? 1 : 28;
  const record = [0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data];
  socket.send(Buffer.concat([header, question, Buffer.from(record)]), port, address);
});
socket.bind(53, '127.0.0.1', () => console.log('listening'));`;

/** Listens at 127.0.0.1:53 until the test is over. */
export async function answersNames(
  t: Teardown,
  namespace: Namespace,
  names: Readonly<Record<string, string>>,
): Promise<void> {
  const child = namespace.spawn(process.execPath, ['-e', SERVE, JSON.stringify(names)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  await until(() => said.includes('listening'), { what: 'the name server listens' });
}
