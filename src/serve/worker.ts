/**
 * The thread that does the heavy work of the store, so that the one that answers HTTP never waits
 * for it. Buffers change hands: nothing large is copied between the two.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Catalog } from './catalog.js';
import { isInFile } from './render.js';
import type { Answer, Question, WorkerSettings } from './worker-protocol.js';

const { directory } = workerData as WorkerSettings;
const catalog = new Catalog(directory);

parentPort?.on('message', (question: Question) => {
  const answer = catalog.answer(question);
  parentPort?.postMessage(answer, buffersOf(answer));
});

function buffersOf({ snapshot, bodies }: Answer): ArrayBuffer[] {
  const ofSnapshot = [snapshot?.full?.buffer, snapshot?.brief?.buffer];
  const parts = bodies.flatMap(({ body }) => body.parts);
  const ofBodies = parts.map((part) => (isInFile(part) ? null : part.buffer));
  return [...ofSnapshot, ...ofBodies].filter((buffer) => buffer instanceof ArrayBuffer);
}
