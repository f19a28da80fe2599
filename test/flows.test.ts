/** Flows without a kernel: every byte is in exactly one, no sum falls, and few of many have a name. */
import t from 'tap';
import { FlowTable, type FlowSums } from '../src/sources/flows.js';
import { CONNECTION } from './fixtures/records.js';

const LIMITS = { named: 3, perInterval: 400 };
const CLOSED = 7;

/** A connection of curl to this peer that has moved so much. */
const to = (peer: number, sent: number, received = 0, more: Partial<typeof CONNECTION> = {}) => ({
  ...CONNECTION,
  sock: 1000 + peer,
  peerAddr: `10.1.${peer >> 8}.${peer & 255}`,
  bytesSent: sent,
  bytesReceived: received,
  ...more,
});

const shown = (table: FlowTable): string[] =>
  table.flows.map(
    ({ process, role, serverPort, peer, sent, received, connections }) =>
      `${process} ${role} ${serverPort} ${peer} ${sent} ${received} ${connections}`,
  );

t.test('what connections move is added up by process, side, port and peer', (t) => {
  const table = new FlowTable(LIMITS);
  table.sampled(to(1, 10, 5));
  table.sampled(to(1, 100, 0, { sock: 7, localPort: 40_001 }));
  table.sampled(to(2, 1, 1, { role: 2, comm: 'nginx', localPort: 443, peerPort: 50_000 }));
  table.endInterval();
  table.sampled(to(1, 25, 6));
  table.closed(to(1, 30, 8, { counted: 4, oldState: 1, state: CLOSED }));
  const { flows } = table.endInterval();
  t.strictSame(shown(table), [
    'curl client 80 10.1.0.1 130 7 2',
    'nginx server 443 10.1.0.2 1 1 1',
  ]);
  t.match(flows, [{ sent: 20, received: 2, rttUs: 68 }]);
  t.strictSame(table.others, { sent: 0, received: 0, connections: 0, retransmits: 0 });
  t.end();
});

t.test('a socket that is used again begins anew', (t) => {
  const table = new FlowTable(LIMITS);
  table.sampled(to(1, 10));
  table.sampled(to(1, 4, 0, { openNs: 5_000_000_000 }));
  table.endInterval();
  t.strictSame(shown(table), ['curl client 80 10.1.0.1 14 0 2']);
  t.end();
});

t.test('when another process takes a connection over, only what comes after is its own', (t) => {
  const table = new FlowTable(LIMITS);
  table.sampled(to(1, 10));
  table.sampled(to(1, 25, 0, { comm: 'wget' }));
  table.endInterval();
  t.strictSame(shown(table), ['wget client 80 10.1.0.1 15 0 0', 'curl client 80 10.1.0.1 10 0 1']);
  t.end();
});

t.test('among many, all but a few are the others, and no sum ever falls', (t) => {
  const table = new FlowTable(LIMITS);
  let total = 0;
  let before: FlowSums = table.total;
  for (let round = 1; round <= 20; round++) {
    for (let peer = 0; peer < 500; peer++) {
      const bytes = peer === round * 10 ? 100_000 * 3 ** round : peer + 1;
      table.closed(to(peer, bytes, 1, { openNs: round }));
      total += bytes;
    }
    const othersBefore = { ...table.others };
    table.endInterval();
    const now = table.total;
    t.strictSame(now, {
      sent: total,
      received: 500 * round,
      connections: 500 * round,
      retransmits: 0,
    });
    for (const key of ['sent', 'received', 'connections'] as const) {
      t.ok(now[key] >= before[key]);
      t.ok(table.others[key] >= othersBefore[key]);
    }
    before = now;
    t.equal(table.flows.length, LIMITS.named);
  }
  t.ok(
    table.flows.some(({ peer }) => peer === '10.1.0.200'),
    'the last of the large ones',
  );
  t.end();
});

t.test('what records do not show, but the kernel has counted, is the others in time', (t) => {
  const table = new FlowTable(LIMITS);
  table.sampled(to(1, 10));
  for (const missing of [5, 7, 6]) {
    table.endInterval();
    table.reconcile({ sent: 10 + missing, received: 0 }, { lost: 0, isOver: false });
  }
  t.equal(table.others.sent, 5, 'the least of three: more may be on its way');
  t.equal(table.total.sent, 15);
  t.end();
});

t.test('it is at once where records are known to be lost, or no more will come', (t) => {
  const table = new FlowTable(LIMITS);
  const sentOf = (sent: number, lost: number, isOver = false): number => {
    table.endInterval();
    table.reconcile({ sent, received: 0 }, { lost, isOver });
    return table.total.sent;
  };
  t.equal(sentOf(5, 0), 0);
  t.equal(sentOf(6, 1), 6, 'one is lost');
  t.equal(sentOf(7, 1), 7, 'whose connection the kernel may have counted later');
  t.equal(sentOf(8, 1), 8);
  t.equal(sentOf(9, 1), 8, 'long ago');
  t.equal(sentOf(9, 1, true), 9);
  t.end();
});
