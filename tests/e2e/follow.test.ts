/** An agent that knows both sites of a pair goes on working while the active one changes: nothing is done twice, nothing is lost. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { createAgent, type Agent } from '../../scripts/agents/client/agent.ts';
import { eventually, startPair, type Pair, type SiteProcess } from '../support/siteprocess.ts';

const waitMs = 60_000;
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const roleOf = async (site: SiteProcess): Promise<unknown> => (await site.self()).role;
const isRole = (site: SiteProcess, role: string): Promise<void> =>
  eventually(`${site.name} is ${role}`, async () => (await roleOf(site)) === role, waitMs, site.words);
const follows = (site: SiteProcess): Promise<void> =>
  eventually(`${site.name} follows`, async () => (await site.self())['link'] === 'streaming', waitMs, site.words);

interface Scene {
  pair: Pair;
  active: SiteProcess;
  standby: SiteProcess;
  agent: Agent;
  /** Task -> how often it was begun. */
  begun: Map<string, number>;
  warnings: string[];
}

/** @param workMs how long a task takes */
async function scene(workMs: number): Promise<Scene> {
  const pair = await startPair();
  closing.push(() => pair.dispose());
  const { one, two } = pair;
  await eventually(
    'one is active',
    async () => (await roleOf(one)) === 'active' || (await roleOf(two)) === 'active',
    waitMs,
  );
  const [active, standby] = (await roleOf(one)) === 'active' ? [one, two] : [two, one];
  await follows(standby);
  const begun = new Map<string, number>();
  const warnings: string[] = [];
  const agent = createAgent({
    // The standby first: it says that it is none, and the agent asks the other one.
    api: [standby.apiUrl, active.apiUrl],
    token: pair.token('agents:register'),
    type: 'followed',
    id: 'follower',
    slots: 8,
    handler: async (task) => {
      begun.set(task.id, (begun.get(task.id) ?? 0) + 1);
      await pause(workMs);
      return { attempt: task.attempt };
    },
    logger: {
      debug: () => undefined,
      info: () => undefined,
      warn: (_, message) => void warnings.push(message),
      error: (_, message) => void warnings.push(message),
    },
  });
  await agent.start();
  closing.push(() => agent.stop());
  return { pair, active, standby, agent, begun, warnings };
}

async function submit(site: SiteProcess, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let number = 0; number < count; number++) {
    const { status, body } = await site.call('/tasks', { type: 'followed' });
    expect(status, JSON.stringify(body)).toBeLessThan(300);
    ids.push(String(body['id']));
  }
  return ids;
}

async function succeed(site: SiteProcess, ids: readonly string[]): Promise<void> {
  for (const id of ids)
    await eventually(
      `${id} succeeds`,
      async () => (await site.call(`/tasks/${id}`)).body['status'] === 'succeeded',
      2 * waitMs,
      site.words,
    );
}

/** How often the history says that the task succeeded. */
async function ends(site: SiteProcess, id: string): Promise<number> {
  const { items } = (await site.call(`/tasks/${id}/history`)).body as { items: { state?: string; to?: string }[] };
  return items.filter((item) => JSON.stringify(item).includes('"succeeded"')).length;
}

test(
  'a planned switchover: running attempts go on, and end at the site that is active then',
  { timeout: 180_000 },
  async () => {
    const { active, standby, agent, begun, warnings } = await scene(12_000);
    const { generation } = agent.identity!;
    const ids = await submit(active, 6);
    await eventually('all are under way', () => Promise.resolve(begun.size === ids.length), waitMs);
    expect((await active.call(`/sites/${active.name}/switchover`, {})).status).toBeLessThan(300);
    await isRole(standby, 'active');
    await succeed(standby, ids);
    // Not one of them was done twice, nor was the agent registered anew.
    expect([...begun.values()]).toEqual(ids.map(() => 1));
    expect(agent.identity?.generation).toBe(generation);
    expect(warnings).toContainEqual(expect.stringMatching(/the other site is active now/));
    for (const id of ids) expect(await ends(standby, id)).toBe(1);
    // New work comes from there.
    await succeed(standby, await submit(standby, 3));
  },
);

test('the active site is killed: the agent ends at the other one what it had begun', { timeout: 240_000 }, async () => {
  const { active, standby, begun, warnings } = await scene(8_000);
  const ids = await submit(active, 6);
  await eventually('all are under way', () => Promise.resolve(begun.size === ids.length), waitMs);
  // What the standby has not got is lost with the site until it is back: this is about what it has.
  await eventually(
    'the standby knows it',
    async () => {
      for (const id of ids) if ((await standby.call(`/tasks/${id}`)).body['status'] !== 'running') return false;
      return true;
    },
    waitMs,
  );
  await active.kill();
  expect((await standby.call(`/sites/${standby.name}/force-promote`, { confirm: true })).status).toBeLessThan(300);
  await isRole(standby, 'active');
  await succeed(standby, ids);
  expect([...begun.values()]).toEqual(ids.map(() => 1));
  expect(warnings).toContainEqual(expect.stringMatching(/the other site is active now/));
  await succeed(standby, await submit(standby, 3));
});
