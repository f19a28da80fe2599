/** Reading a file of the web configuration: what is no file holds nobody up, and fills no memory. */
import { constants, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';

const { O_RDONLY, O_NONBLOCK } = constants;
/** A certificate with all those above it has a hundredth of it. */
const MOST_BYTES = 1 << 20;

/** Text of a regular file, also behind a link. Rejects with why it cannot be had. */
export async function readRegularFile(path: string): Promise<string> {
  // A FIFO that nobody writes to would never be opened.
  const file = await open(path, O_RDONLY | O_NONBLOCK);
  try {
    const obstacle = obstacleOf(await file.stat());
    if (obstacle !== null) throw new Error(`${path} ${obstacle}`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function obstacleOf(stats: Stats): string | null {
  if (!stats.isFile()) return 'is not a regular file';
  return stats.size > MOST_BYTES ? 'is larger than 1 MiB' : null;
}
