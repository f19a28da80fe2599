/** Entries for the journal, as a receiver of datagrams gets them. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { encodeEntry, openJournal } from '../src/sinks/journal.js';
import { NetwatchError } from '../src/failure.js';
import { temporaryFolder } from './support/collector.js';
import { startManager } from './support/notify.js';
import { until } from './support/wait.js';

/** More than the kernel takes in one datagram, whatever its limits are here. */
const TOO_LARGE = 'x'.repeat(8 << 20);
/** More than the kernel queues at a Unix socket (net.unix.max_dgram_qlen). */
const AT_A_TIME = 50;

t.test('a value with a newline goes with its length, any other as KEY=value', (t) => {
  const plain = encodeEntry({ PRIORITY: 5, MESSAGE: 'ESTABLISHED=1' });
  t.equal(plain.toString(), 'PRIORITY=5\nMESSAGE=ESTABLISHED=1\n');
  const text = 'é\nPRIORITY=0';
  const length = Buffer.from('\x0d\0\0\0\0\0\0\0');
  const wanted = Buffer.concat([Buffer.from('COMM\n'), length, Buffer.from(`${text}\n`)]);
  t.strictSame(encodeEntry({ COMM: text }), wanted, 'the length is in bytes');
  t.strictSame(encodeEntry({}), Buffer.alloc(0));
  t.end();
});

t.test('every entry of a burst reaches a journal that listens', async (t) => {
  const path = join(temporaryFolder(t), 'journal');
  const receiver = await startManager(t, path);
  const journal = openJournal(path);
  const count = 307;
  for (let i = 0; i < count; i++) {
    // the receiver waits for us to take what it prints
    if (i % AT_A_TIME === 0) await until(() => receiver.said().length === i, { what: `${i}` });
    t.ok(journal.send({ SYSLOG_IDENTIFIER: 'tcpstates', OBJECT_PID: i, COMM: 'a\nb' }), `${i}`);
  }
  await until(() => receiver.said().length === count, { what: 'all are there' });
  t.strictSame(receiver.said()[count - 1], [
    'SYSLOG_IDENTIFIER=tcpstates',
    `OBJECT_PID=${count - 1}`,
    'COMM',
    '\x03\0\0\0\0\0\0\0a',
    'b',
  ]);
  t.equal(journal.lost, 0);
  journal.close();
});

t.test('an entry is lost if it is too large or nobody listens, and counted', async (t) => {
  const path = join(temporaryFolder(t), 'journal');
  const first = await startManager(t, path);
  const journal = openJournal(path);
  t.notOk(journal.send({ MESSAGE: TOO_LARGE }));
  t.equal(journal.lost, 1);
  t.ok(journal.send({ MESSAGE: 'small' }), 'the next one is not');
  await first.hears('MESSAGE=small');
  rmSync(path);
  t.notOk(journal.send({ MESSAGE: 'gone' }));
  t.equal(journal.lost, 2);
  const second = await startManager(t, path);
  t.ok(journal.send({ MESSAGE: 'back' }), 'a journal that was started again');
  await second.hears('MESSAGE=back');
  t.equal(journal.lost, 2);
  journal.close();
  t.notOk(journal.send({ MESSAGE: 'closed' }));
  t.equal(journal.lost, 3);
});

t.test('without a journal it says so, and what to do', (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const cases = [
    [join(folder, 'none'), /^no journal listens at .*none: no such file or directory \(ENOENT\)$/m],
    [file, /^no journal listens at .*file: .*\(ECONNREFUSED\)$/m],
    [`/${'x'.repeat(200)}`, /^no journal listens at .*: it can be no socket$/m],
  ] as const;
  for (const [path, says] of cases) {
    const open = (): unknown => openJournal(path);
    t.throws(open, { message: says, failure: { code: 'environment', next: /journald/ } });
    t.throws(open, NetwatchError);
  }
  t.end();
});
