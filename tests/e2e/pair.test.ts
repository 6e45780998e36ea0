/**
 * Drills of a pair of sites as a machine would run them, under load. How often is said by PAIR_SWITCHOVERS, PAIR_KILLS,
 * PAIR_STANDBY_KILLS and PAIR_CUT_SECONDS; what it took is printed.
 */
import { afterEach, beforeAll, expect, test } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { startEtcd } from '../support/etcd.ts';
import { eventually, startPair, witnessTtlSeconds, type Pair, type SiteProcess } from '../support/siteprocess.ts';
import { Submissions } from '../support/submissions.ts';

const switchovers = Number(process.env['PAIR_SWITCHOVERS'] ?? 3);
const kills = Number(process.env['PAIR_KILLS'] ?? 2);
const standbyKills = Number(process.env['PAIR_STANDBY_KILLS'] ?? 4);
const cutSeconds = Number(process.env['PAIR_CUT_SECONDS'] ?? 5);
const waitMs = 60_000;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function pairUnderLoad(
  etcd?: string,
): Promise<{ pair: Pair; load: Submissions; active: SiteProcess; standby: SiteProcess }> {
  const pair = await startPair(etcd);
  closing.push(() => pair.dispose());
  const { one, two } = pair;
  await eventually('one of both is active', async () => (await roles(one, two)).includes('active'), waitMs, one.words);
  const active = (await one.self()).role === 'active' ? one : two;
  const standby = active === one ? two : one;
  await follows(standby);
  const load = new Submissions([active, standby]);
  load.start();
  closing.push(() => load.stop());
  return { pair, load, active, standby };
}

const roles = (...sites: SiteProcess[]): Promise<unknown[]> =>
  Promise.all(sites.map(async (site) => (await site.self()).role));
const follows = (site: SiteProcess): Promise<void> =>
  eventually(`${site.name} follows`, async () => (await site.self())['link'] === 'streaming', waitMs, site.words);
const isRole = (site: SiteProcess, role: string): Promise<void> =>
  eventually(`${site.name} is ${role}`, async () => (await site.self()).role === role, waitMs, site.words);

function percentiles(valuesMs: readonly number[]): string {
  const sorted = valuesMs.map(Math.round).sort((left, right) => left - right);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, most ${sorted.at(-1)} ms of ${sorted.length}`;
}

/** Nothing that was accepted is missing at either site, and a check of every actor finds both equal. */
async function nothingIsLost({ one, two }: Pair, accepted: readonly string[]): Promise<void> {
  const ids = [...accepted];
  for (const site of [one, two]) {
    await eventually(`${site.name} has the last one`, async () => await has(site, ids.at(-1)!), waitMs, site.words);
    const missing: string[] = [];
    for (let from = 0; from < ids.length; from += 20)
      await Promise.all(
        ids.slice(from, from + 20).map(async (id) => {
          if (!(await has(site, id))) missing.push(id);
        }),
      );
    // What was handed over by a lost branch is taken up a moment later.
    for (const id of missing) await eventually(`${site.name} has ${id}`, () => has(site, id), waitMs, site.words);
  }
  const standby = (await one.self()).role === 'standby' ? one : two;
  const last = async (): Promise<{ at?: string; equal?: boolean; drift?: unknown[] }> =>
    ((await standby.self())['last_check'] ?? {}) as { at?: string };
  const before = (await last()).at;
  await standby.call(`/sites/${standby.name}/check`, { full: true });
  await eventually('the check is done', async () => (await last()).at !== before, waitMs, standby.words);
  expect(await last()).toMatchObject({ equal: true, full: true });
}

async function has(site: SiteProcess, id: string): Promise<boolean> {
  return (await site.call(`/tasks/${id}`)).status === 200;
}

let etcdUrl: string;
beforeAll(async () => {
  const etcd = await startEtcd();
  etcdUrl = etcd.url;
  return () => etcd.stop();
}, 120_000);

test(
  `${switchovers} switchovers under load lose nothing and make no branch`,
  { timeout: 90_000 + switchovers * 30_000 },
  async () => {
    const { pair, load, ...first } = await pairUnderLoad();
    let { active, standby } = first;
    const pausesMs: number[] = [];
    for (let turn = 0; turn < switchovers; turn++) {
      await pause(500);
      load.longestPauseMs();
      expect((await active.call(`/sites/${active.name}/switchover`, {})).status).toBeLessThan(300);
      await isRole(standby, 'active');
      await isRole(active, 'standby');
      [active, standby] = [standby, active];
      await follows(standby);
      pausesMs.push(load.longestPauseMs());
    }
    await load.stop();
    await nothingIsLost(pair, load.accepted);
    for (const { call } of [active, standby]) expect((await call('/conflicts')).body['conflicts']).toEqual([]);
    for (const { words } of [active, standby]) expect(words()).not.toContain('history of its own');
    process.stdout.write(`switchover: writes paused ${percentiles(pausesMs)}; ${load.accepted.length} tasks\n`);
  },
);

test(
  `${kills} times the active site is killed: the other takes over, and what was accepted comes back`,
  { timeout: 120_000 + kills * 90_000 },
  async () => {
    const { pair, load, ...first } = await pairUnderLoad(etcdUrl);
    let { active, standby } = first;
    const pausesMs: number[] = [];
    for (let turn = 0; turn < kills; turn++) {
      await pause(1_000);
      load.longestPauseMs();
      const before = load.accepted.length;
      await active.kill();
      await isRole(standby, 'active');
      const killed = load.accepted.length;
      await eventually(
        'tasks are accepted',
        () => Promise.resolve(load.accepted.length > killed),
        waitMs,
        standby.words,
      );
      expect(killed).toBeGreaterThanOrEqual(before);
      pausesMs.push(load.longestPauseMs());
      await active.revive();
      await isRole(active, 'standby');
      [active, standby] = [standby, active];
      await follows(standby);
    }
    await load.stop();
    await nothingIsLost(pair, load.accepted);
    process.stdout.write(
      `killed (lease ${witnessTtlSeconds} s): writes paused ${percentiles(pausesMs)}; ${load.accepted.length} tasks\n`,
    );
  },
);

test(
  `${standbyKills} times the standby is killed while it follows: it goes on where it was, and the active site does not wait`,
  { timeout: 120_000 + standbyKills * 30_000 },
  async () => {
    const { pair, load, active, standby } = await pairUnderLoad();
    for (let turn = 0; turn < standbyKills; turn++) {
      await pause(1_000);
      load.longestPauseMs();
      // By turns with its stores and without: what it had taken is what it goes on from.
      const whole = turn % 2 === 0;
      await (whole ? standby.kill() : standby.end());
      const before = load.accepted.length;
      await eventually(
        'tasks are accepted meanwhile',
        () => Promise.resolve(load.accepted.length > before + 10),
        waitMs,
        active.words,
      );
      expect(load.longestPauseMs()).toBeLessThan(5_000);
      await (whole ? standby.revive() : standby.start());
      await isRole(standby, 'standby');
      await follows(standby);
    }
    await load.stop();
    await nothingIsLost(pair, load.accepted);
    expect((await active.call('/conflicts')).body['conflicts']).toEqual([]);
    expect(standby.words()).not.toContain('history of its own');
  },
);

test(
  `a link that is cut for ${cutSeconds} s while both sites are written: healed, both are equal and the conflict is told`,
  { timeout: 180_000 + cutSeconds * 1_000 },
  async () => {
    const { pair, load, active, standby } = await pairUnderLoad();
    await pause(1_000);
    pair.cut(true);
    await eventually(
      'the link is seen to be down',
      async () => (await standby.self())['link'] !== 'streaming',
      waitMs,
      standby.words,
    );
    expect((await standby.call(`/sites/${standby.name}/force-promote`, { confirm: true })).status).toBeLessThan(300);
    await isRole(standby, 'active');
    const other = new Submissions([standby, standby]);
    other.start();
    // The same task is changed at both sites, so that there is something to decide.
    const disputed = load.accepted[0]!;
    const paused = await active.call(`/tasks/${disputed}/pause`, {});
    expect(paused.status, JSON.stringify(paused.body)).toBeLessThan(300);
    const cancelled = await standby.call(`/tasks/${disputed}`, undefined, {}, 'DELETE');
    expect(cancelled.status, JSON.stringify(cancelled.body)).toBeLessThan(300);
    await pause(cutSeconds * 1_000);
    await Promise.all([load.stop(), other.stop()]);
    expect(other.accepted.length).toBeGreaterThan(0);
    pair.cut(false);
    await isRole(active, 'standby');
    await follows(active);
    await nothingIsLost(pair, [...load.accepted, ...other.accepted]);
    for (const site of [active, standby])
      expect((await site.call(`/tasks/${disputed}`)).body['status']).toBe('cancelled');
    let told: Record<string, unknown> = {};
    await eventually(
      'the conflict is told',
      async () => {
        told = (await standby.call(`/conflicts?actor=task/${disputed}`)).body;
        const conflicts = told['conflicts'] as { inputs: unknown[] }[];
        return conflicts.length === 1 && conflicts[0]!.inputs.length > 0;
      },
      waitMs / 4,
      () => JSON.stringify(told),
    );
    const answer = await fetch(`${standby.apiUrl}/metrics`, {
      headers: { Authorization: `Bearer ${pair.token('read')}` },
    });
    const metrics = await answer.text();
    expect(metrics).toMatch(/^orchestrator_conflicts_total\{machine="task",site="\w+"\} [1-9]\d*$/mu);
    expect(metrics).toMatch(
      /^orchestrator_conflict_inputs_total\{machine="task",outcome="(?:applied|superseded)",site="\w+"\} [1-9]\d*$/mu,
    );
  },
);
