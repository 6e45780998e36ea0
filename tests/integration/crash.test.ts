/**
 * The promise of the runtime under fire: whatever is killed, cut or restarted, every task that was accepted comes to its
 * end, and no transition is applied twice. `TEST_SEED` repeats a run; `CRASH_SECONDS` makes the first one longer or shorter.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Chance, newSeed } from '../support/chance.ts';
import { runDisturbed } from '../support/disturbed.ts';
import { FaultProxy, type Fault } from '../support/faultproxy.ts';
import { startPrivateRedis, type PrivateServer } from '../support/servers.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';

const killEveryMs = 300;
const seconds = Number(process.env['CRASH_SECONDS'] ?? 60);

let server: PrivateServer<RunningRedis>;
beforeAll(async () => {
  server = await startPrivateRedis({ appendfsync: 'always' });
});
afterAll(() => server.dispose());

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test(
  'R1 R5 R9 R11: kill -9 every 300 ms, and of Redis in the middle: every task ends, nothing is applied twice',
  { timeout: seconds * 1_000 + 120_000 },
  async () => {
    await runDisturbed({
      seed: newSeed(),
      tasks: Math.round((5_000 * seconds) / 60),
      overMs: seconds * 1_000 - 3_000,
      url: server.url,
      disturb: async (fleet, chance) => {
        const end = performance.now() + seconds * 1_000;
        const middle = performance.now() + seconds * 500;
        let redisKilled = false;
        while (performance.now() < end) {
          await pause(killEveryMs);
          if (!redisKilled && performance.now() > middle) {
            redisKilled = true;
            await server.kill('SIGKILL');
            await server.restart();
          }
          await fleet.replace(chance.below(3));
        }
      },
    });
  },
);

test(
  'R1 R5 R9 R11: replies cut, delayed and swallowed between runtime and Redis: nothing is lost or applied twice',
  { timeout: 150_000 },
  async () => {
    const seed = newSeed();
    const proxy = new FaultProxy(server.port, new Chance(seed));
    const port = await proxy.start();
    const runMs = Math.min(20_000, seconds * 1_000);
    try {
      await runDisturbed({
        seed,
        tasks: 1_500,
        overMs: runMs - 2_000,
        url: server.url,
        runtimeUrl: `redis://127.0.0.1:${port}`,
        disturb: async (_fleet, chance) => {
          const faults: Fault[] = [
            { mode: 'cut-before-reply', probability: 0.02 },
            { mode: 'cut-before-reply', probability: 0.2 },
            { mode: 'delay', ms: 20 },
            { mode: 'delay', ms: 300 },
            { mode: 'black-hole' },
            { mode: 'refuse' },
            { mode: 'pass' },
          ];
          const end = performance.now() + runMs;
          // In turns from a random start, so that every run has every fault.
          for (let turn = chance.below(faults.length); performance.now() < end; turn++) {
            proxy.set(faults[turn % faults.length]!);
            await pause(200 + chance.below(800));
          }
          proxy.set({ mode: 'pass' });
        },
      });
      expect(proxy.cuts, `cut replies; repeat with TEST_SEED=${seed}`).toBeGreaterThan(10);
    } finally {
      await proxy.stop();
    }
  },
);
