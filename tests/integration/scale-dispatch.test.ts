/**
 * What a lane of 100,000 tasks does to others, on real Redis. Measured in decisions of the shard and not in seconds, so that
 * a busy machine changes nothing.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { address } from '../../runtime/protocol/ids.ts';
import type { JournalRecord } from '../../runtime/protocol/journal.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { registered, type HandAgent } from '../support/handwork.ts';

const many = 100_000;
const deadlineMs = 240_000;
let api: ApiSite;
/** Every record since the start, with the number of its commit. */
const records: { commit: number; record: JournalRecord }[] = [];
/** Actor and event -> the commit in which that came first. */
const commits = new Map<string, number>();
let stop: () => void;

beforeAll(async () => {
  api = await startApi({ shards: 1, maxAgents: 50 });
  let commit = 0;
  const listening = await api.context.follower.listen(({ entry }) => {
    commit++;
    for (const record of entry.records) {
      records.push({ commit, record });
      const key = `${record.actor} ${record.event?.type ?? 'create'}`;
      if (!commits.has(key)) commits.set(key, commit);
    }
  });
  stop = listening.stop;
});
afterAll(async () => {
  stop();
  await api.stop();
});

let made = 0;
/** As the API publishes them, without its checks. @returns ids */
async function publish(count: number, input: JsonObject): Promise<string[]> {
  const ids: string[] = [];
  for (let from = 0; from < count; from += 1_000) {
    const commands = Array.from({ length: Math.min(1_000, count - from) }, () => {
      const id = `t-0-scale${String(++made).padStart(7, '0')}`;
      ids.push(id);
      return { id: `c${made}`, to: address('task', id), input };
    });
    await api.context.gateway.publish(0, commands);
  }
  return ids;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await api.context.system.sleep(20);
  }
}

const heard = (id: string, type: string): number | undefined => commits.get(`task/${id} ${type}`);
const count = (fits: (record: JournalRecord) => boolean): number =>
  records.reduce((sum, { record }) => sum + (fits(record) ? 1 : 0), 0);

async function complete(agent: HandAgent): Promise<string> {
  const { task = '', token = '' } = await agent.next('assign', deadlineMs);
  await agent.report({ kind: 'completed', task, token, result: '1' });
  return task;
}

test(
  'a tenant with 100,000 queued tasks delays the single task of another by no more than one dispatch',
  async () => {
    await publish(many, { type: 'fair', tenant: 'large' });
    await until('all are queued', () => count(({ event, actor }) => !event && actor.startsWith('task/')) >= many);
    const agent = await registered(api, { type: 'fair' });
    await until('the agent works', () => records.some(({ record }) => record.event?.type === 'assign'));
    const [single = ''] = await publish(1, { type: 'fair', tenant: 'small' });
    await until('it is there', () => heard(single, 'create') !== undefined);
    const before = count(({ event }) => event?.type === 'assign');
    const done = [await complete(agent), await complete(agent), await complete(agent)];
    expect(done.slice(0, 3)).toContain(single);
    await until('it is assigned', () => heard(single, 'assign') !== undefined);
    const order = records.filter(({ record }) => record.event?.type === 'assign').map(({ record }) => record.actor);
    expect(order.indexOf(`task/${single}`) - before).toBeLessThanOrEqual(1);
  },
  2 * deadlineMs,
);

test(
  '100,000 delayed tasks of the same second all come into the queue, and dispatch goes on meanwhile',
  async () => {
    const from = records.length;
    const runAt = new Date(Date.now() + 20_000).toISOString();
    await publish(many, { type: 'delayed', run_at: runAt });
    const agent = await registered(api, { type: 'probe', slots: 1_000 });
    let beaten = performance.now();
    /** What an agent does meanwhile, so that it is not taken for lost. */
    const beat = async (): Promise<void> => {
      if (performance.now() - beaten < 2_000) return;
      beaten = performance.now();
      await agent.report({ kind: 'heartbeat' });
    };
    const matured = (): number =>
      records.slice(from).reduce((sum, { record }) => sum + (record.event?.type.includes('.runAt.') ? 1 : 0), 0);
    const probes: string[] = [];
    await until('all are queued', async () => {
      await beat();
      if (probes.length < 900) probes.push(...(await publish(1, { type: 'probe' })));
      const lanes = await api.context.commands.ask(0, { ask: 'lanes' });
      const lane = ((lanes?.['lanes'] ?? []) as JsonObject[]).find(({ type }) => type === 'delayed');
      return Number(lane?.['queued']) === many;
    });
    await until('every probe is assigned', async () => {
      await beat();
      return probes.every((id) => heard(id, 'assign') !== undefined);
    });
    // In the commit that made it, or in the next one: whatever else there is to do.
    for (const id of probes) expect(heard(id, 'assign')! - heard(id, 'create')!).toBeLessThanOrEqual(1);
    await until('the journal tells', () => matured() > 0);
  },
  2 * deadlineMs,
);

test(
  'a key with 95 % of the load does not slow the others',
  async () => {
    const keyed = await publish(9_500, { type: 'keyed', concurrency: { key: 'k', limit: 1, strategy: 'queue' } });
    const others = await publish(500, { type: 'keyed' });
    await until('all are there', () => heard(others.at(-1)!, 'create') !== undefined);
    const agent = await registered(api, { type: 'keyed', slots: 10 });
    const done: string[] = [];
    for (let turn = 0; turn < 100; turn++) done.push(await complete(agent));
    const ofKey = new Set(keyed);
    // Turns of one tenant go by age: what is not held back by the key takes nine of ten places.
    expect(done.filter((id) => !ofKey.has(id)).length).toBeGreaterThanOrEqual(80);
  },
  2 * deadlineMs,
);
