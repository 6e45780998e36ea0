import { pause } from './connection.ts';

/**
 * Beats until the signal fires: at once, then before each interval is over, so that a late timer costs nothing.
 * @param intervalMs longest time between two beats that the server allows
 */
export async function beatUntil(signal: AbortSignal, intervalMs: number, beat: () => void): Promise<void> {
  while (!signal.aborted) {
    beat();
    await pause(Math.max(50, intervalMs * 0.7), signal);
  }
}
