// For scripts/generate.mjs: the class that keeps one record of a struct that NW_KEPT (record.h) marks.
// Its numbers lie in typed arrays with those of others (src/kernel/rows.ts), its texts are properties.

/** Where each number is: in the array of numbers, or in that of integers below 2^32. */
function placesOf(fields) {
  const counts = { wide: 0, narrow: 0 };
  const places = new Map();
  for (const { name, tsType, bytes, count } of fields) {
    if (tsType === 'string') continue;
    const array = bytes === 8 ? 'wide' : 'narrow';
    places.set(name, { array, first: counts[array] });
    counts[array] += count;
  }
  const textOf = (name, i) => {
    const { array, first } = places.get(name);
    return `this.#chunk.${array}[this.#index * ${counts[array]} + ${first + i}]`;
  };
  return { counts, textOf };
}

const isText = ({ tsType }) => tsType === 'string';
const isNullable = ({ tsType }) => tsType.includes('null');

function getter(field, textOf) {
  const { name, tsType, count, isList } = field;
  const values = Array.from({ length: count }, (_, i) => `${textOf(name, i)}!`);
  const body = isNullable(field)
    ? [`    const value = ${values[0]};`, `    return Number.isNaN(value) ? null : value;`]
    : [`    return ${isList ? `[${values.join(', ')}]` : values[0]};`];
  return [`  get ${name}(): ${tsType} {`, ...body, `  }`, ``];
}

function setter(field, textOf) {
  const { name, count, isList } = field;
  // the text that is there already may be shared, and is flat
  if (isText(field)) return [`    if (this.${name} !== from.${name}) this.${name} = from.${name};`];
  return Array.from({ length: count }, (_, i) => {
    const value = isList ? `${name}[${i}]!` : `${name}${isNullable(field) ? ' ?? NaN' : ''}`;
    return `    ${textOf(name, i)} = from.${value};`;
  });
}

function merger(field, textOf) {
  const { name, count, isList } = field;
  if (isText(field)) return [`    if (some.${name} !== undefined) this.${name} = some.${name};`];
  const unknown = isNullable(field) ? ' ?? NaN' : '';
  return Array.from({ length: count }, (_, i) => {
    const value = isList ? `${name}[${i}]!` : `${name}${unknown}`;
    return `    if (some.${name} !== undefined) ${textOf(name, i)} = some.${value};`;
  });
}

function loader(field, textOf) {
  const { name, reads } = field;
  if (isText(field)) return [`    this.${name} = ${reads[0]};`];
  const unknown = isNullable(field) ? ' ?? NaN' : '';
  return reads.map((read, i) => `    ${textOf(name, i)} = ${read}${unknown};`);
}

/** `name`: of the interface; `struct`: of the C struct. */
export function keptSource(name, struct, fields) {
  const { counts, textOf } = placesOf(fields);
  const texts = fields.filter(isText);
  const numbers = fields.filter((field) => !isText(field));
  return [
    `/** A struct ${struct} that is kept: its numbers lie in typed arrays, see rows.ts. */`,
    `export class Kept${name} implements ${name} {`,
    `  readonly #store: RowStore;`,
    `  readonly #chunk: RowChunk;`,
    `  readonly #index: number;`,
    ...texts.map((field) => `  ${field.name} = '';`),
    ``,
    `  /** Where many of them are kept. */`,
    `  static store(): RowStore {`,
    `    return new RowStore(${counts.wide}, ${counts.narrow});`,
    `  }`,
    ``,
    `  /** Without \`from\` it has what its row had before. */`,
    `  constructor(store: RowStore, from?: ${name}) {`,
    `    const { chunk, index } = store.take();`,
    `    this.#store = store;`,
    `    this.#chunk = chunk;`,
    `    this.#index = index;`,
    `    if (from !== undefined) this.set(from);`,
    `  }`,
    ``,
    `  /** It is not used any more. */`,
    `  release(): void {`,
    `    this.#store.give({ chunk: this.#chunk, index: this.#index });`,
    `  }`,
    ``,
    ...numbers.flatMap((field) => getter(field, textOf)),
    `  /** As a plain object, to be changed and {@link set} again. */`,
    `  read(): ${name} {`,
    `    return {`,
    ...fields.map((field) => `      ${field.name}: this.${field.name},`),
    `    };`,
    `  }`,
    ``,
    `  set(from: ${name}): void {`,
    `    if (from instanceof Kept${name}) {`,
    `      this.#copy(from);`,
    `      return;`,
    `    }`,
    ...fields.flatMap((field) => setter(field, textOf)),
    `  }`,
    ``,
    `  #copy(from: Kept${name}): void {`,
    ...['wide', 'narrow'].map(
      (array) =>
        `    copyRow(this.#chunk.${array}, this.#index, from.#chunk.${array}, from.#index, ${counts[array]});`,
    ),
    ...texts.flatMap((field) => setter(field, textOf)),
    `  }`,
    ``,
    `  /** Changes some fields. */`,
    `  merge(some: Partial<${name}>): void {`,
    ...fields.flatMap((field) => merger(field, textOf)),
    `  }`,
    ``,
    `  /** As decode${name}() reads it, without an object. */`,
    `  load(view: DataView, at: number): void {`,
    ...fields.flatMap((field) => loader(field, textOf)),
    `  }`,
    `}`,
    ``,
  ].join('\n');
}
