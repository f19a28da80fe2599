// Lets node run TypeScript: node --import=./scripts/typescript.mjs FILE.ts
//
// By tsx, and by its programming interface: `--import=tsx` leaves threads out (its issue 354), of which
// the endpoint has two.

// What is compiled is not kept: tsx would take it from a folder below /tmp that anybody can make first.
process.env['TSX_DISABLE_CACHE'] = '1';
const { register } = await import('tsx/esm/api');
register();
