/**
 * Requests that follow each other quickly, of which the last one counts.
 */

/**
 * Return a function that calls another one with the last arguments. While a call goes on, further ones wait, and those
 * but the last are skipped.
 *
 * @param {(...values: any[]) => Promise<void>} call
 * @param {(error: Error) => void} fail what is called if it fails
 */
export function latest(call, fail) {
  let isCalling = false;
  let next = null;
  return async (...values) => {
    next = values;
    if (isCalling) return;
    isCalling = true;
    try {
      while (next) {
        const current = next;
        next = null;
        await call(...current).catch(fail);
      }
    } finally {
      isCalling = false;
    }
  };
}
