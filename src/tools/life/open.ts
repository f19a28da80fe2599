/** Opens the source life for a tool. */
import type { SourceSpec } from '../../kernel/source.js';
import type { Filter } from '../../sources/filter.js';
import type { LifeOptions, LifeSource } from '../../sources/life.js';

type Asked = Pick<LifeOptions, 'events'> & Partial<LifeOptions>;

/** What is not asked for is as in ALL_LIFE. */
export async function openLife(asked: Asked): Promise<LifeSource> {
  const { ALL_LIFE, LifeSource } = await import('../../sources/life.js');
  return new LifeSource({ ...ALL_LIFE, ...asked });
}

/** For `netwatch doctor`. */
export function tryLife(asked: Asked): (filter: Filter) => Promise<SourceSpec> {
  return async (filter) => (await import('../../sources/life.js')).trial(filter, asked);
}
