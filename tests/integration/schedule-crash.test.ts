/**
 * Schedules and uniqueness keys while the processes that run them are killed: every occurrence is one task, none is lost,
 * and no key has two tasks at a time. `TEST_SEED` repeats a run.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { scheduleAddress, scheduleId } from '../../actors/schedule/address.ts';
import { uniqueAddress } from '../../actors/unique/address.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { stateText } from '../../runtime/protocol/envelope.ts';
import { parseAddress, shardOfId, shardOfLane } from '../../runtime/protocol/ids.ts';
import type { JournalEntry, JournalRecord } from '../../runtime/protocol/journal.ts';
import { keyspace } from '../../runtime/protocol/keys.ts';
import { openClient } from '../../runtime/redis/client.ts';
import { RedisGateway } from '../../runtime/redis/gateway.ts';
import { Chance, newSeed } from '../support/chance.ts';
import { rootDir } from '../support/folders.ts';
import { quiet } from '../support/load.ts';
import { replaySite } from '../support/replay.ts';
import { RuntimeFleet } from '../support/runtimes.ts';
import { useRedis } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const shards = 4;
const schedules = 8;
const runMs = 12_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test(
  'R1 R5 R9: two processes, kill -9 every 400 ms: each second of each schedule is one task, each key has one at a time',
  { timeout: 120_000 },
  async () => {
    const seed = newSeed();
    const chance = new Chance(seed);
    const { url } = await useRedis();
    const prefix = `s${randomBytes(5).toString('hex')}:`;
    const space = keyspace(prefix);
    const settings = { url, name: 'schedule-crash' };
    const adapters = { redis: settings, space, system: createSystem(), log: new MemoryLog() };
    // As two API processes would.
    const gateways = [new RedisGateway(adapters), new RedisGateway(adapters)];
    const redis = openClient(settings, { offlineQueue: true, sendOnce: false });
    const definitions = join(rootDir, '.build/tests/support/tally.js');
    const lease = { leaseTtlMs: 600, memberTtlMs: 600, balanceEveryMs: 150 };
    const fleet = new RuntimeFleet({ url, prefix, shards, ...lease, definitions });
    const failed: string[] = [];
    const names = Array.from({ length: schedules }, (_, index) => `second${index}`);
    const ids = names.map((name) => scheduleId(name, `tenant${name.at(-1)}`, shards));
    const send = (to: string, what: object, gateway = 0) =>
      gateways[gateway]!.publish(parseAddress(to)!.shard, [{ id: adapters.system.ulid(), to, ...what } as never]);
    try {
      await fleet.start(2);
      for (const [index, id] of ids.entries()) {
        const type = `type${index}`;
        const input = { cron: '* * * * * *', overlap: 'allow', catch_up: 'all', catch_up_max: 100, task: { type } };
        const task_shard = shardOfLane(type, 0, shards);
        await send(scheduleAddress(id), {
          input: { name: names[index], tenant: `tenant${index}`, task_shard, ...input },
        });
      }
      const end = performance.now() + runMs;
      const killing = (async () => {
        while (performance.now() < end) {
          await pause(400);
          await fleet.replace(chance.below(2));
        }
      })();
      let number = 0;
      const claiming = (async () => {
        while (performance.now() < end) {
          const type = `type${chance.below(3)}`;
          const shard = shardOfLane(type, 0, shards);
          const key = uniqueAddress('abc', type, shards);
          const claims = [0, 1].map((gateway) => {
            const task = `t-${shard}-claim${number++}`;
            const input = { type, claim: { key, until: 'terminal' } };
            const on_conflict = chance.happens(0.2) ? 'replace' : 'reject';
            return send(key, { event: { type: 'claim', task, input, until: 'terminal', on_conflict } }, gateway);
          });
          await Promise.all(claims);
          await pause(30);
          // Half of what was claimed comes to an end, if it was made at all.
          const task = `t-${shard}-claim${number - 1 - chance.below(2)}`;
          if (chance.happens(0.5)) await send(`task/${task}`, { event: { type: 'cancel' } }, chance.below(2));
        }
      })();
      await Promise.all([killing, claiming]);
      for (const id of ids) await send(scheduleAddress(id), { event: { type: 'pause' } });
      const left = await quiet(redis, space, shards, 30_000);
      await fleet.stop();
      if (left > 0) failed.push(`${left} entries are left over`);

      const records: (JournalRecord & { at: number })[] = [];
      for (let shard = 0; shard < shards; shard++)
        for (const [, [, text = '{}']] of await redis.xrange(space.shard(shard).journal, '-', '+')) {
          const entry = JSON.parse(text) as JournalEntry;
          for (const record of entry.records) records.push({ ...record, at: entry.at });
        }
      const made = records.filter(({ actor, input, outcome }) => actor.startsWith('task/') && input && !outcome);
      let occurrences = 0;
      for (const id of ids) {
        const times = made
          .map(({ input }) => input!['schedule'] as { id: string; at: number } | undefined)
          .filter((schedule) => schedule?.id === id)
          .map((schedule) => schedule!.at)
          .sort((left, right) => left - right);
        occurrences += times.length;
        const again = times.filter((time, index) => time === times[index - 1]);
        const holes = times.filter((time, index) => index > 0 && time - times[index - 1]! > 1_000);
        if (again.length > 0) failed.push(`${id}: twice at ${again.join()}`);
        if (holes.length > 0) failed.push(`${id}: nothing before ${holes.join()}`);
        if (times.length < runMs / 2_000) failed.push(`${id}: only ${times.length} runs in ${runMs} ms`);
      }
      let claimed = 0;
      for (const type of ['type0', 'type1', 'type2']) {
        const key = uniqueAddress('abc', type, shards);
        const live = new Set<string>();
        for (const { actor, input, outcome, state } of records) {
          if (shardOfId(parseAddress(actor)!.id) !== parseAddress(key)!.shard || outcome) continue;
          if ((input?.['claim'] as { key: string } | undefined)?.key === key) {
            claimed++;
            live.add(actor);
          }
          if (['cancelled', 'succeeded', 'expired'].includes(stateText(state))) live.delete(actor);
          // One that replaces is blocked until the other has stopped.
          const runnable = [...live].filter((task) => !blocked(records, task));
          if (runnable.length > 1) failed.push(`${key}: ${runnable.join(' and ')} at a time`);
        }
      }
      if (claimed < 20) failed.push(`only ${claimed} claims made a task`);
      const { violations, setAside, ...counts } = await replaySite(redis, space, shards, createRegistry());
      failed.push(...violations, ...setAside.slice(0, 20), ...fleet.ends);
      failed.push(...fleet.errors.slice(0, 20).map((line) => JSON.stringify(line)));
      console.log(`seed ${seed}: ${JSON.stringify({ occurrences, claimed, runtimes: fleet.started, ...counts })}`);
    } finally {
      await fleet.stop();
      for (const gateway of gateways) gateway.close();
      redis.disconnect();
    }
    expect(failed.slice(0, 30), `repeat with TEST_SEED=${seed}`).toEqual([]);
  },
);

/** Whether the task was made to wait for another one. */
function blocked(records: readonly JournalRecord[], task: string): boolean {
  return records.some(({ actor, input }) => actor === task && input?.['depends_on'] !== undefined);
}
