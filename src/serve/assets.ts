/** The page's files: read once, then served from memory. Nothing else of that folder is reachable. */
import { readFile } from 'node:fs/promises';

/** URL path, file, Content-Type. */
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
] as const;

const BUILT = new URL('../page/', import.meta.url);

export interface Asset {
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
}

/** The files of the page, as far as they are built. */
export async function readAssets(folder: URL = BUILT): Promise<Asset[]> {
  const read = FILES.map(async ([path, file, type]): Promise<Asset[]> => {
    try {
      return [{ path, type, body: await readFile(new URL(file, folder)) }];
    } catch {
      return [];
    }
  });
  return (await Promise.all(read)).flat();
}
