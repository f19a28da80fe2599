/** Traffic that is made again where a host leaves tracing programs out. */
const TRIES = 4;

/**
 * Some hosts leave tracing programs out now and then, and count nothing (README, Limits): traffic whose
 * events did not all come is made again, a few times at most. Gives the last try.
 */
export async function provoke<T>(
  make: () => Promise<T>,
  isWhole: (found: T) => boolean,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const found = await make();
    if (isWhole(found) || tries === TRIES) return found;
  }
}
