/** Opens the source life for a tool. */
import { filterOf } from '../../terminal/tool-options.js';
import type { Filter } from '../../sources/filter.js';
import type { LifeOptions, LifeSource } from '../../sources/life.js';
import type { Scope } from '../../terminal/common.js';

export interface Asked extends Partial<Omit<LifeOptions, 'filter' | 'events'>> {
  readonly events: LifeOptions['events'];
  readonly filter: Partial<Filter>;
}

/** Within what the common options allow; what is not asked for is as in ALL_LIFE. */
export async function openLife(scope: Scope, { filter, ...asked }: Asked): Promise<LifeSource> {
  const { ALL_LIFE, LifeSource } = await import('../../sources/life.js');
  return new LifeSource({ ...ALL_LIFE, ...asked, filter: filterOf(scope, filter) });
}
