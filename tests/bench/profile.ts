/** A CPU profile of this process, and its summary: where the time itself was spent, function by function. */
import { writeFile } from 'node:fs/promises';
import { Session, type Profiler } from 'node:inspector';
import { basename } from 'node:path';

export interface SelfTime {
  place: string;
  /** Share of the sampled time, idle time left out. */
  share: number;
  ms: number;
}

/** Not the program's work; `dispatch` without a file is the profiler being started. */
const idle = new Set(['(idle)', '(program)', '(root)', 'dispatch']);

/** Runs `work` under the sampling profiler, writes `file` (open it in Chrome's or VS Code's viewer) and sums it up. */
export async function profiled(file: string, work: () => Promise<void>): Promise<SelfTime[]> {
  const session = new Session();
  session.connect();
  const post = (method: string, params?: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      session.post(method, params, (error: Error | null, result?: object) => (error ? reject(error) : resolve(result)));
    });
  await post('Profiler.enable');
  await post('Profiler.setSamplingInterval', { interval: 500 });
  await post('Profiler.start');
  await work();
  const { profile } = (await post('Profiler.stop')) as { profile: Profiler.Profile };
  session.disconnect();
  await writeFile(file, JSON.stringify(profile));
  return selfTimes(profile);
}

export function selfTimes({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): SelfTime[] {
  const places = new Map(
    nodes.map(({ id, callFrame }) => {
      const where = callFrame.url === '' ? '' : ` ${basename(callFrame.url)}:${callFrame.lineNumber + 1}`;
      return [id, `${callFrame.functionName || '(anonymous)'}${where}`];
    }),
  );
  const spent = new Map<string, number>();
  let total = 0;
  for (const [index, id] of samples.entries()) {
    const place = places.get(id) ?? '(unknown)';
    if (idle.has(place)) continue;
    const us = timeDeltas[index] ?? 0;
    total += us;
    spent.set(place, (spent.get(place) ?? 0) + us);
  }
  return [...spent]
    .map(([place, us]) => ({ place, share: us / total, ms: us / 1000 }))
    .sort((left, right) => right.ms - left.ms);
}
