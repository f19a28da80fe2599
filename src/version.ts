/** Which version this is. */
import { readFileSync } from 'node:fs';

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

/** The version of netwatch, from package.json. */
export const VERSION: string = version;
