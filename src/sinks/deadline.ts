/** Waiting, but not for ever. */

/**
 * Waits for `promise`, at most `timeoutMs` milliseconds. Keeps the process alive meanwhile.
 * @returns false when the time was up first; a rejection is passed on
 */
export async function withDeadline(promise: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, timeoutMs));
  });
  try {
    return await Promise.race([promise.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}
