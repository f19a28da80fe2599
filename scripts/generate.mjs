// Generates src/generated/<source>.ts from the BTF of bpf/<source>.bpf.o: record
// sizes, field offsets and straight-line decoders for every struct nw_…, plus
// the offsets of .rodata variables. What a field means (its typedef) decides
// how it is decoded. The result is committed, so that a review sees a change of
// the wire; `make check` runs this again and wants no difference.
import { existsSync, readFileSync, readdirSync, writeFileSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { keptSource } from './generate-kept.mjs';

const ROOT = new URL('..', import.meta.url).pathname;
const OBJECTS = join(ROOT, 'bpf');
const OUT = join(ROOT, 'src', 'generated');

/** The bytes of one section of a little-endian ELF64 file. */
function elfSection(file, wanted) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const table = Number(view.getBigUint64(0x28, true));
  const entrySize = view.getUint16(0x3a, true);
  const count = view.getUint16(0x3c, true);
  const namesIndex = view.getUint16(0x3e, true);
  const header = (index) => {
    const at = table + index * entrySize;
    return {
      name: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 0x18, true)),
      size: Number(view.getBigUint64(at + 0x20, true)),
    };
  };
  const names = header(namesIndex);
  for (let i = 0; i < count; i++) {
    const section = header(i);
    const start = names.offset + section.name;
    const name = file.toString('latin1', start, file.indexOf(0, start));
    if (name === wanted) return file.subarray(section.offset, section.offset + section.size);
  }
  throw new Error(`no section ${wanted}: was the object built with -g?`);
}

const SYMBOL_BYTES = 24;

/** Values (offsets in their section) of an object's symbols, by name. */
function elfSymbols(file) {
  const symbols = elfSection(file, '.symtab');
  const names = elfSection(file, '.strtab');
  const view = new DataView(symbols.buffer, symbols.byteOffset, symbols.byteLength);
  const values = new Map();
  for (let at = 0; at < symbols.byteLength; at += SYMBOL_BYTES) {
    const start = view.getUint32(at, true);
    const name = names.toString('latin1', start, names.indexOf(0, start));
    values.set(name, Number(view.getBigUint64(at + 8, true)));
  }
  return values;
}

const KINDS = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
};

/** All types of a .BTF section, index = type id. */
function parseBtf(btf) {
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength);
  const headerSize = view.getUint32(4, true);
  let at = headerSize + view.getUint32(8, true);
  const end = at + view.getUint32(12, true);
  const strings = headerSize + view.getUint32(16, true);
  const text = (offset) =>
    btf.toString('latin1', strings + offset, btf.indexOf(0, strings + offset));
  const types = [{ kind: 0, name: 'void', size: 0 }];
  const u32 = () => {
    const value = view.getUint32(at, true);
    at += 4;
    return value;
  };
  while (at < end) {
    const name = text(u32());
    const info = u32();
    const sizeOrType = u32();
    const kind = (info >> 24) & 31;
    const count = info & 0xffff;
    const type = { kind, name, size: sizeOrType, type: sizeOrType };
    if (kind === KINDS.INT) type.bits = u32();
    else if (kind === KINDS.ARRAY) {
      type.element = u32();
      u32();
      type.count = u32();
    } else if (kind === KINDS.STRUCT || kind === KINDS.UNION) {
      type.members = [];
      for (let i = 0; i < count; i++) {
        type.members.push({ name: text(u32()), type: u32(), offset: (u32() & 0xffffff) / 8 });
      }
    } else if (kind === KINDS.ENUM) {
      type.values = [];
      for (let i = 0; i < count; i++) type.values.push({ name: text(u32()), value: u32() });
    } else if (kind === KINDS.FUNC_PROTO) at += count * 8;
    else if (kind === KINDS.VAR || kind === KINDS.DECL_TAG) at += 4;
    else if (kind === KINDS.DATASEC) {
      type.variables = [];
      for (let i = 0; i < count; i++)
        type.variables.push({ type: u32(), offset: u32(), size: u32() });
    } else if (kind === KINDS.ENUM64) at += count * 12;
    types.push(type);
  }
  return types;
}

const camel = (name) => name.replace(/_+(.)/g, (_, letter) => letter.toUpperCase());
const pascal = (name) => {
  const text = camel(name.replace(/^nw_/, ''));
  return text[0].toUpperCase() + text.slice(1);
};

/** Strips const, volatile and typedefs, remembering the first nw_… typedef. */
function resolve(types, id) {
  let meaning = null;
  let type = types[id];
  while ([KINDS.TYPEDEF, KINDS.CONST, KINDS.VOLATILE, KINDS.TYPE_TAG].includes(type.kind)) {
    if (type.kind === KINDS.TYPEDEF && type.name.startsWith('nw_')) meaning ??= type.name;
    type = types[type.type];
  }
  return { type, meaning };
}

function sizeOf(types, id) {
  const { type } = resolve(types, id);
  if (type.kind === KINDS.ARRAY) return type.count * sizeOf(types, type.element);
  if (type.kind === KINDS.PTR) return 8;
  return type.size;
}

/** Pointers and unions do not leave the kernel: a struct with one is private to a program. */
function isWire(types, id) {
  const { type } = resolve(types, id);
  if (type.kind === KINDS.ARRAY) return isWire(types, type.element);
  if (type.kind === KINDS.STRUCT) return type.members.every((member) => isWire(types, member.type));
  return type.kind === KINDS.INT || type.kind === KINDS.ENUM;
}

const plus = (base, offset) => (offset === 0 ? base : `${base} + ${offset}`);

/** The TypeScript type of a value and the expression that reads it at `base`. */
function reader(types, id, base, depth = 0) {
  const { type, meaning } = resolve(types, id);
  if (meaning === 'nw_address_t') return ['number', `readAddress(view, ${base})`];
  if (meaning === 'nw_duration_t') return ['number | null', `readDuration(view, ${base})`];
  if (meaning === 'nw_comm_t') return ['string', `readComm(view, ${base})`];
  if (meaning === 'nw_ip_t') return ['string', `readIp(view, ${base})`];
  if (type.kind === KINDS.INT || type.kind === KINDS.ENUM) {
    if (type.size === 8) return ['number', `readU64(view, ${base})`];
    if (type.size === 1) return ['number', `view.getUint8(${base})`];
    return ['number', `view.getUint${type.size * 8}(${base}, true)`];
  }
  if (type.kind === KINDS.STRUCT) {
    return [pascal(type.name), `decode${pascal(type.name)}(view, ${base})`];
  }
  if (type.kind === KINDS.ARRAY) return arrayReader(types, type, base, depth);
  throw new Error(`cannot decode a ${type.name || `type of kind ${type.kind}`}`);
}

/** Lists of at most so many are written out. */
const MOST_LISTED = 8;

const listOf = (of) => `readonly ${/^readonly|\|/.test(of) ? `(${of})` : of}[]`;

function arrayReader(types, type, base, depth) {
  const element = resolve(types, type.element).type;
  if (element.kind === KINDS.INT && element.size === 1) {
    return ['Uint8Array', `readBytes(view, ${base}, ${type.count})`];
  }
  const index = 'ijk'[depth];
  const step = sizeOf(types, type.element);
  // one by one: Array.from() asks for each element by its name
  if (type.count <= MOST_LISTED && element.kind !== KINDS.ARRAY) {
    const each = Array.from({ length: type.count }, (_, i) =>
      reader(types, type.element, plus(base, i * step), depth + 1),
    );
    return [listOf(each[0][0]), `[${each.map(([, read]) => read).join(', ')}]`];
  }
  const [of, read] = reader(types, type.element, `${base} + ${index} * ${step}`, depth + 1);
  return [listOf(of), `Array.from({ length: ${type.count} }, (_, ${index}) => ${read})`];
}

/** Members with those of head, tuple and task lifted: records are flat. */
function flatten(types, struct, base = 0) {
  const fields = [];
  for (const member of struct.members) {
    if (member.name.startsWith('pad')) continue;
    const { type } = resolve(types, member.type);
    const offset = base + member.offset;
    const lifted = ['nw_head', 'nw_tuple', 'nw_task'].includes(type.name);
    if (type.kind === KINDS.STRUCT && lifted) fields.push(...flatten(types, type, offset));
    else fields.push({ name: camel(member.name), type: member.type, offset });
  }
  return fields;
}

function structSource(types, struct) {
  const name = pascal(struct.name);
  const fields = flatten(types, struct).map((field) => {
    const [type, read] = reader(types, field.type, plus('at', field.offset));
    return { ...field, tsType: type, read };
  });
  const constant = struct.name.replace(/^nw_/, '').toUpperCase();
  return [
    `/** struct ${struct.name}: size and field offsets in bytes. */`,
    `export const ${constant} = {`,
    `  size: ${struct.size},`,
    `  at: { ${fields.map((field) => `${field.name}: ${field.offset}`).join(', ')} },`,
    `} as const;`,
    ``,
    `export interface ${name} {`,
    ...fields.map((field) => `  readonly ${field.name}: ${field.tsType};`),
    `}`,
    ``,
    `export function decode${name}(view: DataView, at: number): ${name} {`,
    `  return {`,
    ...fields.map((field) => `    ${field.name}: ${field.read},`),
    `  };`,
    `}`,
    ``,
  ].join('\n');
}

function enumSource(type) {
  const constant = type.name.replace(/^nw_/, '').toUpperCase();
  const members = type.values.map(({ name, value }) => `  ${name}: ${value},`);
  return [
    `/** enum ${type.name} */`,
    `export const ${constant} = {`,
    ...members,
    `} as const;`,
    ``,
  ].join('\n');
}

/** What a class that keeps one record of a struct has to know of its fields. */
function keptFields(types, struct) {
  return flatten(types, struct).map(({ name, type, offset }) => {
    const [tsType, read] = reader(types, type, plus('at', offset));
    const isList = tsType.startsWith('readonly');
    const { count, element } = isList ? resolve(types, type).type : { count: 1 };
    const bytes = sizeOf(types, type) / count;
    const reads = isList
      ? Array.from(
          { length: count },
          (_, i) => reader(types, element, plus('at', offset + i * bytes))[1],
        )
      : [read];
    return { name, tsType, bytes, count, isList, reads };
  });
}

/** BTF leaves the offsets of variables to the linker; the symbols have them. */
function rodataSource(types, symbols) {
  const section = types.find((type) => type.kind === KINDS.DATASEC && type.name === '.rodata');
  const variables = (section?.variables ?? [])
    .map(({ type, size }) => ({ size, name: types[type].name }))
    .map((variable) => ({ ...variable, offset: symbols.get(variable.name) }))
    .filter(({ name }) => name.startsWith('nw_') && !/^nw_(layout|kept)_/.test(name))
    .filter(({ name }) => name !== 'nw_highest_bit');
  return [
    `/** Variables the reader sets in .rodata before loading. */`,
    `export const RODATA = {`,
    ...variables.map(
      ({ name, offset, size }) => `  ${name}: { offset: ${offset}, size: ${size} },`,
    ),
    `} as const;`,
    ``,
  ].join('\n');
}

const HELPERS = ['readAddress', 'readBytes', 'readComm', 'readDuration', 'readIp', 'readU64'];

/** What a struct or enum becomes: its text, and the names that it exports. */
function itemsOf(types) {
  const named = (type) => type.name.startsWith('nw_');
  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  const structs = types
    .filter((type) => type.kind === KINDS.STRUCT && named(type))
    .filter(({ members }) => members.every((member) => isWire(types, member.type)));
  const isKept = ({ name }) =>
    types.some((type) => type.kind === KINDS.VAR && type.name === `nw_kept_${name}`);
  const enums = types.filter((type) => type.kind === KINDS.ENUM && named(type));
  return [
    ...structs.sort(byName).map((struct) => structSource(types, struct)),
    ...structs
      .filter(isKept)
      .map((struct) => keptSource(pascal(struct.name), struct.name, keptFields(types, struct))),
    ...enums.sort(byName).map(enumSource),
  ].map((text) => ({
    text,
    names: [...text.matchAll(/^export (?:const|function|class) (\w+)/gm)].map(([, name]) => name),
    types: [...text.matchAll(/^export interface (\w+)/gm)].map(([, name]) => `type ${name}`),
  }));
}

/** A line per name where they do not fit into one, as prettier has it. */
function list(keyword, names, from) {
  const line = `${keyword} { ${names.join(', ')} } from '${from}';`;
  return line.length <= 100
    ? line
    : `${keyword} {\n${names.map((name) => `  ${name},\n`).join('')}} from '${from}';`;
}

function importHelpers(body) {
  const used = HELPERS.filter((name) => body.includes(`${name}(`));
  return [
    ...(used.length === 0 ? [] : [list('import', used, '../kernel/read.js')]),
    ...(body.includes('RowStore')
      ? [list('import', ['copyRow', 'RowStore', 'type RowChunk'], '../kernel/rows.js')]
      : []),
  ];
}

/** What several objects have in common is written once. */
function sharedModule(items) {
  const body = items.map(({ text }) => text).join('\n');
  return [
    '// Generated by scripts/generate.mjs: what several BPF objects share. Do not edit.',
    ...importHelpers(body),
    '',
    body,
  ].join('\n');
}

/** The TypeScript module for one object. */
function sourceModule({ source, items, rodata }, isShared) {
  const own = items.filter((item) => !isShared(item));
  const others = items.filter(isShared);
  const body = [...own.map(({ text }) => text), rodata].join('\n');
  const exported = others.flatMap(({ names, types }) => [...names, ...types]);
  const mentions = (name) => new RegExp(`\\b${name.replace('type ', '')}\\b`).test(body);
  const used = exported.filter(mentions);
  return [
    `// Generated by scripts/generate.mjs from bpf/${source}.bpf.o. Do not edit.`,
    ...importHelpers(body),
    ...(used.length === 0 ? [] : [list('import', used, './shared.js')]),
    ...(exported.length === 0 ? [] : ['', list('export', exported, './shared.js')]),
    '',
    body,
  ].join('\n');
}

function writeIfChanged(name, text) {
  const path = join(OUT, `${name}.ts`);
  const old = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (old !== text) writeFileSync(path, text);
}

mkdirSync(OUT, { recursive: true });
const names = readdirSync(OBJECTS).filter((name) => name.endsWith('.bpf.o'));
if (names.length === 0) throw new Error('no built objects in bpf/: run `make bpf` first');
const objects = names.sort().map((name) => {
  const object = readFileSync(join(OBJECTS, name));
  const types = parseBtf(elfSection(object, '.BTF'));
  const rodata = rodataSource(types, elfSymbols(object));
  return { source: basename(name, '.bpf.o'), items: itemsOf(types), rodata };
});
const uses = new Map();
for (const { text } of objects.flatMap(({ items }) => items))
  uses.set(text, (uses.get(text) ?? 0) + 1);
const isShared = ({ text }) => uses.get(text) > 1;
const shared = new Map();
for (const item of objects.flatMap(({ items }) => items).filter(isShared)) {
  const [name] = item.names;
  if ((shared.get(name) ?? item).text !== item.text)
    throw new Error(`two structs of the name ${name}, each in several objects: rename one`);
  shared.set(name, item);
}
writeIfChanged(
  'shared',
  sharedModule([...shared.values()].sort((a, b) => (a.names[0] < b.names[0] ? -1 : 1))),
);
for (const object of objects) writeIfChanged(object.source, sourceModule(object, isShared));
