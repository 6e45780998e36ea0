/**
 * `npm run bench -- --console`: the console over a full system. The server runs as it is started, with embedded servers;
 * Chromium looks at it from the same machine, so every figure holds what the browser took away as well.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Browser } from 'playwright-core';
import { projectRoot } from '../../../scripts/root.ts';
import { launchChromium } from '../../support/chromium.ts';
import { Canary, ownMs } from './canary.ts';
import { descendants, setApart } from './cores.ts';
import { median } from './figures.ts';
import { measureLayouts, type LayoutTimes } from './layouts.ts';
import { ConsolePage } from './page.ts';
import { pageOf, type Figures, type Latency, type Load, type Share } from './report.ts';
import { startServer, type Server } from './server.ts';
import { Workload } from './workload.ts';

const scratchDir = join(projectRoot, '.cache/bench');
const transitionsPerTask = 3;
const sampleMs = 15_000;
const longTaskMs = 50;

const views = [
  ['overview', '', '.tile'],
  ['tasks', '/tasks', '[data-task]'],
  ['tasks, filtered', '/tasks?type=backlog-3&status=queued', '[data-task]'],
  ['tasks, searched', '/tasks?text=01J', 'main h1'],
  ['agents', '/agents', '[data-agent]'],
  ['queues', '/queues', '[data-queue]'],
  ['machine', '/machines/task', 'svg.chart.heat'],
] as const;

interface Options {
  tasks: number;
  agents: number;
  rate: number;
  minutes: number;
  pairs: number;
}

/** What was just submitted is history before it is looked at: nobody submits so much in the second before. */
async function projected(server: Server): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const { projection } = await server.call<{ projection: { lag_seconds: number } }>('/status');
    if (projection.lag_seconds < 1) return;
    await sleep(1_000);
  }
  throw new Error('PostgreSQL does not catch up');
}

async function firstViews(page: ConsolePage): Promise<Figures['firstViews']> {
  const found = [];
  for (const [name, path, shown] of views) {
    const runs = [];
    for (let run = 0; run < 3; run++) runs.push(await page.view(path, shown));
    found.push({ name, medianMs: median(runs), slowestMs: Math.max(...runs) });
  }
  return found;
}

/** Transitions that PostgreSQL has of the last minute, from the machine pages; each page asks at most once in a while. */
async function transitionsPerSecond(server: Server): Promise<number> {
  const { items } = await server.call<{ items: { definition: string }[] }>('/machines');
  let sum = 0;
  for (const { definition } of items) {
    const { transitions } = await server.call<{ transitions: { count: number }[] }>(`/machines/${definition}/activity`);
    for (const { count } of transitions) sum += count;
  }
  return sum / 60;
}

/** One page under the flow: what its main thread was kept from, and what it keeps in memory. */
async function underFlow(
  browser: Browser,
  server: Server,
  path: string,
  minutes: number,
  canary: Canary | undefined,
): Promise<Load> {
  const page = await ConsolePage.open(browser, server);
  try {
    await page.view(path, 'main h1');
    await sleep(sampleMs);
    const samples = [await page.memory()];
    await page.forgetLongTasks();
    canary?.take();
    const [longMs, stillMs]: [number[], number[]] = [[], []];
    for (const end = performance.now() + minutes * 60_000; performance.now() < end;) {
      await sleep(Math.min(sampleMs, Math.max(0, end - performance.now())));
      // Collecting garbage and counting nodes are tasks of this measurement, not of the page.
      const long = await page.longTasks();
      const still = canary?.take() ?? [];
      for (const task of long) {
        const own = ownMs(task, still);
        if (own > longTaskMs) longMs.push(own);
        else stillMs.push(task[1] - task[0]);
      }
      samples.push(await page.memory());
      await page.forgetLongTasks();
    }
    return { path, minutes, longMs, stillMs, samples };
  } finally {
    await page.close();
  }
}

/** From the instant of a record, which is before its commit, to the statechart that shows it. */
async function latencies(browser: Browser, server: Server): Promise<Latency[]> {
  const page = await ConsolePage.open(browser, server);
  const found: Latency[] = [];
  try {
    for (let round = 0; round < 8; round++) {
      const { id } = await server.call<{ id: string }>('/tasks', { type: 'nobody-serves-it', delay_ms: 4_000 });
      await page.view(`/actors/task/${id}`, '.chart .lit');
      await page.waitFor('[data-state="task.open.queued"].lit');
      await sleep(500);
      await server.call(`/actors/task/${id}/events`, { type: 'pause' });
      await page.waitFor('[data-state="task.open.paused"].lit');
      await sleep(1_500);
      const { records } = await server.call<{ records: { at: string; state: string }[] }>(`/actors/task/${id}/replay`);
      for (const { state, atMs } of await page.lit()) {
        const record = records.find((one) => `task.${one.state}` === state && one.state !== 'open.scheduled');
        if (record) found.push({ state, ms: atMs - Date.parse(record.at) });
      }
    }
  } finally {
    await page.close();
  }
  return found;
}

/** CPU of the server while a page is open, against the same while none is: windows that take turns. */
async function shares(browser: Browser, server: Server, pairs: number): Promise<Share[]> {
  const window = async (): Promise<{ process: number; all: number }> => {
    const [before, startMs] = [server.cpuMs(), performance.now()];
    await sleep(sampleMs);
    const [after, seconds] = [server.cpuMs(), (performance.now() - startMs) / 1_000];
    return { process: (after.process - before.process) / seconds, all: (after.all - before.all) / seconds };
  };
  const found: Share[] = [];
  for (const [name, path] of [views[0], views[1], views[6]]) {
    const [without, withPage] = [[] as { process: number; all: number }[], [] as { process: number; all: number }[]];
    for (let pair = 0; pair < pairs; pair++) {
      without.push(await window());
      const page = await ConsolePage.open(browser, server);
      await page.view(path, 'main h1');
      await sleep(2_000);
      withPage.push(await window());
      await page.close();
      await sleep(1_000);
    }
    found.push({ name, without, withPage });
  }
  return found;
}

async function measure({ tasks, agents, rate, minutes, pairs }: Options): Promise<Figures> {
  const layouts: LayoutTimes = await measureLayouts();
  const say = (words: string): void => console.error(words);
  say(`layout: first ${Math.round(layouts.firstMs)} ms, cold ${Math.round(median(layouts.coldMs))} ms`);
  await mkdir(scratchDir, { recursive: true });
  const server = await startServer(scratchDir);
  const others = new Set(descendants());
  const browser = await launchChromium();
  const browserProcesses = descendants().filter((pid) => !others.has(pid));
  const workload = new Workload(server);
  let canary: Canary | undefined;
  try {
    await workload.tasks(tasks);
    await workload.agents(agents - 8, 8);
    say(`${tasks} tasks, ${agents} agents`);
    await projected(server);
    const page = await ConsolePage.open(browser, server);
    const first = await firstViews(page);
    for (const { name, medianMs, slowestMs } of first)
      say(`${name}: ${Math.round(medianMs)} ms, slowest ${Math.round(slowestMs)} ms`);
    await page.close();
    workload.tasksPerSecond = rate / transitionsPerTask;
    await sleep(sampleMs);
    const latency = await latencies(browser, server);
    say(`from record to page: ${latency.map(({ ms }) => Math.round(ms)).join(' ')} ms`);
    const processor = setApart(browserProcesses);
    canary = processor === undefined ? undefined : Canary.start(processor);
    const load = [];
    for (const path of ['/tasks', '', '/machines/task']) {
      const one = await underFlow(browser, server, path, path === '/tasks' ? minutes : minutes / 3, canary);
      load.push(one);
      const mebibytes = one.samples.map(({ heapBytes }) => (heapBytes / 2 ** 20).toFixed(1)).join(' ');
      say(
        `${path || '/'}: long tasks ${one.longMs.map(Math.round).join(' ') || 'none'}, ${one.stillMs.length} while the machine stood still; heap ${mebibytes} MiB`,
      );
    }
    const flow = await transitionsPerSecond(server);
    say(`${Math.round(flow)} transitions/s`);
    const share = await shares(browser, server, pairs);
    return {
      apart: processor !== undefined,
      canary: canary !== undefined,
      layouts,
      tasks,
      agents,
      firstViews: first,
      latency,
      load,
      transitionsPerSecond: flow,
      shares: share,
    };
  } finally {
    await workload.stop().catch((error: unknown) => console.error(`the workload failed: ${String(error)}`));
    canary?.stop();
    await browser.close();
    await server.stop();
  }
}

export async function consoleBench(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      console: { type: 'boolean' },
      tasks: { type: 'string', default: '100000' },
      agents: { type: 'string', default: '500' },
      rate: { type: 'string', default: '1000' },
      minutes: { type: 'string', default: '10' },
      pairs: { type: 'string', default: '4' },
    },
  });
  const number = (name: 'tasks' | 'agents' | 'rate' | 'minutes' | 'pairs'): number => {
    const value = Number(values[name]);
    if (!(value > 0)) throw new Error(`--${name} ${values[name]}: is a number above 0`);
    return value;
  };
  const figures = await measure({
    ...{ tasks: number('tasks'), agents: number('agents'), rate: number('rate') },
    ...{ minutes: number('minutes'), pairs: number('pairs') },
  });
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, load ${loadavg()[0]!.toFixed(1)} at the end`;
  const text = pageOf(figures, machine, new Date().toISOString());
  await writeFile(join(projectRoot, 'tests/bench/CONSOLE.md'), text);
  console.log(text);
}
