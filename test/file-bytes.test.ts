// Large state files are served out of the file: what is sent is what was checked, also when the file has
// got another content, and nothing that was written over is ever whole.
import { closeSync, existsSync, openSync, readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Response } from 'express';
import t, { type Test } from 'tap';
import { finishBody, prepareBody, type BodyKind, type PreparedBody } from '../src/serve/body.js';
import { Catalog } from '../src/serve/catalog.js';
import { FileBytes } from '../src/serve/file-bytes.js';
import { mergeScans, type MergedFamily } from '../src/serve/merge.js';
import { isInFile, wholeOf } from '../src/serve/render.js';
import { quickScan, scanExposition } from '../src/serve/scan.js';
import { sendParts } from '../src/serve/send-parts.js';

const TEXT: BodyKind = { format: 'text', gzip: false, groups: null };
const GZIP: BodyKind = { ...TEXT, gzip: true };
const NOW_MS = 1_795_000_000_000;
const header = (name: string): string => `# HELP ${name} ${name}\n# TYPE ${name} gauge\n`;

/** Two families of more than a megabyte, sorted as they are served. */
function large(value: number): string {
  const lines = (name: string): string =>
    Array.from({ length: 40_000 }, (_, i) => `${name}{place="${i}"} ${value}\n`).join('');
  return `${header('one')}${lines('one')}${header('small')}small ${value}\n${header('two')}${lines('two')}`;
}

/** Replaces the file as the collector does. */
function replace(directory: string, text: string): void {
  writeFileSync(join(directory, '.new'), text);
  renameSync(join(directory, '.new'), join(directory, 'netwatch.prom'));
}

function ask(catalog: Catalog, missing: readonly BodyKind[], held: readonly number[]) {
  const question = { nowMs: NOW_MS, wanted: [], missing, isWatched: false, held };
  return catalog.answer(question).bodies.map(({ body }) => body);
}

/** As a client gets it, without the families of the endpoint. */
const sent = (body: PreparedBody, kind: BodyKind): Buffer =>
  wholeOf(finishBody(body, { ...kind, own: Buffer.of() }).parts);

const isOpen = (fd: number): boolean => existsSync(`/proc/self/fd/${fd}`);

t.test('a large file is served from where it is, and stays open while it is needed', (t) => {
  const directory = t.testdir({});
  const catalog = new Catalog(directory);
  const [first, second] = [large(1), large(2)];
  replace(directory, first);
  const [plain, packed] = ask(catalog, [TEXT, GZIP], []) as [PreparedBody, PreparedBody];
  t.equal(plain.parts.filter(isInFile).length, 2, 'both long families');
  t.equal(plain.parts.length, 4, 'and what is between them');
  t.ok(sent(plain, TEXT).equals(Buffer.from(first)));
  t.ok(gunzipSync(sent(packed, GZIP)).equals(Buffer.from(first)));
  const [{ fd } = { fd: -1 }] = plain.files;
  t.strictSame(packed.files, plain.files);
  t.match(readlinkSync(`/proc/self/fd/${fd}`), /netwatch\.prom$/);

  replace(directory, second);
  const [newer] = ask(catalog, [TEXT], [fd]) as [PreparedBody];
  t.ok(sent(newer, TEXT).equals(Buffer.from(second)));
  ask(catalog, [], [fd]);
  t.ok(sent(plain, TEXT).equals(Buffer.from(first)), 'who began with the one before gets it whole');
  ask(catalog, [], []);
  t.notOk(isOpen(fd), 'nobody needs it');
  t.ok(isOpen(newer.files[0]!.fd), 'what is served stays open');
  replace(directory, header('x'));
  ask(catalog, [], []);
  ask(catalog, [], []);
  t.notOk(isOpen(newer.files[0]!.fd));
  t.end();
});

t.test('a series that comes twice is found, however far apart and between whatever', (t) => {
  const many = (name: string): string =>
    Array.from({ length: 12_000 }, (_, i) => `${name}{place="${i}"} 1\n`).join('');
  const [a, b] = [many('a'), many('b')];
  const scattered = `${a}${b}a{place="x"} 1\n${b.replaceAll('place', 'other')}a{place="y"} 1\n`;
  const directory = t.testdir({ file: scattered });
  const fd = openSync(join(directory, 'file'), 'r');
  t.teardown(() => {
    closeSync(fd);
  });
  for (const bytes of [Buffer.from(scattered), new FileBytes(fd)]) {
    const found = quickScan(bytes);
    t.strictSame([...(found?.keys() ?? [])], ['a', 'b']);
    t.equal(found?.get('a')?.ranges.length, 6, 'in three places');
  }
  for (const twice of [
    'a{place="0"} 2\n',
    'a{place="11999"} 2\n',
    'a{place="x"} 2\n',
    'b{other="7"} 2\n',
  ])
    t.equal(quickScan(Buffer.from(scattered + twice)), null, twice);
  t.end();
});

/** What a client gets of a file's body that is sent after `change`: all of it, or null if it is cut. */
async function received(t: Test, change: (path: string) => void): Promise<string | null> {
  const path = join(t.testdir({ file: large(1) }), 'file');
  const fd = openSync(path, 'r');
  const bytes = new FileBytes(fd);
  const scanned = scanExposition(bytes);
  if (!scanned.ok) throw new Error(scanned.error);
  const { families }: { families: readonly MergedFamily[] } = mergeScans([
    { name: 'file', scan: scanned.scan },
  ]);
  const body = finishBody(prepareBody(families, TEXT), { ...TEXT, own: Buffer.from('own 1\n') });
  change(path);
  const server = createServer((_, response) => {
    void sendParts(response as Response, 'text/plain', body, {});
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.teardown(() => {
    server.close();
    bytes.close();
  });
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => undefined);
      response.on('close', () => {
        resolve(response.complete ? Buffer.concat(chunks).toString() : null);
      });
    }).on('error', reject);
  });
}

t.test('a body out of a file arrives whole, or not whole if the file was written to', async (t) => {
  t.ok((await received(t, () => undefined)) === `${large(1)}own 1\n`, 'every byte');
  t.equal(
    await received(t, (path) => {
      writeFileSync(path, large(2));
    }),
    null,
    'changed in place',
  );
  t.equal(
    await received(t, (path) => {
      writeFileSync(path, 'x 1\n');
    }),
    null,
    'cut',
  );
});
