/** Looking at the stores without troubling them, and without an error when they are away. */
import { Unavailable } from '../../runtime/protocol/errors.ts';

/** Asks at most once a second: health is looked at by many. */
export function upCheck(ask: () => Promise<unknown>, monotonicMs: () => number): () => Promise<boolean> {
  let askedAtMs = -Infinity;
  let answer: Promise<boolean> = Promise.resolve(false);
  return () => {
    if (monotonicMs() - askedAtMs > 1_000) {
      askedAtMs = monotonicMs();
      answer = ask().then(() => true, whenUnavailable(false));
    }
    return answer;
  };
}

export function whenUnavailable<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Unavailable) return instead;
    throw error;
  };
}
