/** Values of kernel records whose texts are remembered: each is told for what it is. */
import t from 'tap';
import { readIp } from '../src/kernel/read.js';
import { framed } from './fixtures/records.js';

t.test('many IPv4 addresses are told apart, those of 0.0.0.0/8 too', (t) => {
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  const view = framed(bytes, 0);
  let wrong = 0;
  for (let i = 0; i < 2e5; i++) {
    const address = i < 1000 ? i : Math.imul(i, 0x01003f01) >>> 0;
    view.setUint32(12, address);
    const octets = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255);
    if (readIp(view, 0) !== octets.join('.')) wrong++;
  }
  t.equal(wrong, 0);
  t.end();
});
