/**
 * Prints the file "copyright" of the Debian package: netwatch's licence, then those of the npm packages
 * below a folder, each in its own words.
 *
 *   node scripts/debian/copyright.mjs STAGE
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [stage = ''] = process.argv.slice(2);
const folders = readdirSync(stage, { recursive: true, encoding: 'utf8' })
  .filter((path) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path))
  .map(dirname)
  .sort();

console.log(readFileSync('LICENSE', 'utf8'));
for (const folder of folders) {
  const { name, version, license, author } = JSON.parse(
    readFileSync(join(stage, folder, 'package.json'), 'utf8'),
  );
  console.log(
    `${'='.repeat(79)}\n/${folder}: the npm package ${name} ${version}\n${'='.repeat(79)}\n`,
  );
  const texts = readdirSync(join(stage, folder)).filter((file) => /^licen[cs]e/i.test(file));
  // A package without a text of its licence names it only.
  if (texts.length === 0)
    console.log(`Copyright: ${author?.name ?? author}\nLicence: ${license}\n`);
  for (const text of texts) console.log(readFileSync(join(stage, folder, text), 'utf8'));
}
