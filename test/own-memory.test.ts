// What the process gives back: which pages of files it may let go, and that it goes on without them.
import { readFileSync } from 'node:fs';
import { deflateSync, inflateSync } from 'node:zlib';
import t from 'tap';
import {
  filePages,
  giveBackMemory,
  LentMemory,
  letGoOfFilePages,
} from '../src/kernel/own-memory.js';

const mapping = (head: string, anonymousKb: number): string =>
  `${head}\nSize: 8 kB\nRss: 8 kB\nAnonymous:             ${anonymousKb} kB\nVmFlags: rd mr mw me\n`;

t.test('only pages of files that nothing has changed are let go', (t) => {
  const smaps = [
    mapping('00400000-00402000 r-xp 00000000 08:01 7                          /usr/bin/node', 0),
    mapping('00402000-00404000 r--p 00002000 08:01 7                          /usr/bin/node', 4),
    mapping('00404000-00406000 rw-p 00004000 08:01 7                          /usr/bin/node', 0),
    mapping(
      '7f0000000000-7f0000002000 r--s 00001000 00:10 9                  anon_inode:bpf-map',
      0,
    ),
    mapping('7f0000002000-7f0000004000 r--s 00000000 08:01 9                  /a/shared file', 0),
    mapping('7f0000004000-7f0000006000 r--p 00000000 08:01 8                  /lib/lib x.so', 0),
    mapping('7f0000006000-7f0000008000 r--p 00000000 00:00 0 ', 0),
    mapping('7ffff0000000-7ffff0002000 r-xp 00000000 00:00 0                  [vdso]', 0),
  ].join('');
  t.strictSame(filePages(smaps), [
    [0x400000n, 0x402000n],
    [0x7f0000004000n, 0x7f0000006000n],
  ]);
  t.end();
});

t.test('the program runs on when its pages are gone, and has fewer of them', (t) => {
  const filePagesKb = (): number =>
    Number(/^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  const before = filePagesKb();
  letGoOfFilePages();
  giveBackMemory();
  t.ok(filePagesKb() < before, 'of files');
  const text = 'netwatch '.repeat(10_000);
  t.equal(inflateSync(deflateSync(text)).toString(), text);
  t.end();
});

t.test("memory that is lent is the kernel's again at once, and can be used anew", (t) => {
  const anonymousKb = (): number =>
    Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  const length = 64 << 20;
  const memory = new LentMemory(length);
  for (const byte of [1, 2]) {
    const before = anonymousKb();
    memory.bytes.fill(byte);
    t.equal(memory.view.getUint8(length - 1), byte);
    const used = anonymousKb();
    t.ok(used - before > 60 << 10, `${used - before} kB taken`);
    memory.giveBack();
    t.ok(used - anonymousKb() > 60 << 10, `${used - anonymousKb()} kB given back`);
    t.equal(memory.view.getUint8(length - 1), 0);
  }
  t.end();
});
