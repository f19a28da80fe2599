/** The events of the source life, by name and as the mask that the kernel side reads. Pure. */
import { LIFE_EVENT } from '../generated/life.js';

type Wire = keyof typeof LIFE_EVENT;
export type LifeEvent = Wire extends `NW_LIFE_${infer Name}` ? Name : never;

/** By bit. */
export const LIFE_EVENTS = Object.keys(LIFE_EVENT).map((name) =>
  name.replace('NW_LIFE_', ''),
) as readonly LifeEvent[];

export function lifeMask(events: readonly LifeEvent[]): number {
  return events.reduce((mask, name) => mask | (1 << LIFE_EVENTS.indexOf(name)), 0);
}

export function lifeEvent({ event }: { readonly event: number }): LifeEvent {
  return LIFE_EVENTS[event] ?? 'STATE';
}
