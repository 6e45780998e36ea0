/** The console in a real browser, against a real site with real agents. */
import { readFileSync } from 'node:fs';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Scope } from '../../api/token.ts';
import { Chance } from '../support/chance.ts';
import { launchChromium } from '../support/chromium.ts';
import { FaultProxy } from '../support/faultproxy.ts';
import { registered } from '../support/handwork.ts';
import { hostileText, startScenery, type Scenery } from '../support/scenery.ts';
import { tear } from '../support/torn.ts';

const contrastScript = readFileSync(new URL('../support/contrast.mjs', import.meta.url), 'utf8');
const overlapScript = readFileSync(new URL('../support/overlaps.mjs', import.meta.url), 'utf8');
const deadline = { timeout: 20_000 };
let scenery: Scenery;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the browser complained of: an error of a script, or a file that the policy kept out. */
let complaints: string[];

beforeAll(async () => {
  scenery = await startScenery();
  await tear(scenery.api.site);
  await scenery.api.projected();
  browser = await launchChromium();
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await scenery?.stop();
}, 60_000);

beforeEach(async () => {
  context = await browser.newContext({ baseURL: scenery.api.url, viewport: { width: 1280, height: 800 } });
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
  complaints = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // An answer of the API that is no success is told to the user, and by the browser to the console.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
});
afterEach(async () => {
  await context.close();
  expect(complaints).toEqual([]);
});

async function signIn(path: string, ...scopes: Scope[]): Promise<void> {
  await page.goto(`/visualiser${path}`);
  await page.fill('input[name=token]', scenery.api.token(...scopes));
  await page.click('button.main');
  await page.waitForSelector('header.top');
}

const row = (id: string): string => `tr[data-task="${id}"]`;
const litStates = (): Promise<string[]> =>
  page.$$eval('svg.chart .lit', (nodes) => nodes.map((node) => node.getAttribute('data-state') ?? ''));

describe('signing in', { timeout: 60_000 }, () => {
  test('a token that is none is refused in words; a good one leads to the page that was asked for', async () => {
    await page.goto('/visualiser/queues');
    await page.fill('input[name=token]', 'nonsense');
    await page.click('button.main');
    await page.waitForSelector('[role=alert] >> text=not taken');
    await page.fill('input[name=token]', scenery.api.token('read'));
    await page.click('button.main');
    await page.waitForSelector('h1 >> text=Queues');
    await page.waitForSelector('td >> text=transcribe');
  });

  test('who may only read sees no buttons that change anything', async () => {
    await signIn(`/actors/task/${scenery.tasks.queued}`, 'read');
    await page.waitForSelector('text=Your token sends none of: cancel');
    expect(await page.$$('button:text-is("cancel")')).toEqual([]);
    await page.click('nav >> text=Agents');
    await page.waitForSelector('[data-agent]');
    expect(await page.$$('button >> text=Drain')).toEqual([]);
    await page.click('nav >> text=Tasks');
    await page.waitForSelector('[data-task]');
    expect(await page.$$('input[type=checkbox]')).toEqual([]);
  });
});

describe('tasks', { timeout: 60_000 }, () => {
  test('filters and search stand in the address, and lead to the same list again', async () => {
    await signIn('/tasks', 'read');
    await page.waitForSelector(row(scenery.tasks.queued));
    await page.selectOption('select', 'parked');
    await page.waitForSelector(row(scenery.tasks.parked));
    await expect.poll(() => page.$(row(scenery.tasks.queued)), deadline).toBeNull();
    await page.fill('input[type=search]', 'dictionary');
    await expect.poll(() => new URL(page.url()).search, deadline).toBe('?status=parked&text=dictionary');
    const before = await page.$$eval('[data-task]', (rows) => rows.length);
    await page.reload();
    await expect.poll(() => page.$$eval('[data-task]', (rows) => rows.length), deadline).toBe(before);
  });

  test('a task is seen to go through its states while an agent works', async () => {
    await signIn(`/actors/task/${scenery.tasks.running}`, 'read');
    await expect.poll(litStates, deadline).toContain('task.open.held.running');
    await page.waitForSelector('text=42 % epoch 5 of 12');
    await page.waitForSelector('[data-chunks="1"] >> text="loss": 0.4');
    scenery.finish();
    await expect.poll(litStates, deadline).toEqual(['task.succeeded']);
    await page.waitForSelector('[data-status=succeeded]');
    await page.waitForSelector('pre >> text=0.031');
  });

  test('time travel lights what was, with what changed; a fork shows what could have been', async () => {
    await signIn(`/actors/task/${scenery.tasks.parked}`, 'read');
    await page.waitForSelector('input[type=range]');
    await page.click('text=◀ Back');
    await expect.poll(litStates, deadline).toContain('task.open.held.running');
    await page.waitForSelector('.diff td >> text=/startedAt');
    expect(new URL(page.url()).searchParams.get('at')).toBe('2');
    await page.click('text=On ▶');
    await expect.poll(litStates, deadline).toEqual(['task.parked']);
    // What comes late moves what is below it.
    await page.waitForSelector('.diff');
    await expect.poll(() => page.$$('text=Loading …').then(({ length }) => length), deadline).toBe(0);
    await page.click('text=Try another event here');
    const draft = JSON.parse(await page.inputValue('textarea')) as Record<string, unknown>;
    await page.fill(
      'textarea',
      JSON.stringify({ type: 'complete', token: draft['token'], agent: draft['agent'], result: 1 }),
    );
    await page.click('text=Replay with it');
    await expect.poll(litStates, deadline).toEqual(['task.succeeded']);
    await page.click('text=Present');
    await expect.poll(litStates, deadline).toEqual(['task.parked']);
    expect((await scenery.api.call(`/api/v1/tasks/${scenery.tasks.parked}`)).body['status']).toBe('parked');
  });

  test('cancels one, after it was asked', async () => {
    await signIn(`/actors/task/${scenery.tasks.queued}`, 'read', 'tasks:cancel');
    await page.click('button:text-is("cancel")');
    await page.click('dialog button:text-is("No")');
    expect((await scenery.api.call(`/api/v1/tasks/${scenery.tasks.queued}`)).body['status']).toBe('queued');
    await page.click('button:text-is("cancel")');
    await page.click('dialog button.main');
    await page.waitForSelector('[data-status=cancelled]');
    await expect.poll(litStates, deadline).toEqual(['task.cancelled']);
  });

  test('redrives many at once', async () => {
    const types = await Promise.all(
      [1, 2, 3].map((n) =>
        scenery.submit({ type: 'translate', tenant: 'bulk', parameters: { n }, retry: { max_attempts: 1 } }),
      ),
    );
    for (const id of types) await scenery.settled(id);
    await scenery.api.projected();
    await signIn('/tasks?tenant=bulk', 'admin');
    await page.waitForSelector('[data-task]:nth-child(3)');
    await page.click('thead input[type=checkbox]');
    await page.click('button >> text=Redrive 3');
    await page.waitForSelector('dialog >> text=Redrive 3 tasks?');
    await page.click('dialog button.main');
    await page.waitForSelector('.toasts >> text=Redrive: 3 done');
    for (const id of types)
      await expect
        .poll(async () => Number((await scenery.api.call(`/api/v1/tasks/${id}`)).body['attempt']), deadline)
        .toBe(2);
  });

  test('redrives all that a filter matches, after it was counted', async () => {
    const ids = await Promise.all(
      [1, 2, 3, 4].map((n) =>
        scenery.submit({ type: 'translate', tenant: 'every', parameters: { n }, retry: { max_attempts: 1 } }),
      ),
    );
    for (const id of ids) await scenery.settled(id);
    await scenery.api.projected();
    await signIn('/tasks?tenant=every&status=parked', 'read', 'tasks:redrive');
    await page.waitForSelector('[data-task]:nth-child(4)');
    expect(await page.$$('button >> text=Cancel all that match')).toEqual([]);
    await page.click('button >> text=Redrive all that match');
    await page.waitForSelector('dialog >> text=Redrive 4 tasks?');
    await page.waitForSelector('dialog >> text=All where tenant every, status parked.');
    await page.click('dialog button.main');
    await page.waitForSelector('[data-bulk=finished] >> text=4 of 4 done');
    for (const id of ids)
      await expect
        .poll(async () => Number((await scenery.api.call(`/api/v1/tasks/${id}`)).body['attempt']), deadline)
        .toBe(2);
  });

  test('cancels all that a filter matches, after it was counted', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => scenery.submit({ type: 'nobody', tenant: 'ended' })));
    await scenery.api.projected();
    await signIn('/tasks?tenant=ended&status=queued', 'read', 'tasks:cancel');
    await page.waitForSelector('[data-task]:nth-child(3)');
    expect(await page.$$('button >> text=Redrive all that match')).toEqual([]);
    await page.click('button >> text=Cancel all that match');
    await page.waitForSelector('dialog >> text=Cancel 3 tasks?');
    await page.click('dialog button:text-is("No")');
    for (const id of ids) expect((await scenery.api.call(`/api/v1/tasks/${id}`)).body['status']).toBe('queued');
    await page.click('button >> text=Cancel all that match');
    await page.click('dialog button.main');
    await page.waitForSelector('[data-bulk=finished] >> text=3 of 3 done');
    for (const id of ids) expect((await scenery.api.call(`/api/v1/tasks/${id}`)).body['status']).toBe('cancelled');
    const noted = { action: 'POST /api/v1/tasks/cancel', status: 202, subject: 'tester' };
    await expect
      .poll(async () => (await scenery.api.call('/api/v1/audit?limit=20')).body['items'], deadline)
      .toContainEqual(expect.objectContaining(noted));
  });
});

describe('a page that stays open', { timeout: 60_000 }, () => {
  const events = (): Promise<string[]> =>
    page.$$eval('main tbody tr', (rows) => rows.map((row) => row.children[2]?.textContent?.trim() ?? '').reverse());

  test('says when its connection is gone, and shows all that it missed when it is back', async () => {
    const proxy = new FaultProxy(Number(new URL(scenery.api.url).port), new Chance(1));
    const port = await proxy.start();
    const id = await scenery.submit({ type: 'nobody' });
    await page.goto(`http://127.0.0.1:${port}/visualiser/actors/task/${id}`);
    await page.fill('input[name=token]', scenery.api.token('read'));
    await page.click('button.main');
    await expect.poll(litStates, deadline).toContain('task.open.queued');
    await expect.poll(events, deadline).toEqual(['create']);
    proxy.set({ mode: 'refuse' });
    await page.waitForSelector('.stale[role=alert]');
    for (const verb of ['pause', 'resume', 'pause'])
      await scenery.api.call(`/api/v1/tasks/${id}/${verb}`, { method: 'POST' });
    await scenery.api.projected();
    expect(await litStates()).toContain('task.open.queued');
    proxy.set({ mode: 'pass' });
    await expect.poll(litStates, deadline).toContain('task.open.paused');
    await expect.poll(events, deadline).toEqual(['create', 'pause', 'resume', 'pause']);
    await expect.poll(() => page.$$('.stale[role=alert]').then(({ length }) => length), deadline).toBe(0);
    await page.close();
    await proxy.stop();
  });

  test('asks for a list every two seconds, however fast it changes', async () => {
    await signIn('/tasks', 'read');
    await page.waitForSelector('[data-task]');
    let asked = 0;
    page.on('request', (request) => void (new URL(request.url()).pathname === '/api/v1/tasks' && asked++));
    const end = performance.now() + 8_000;
    while (performance.now() < end) {
      await scenery.submit({ type: 'nobody' });
      await page.waitForTimeout(50);
    }
    expect(asked).toBeGreaterThanOrEqual(2);
    expect(asked).toBeLessThanOrEqual(5);
  });

  test('asks for nothing while nobody can see it', async () => {
    await signIn('/queues', 'read');
    await page.waitForSelector('[data-queue]');
    const hide = (hidden: boolean): Promise<void> =>
      page.evaluate(
        `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`,
      );
    let asked = 0;
    await hide(true);
    // What was under way.
    await page.waitForTimeout(1_000);
    page.on('request', () => asked++);
    await page.waitForTimeout(5_000);
    expect(asked).toBe(0);
    await hide(false);
    await expect.poll(() => asked, deadline).toBeGreaterThan(1);
  });
});

describe('what is hostile', { timeout: 120_000 }, () => {
  /** Nothing of it was run or drawn, and the page answers. */
  const isText = async (): Promise<void> => {
    expect(await page.title()).not.toBe('owned');
    expect(await page.$$('main script, main img[src=x]')).toEqual([]);
  };
  const elements = (): Promise<number> => page.evaluate('document.querySelectorAll("*").length');

  test('in parameters is text', async () => {
    await signIn(`/actors/task/${scenery.tasks.hostile}`, 'read');
    await page.waitForSelector('pre.json');
    expect(await page.textContent('pre.json')).toContain(JSON.stringify(hostileText));
    await isText();
  });

  test('in an error is text, wherever it is shown; in a name it is refused', async () => {
    const agent = await registered(scenery.api, { type: 'cursed' });
    const id = await scenery.submit({ type: 'cursed', retry: { max_attempts: 1 } });
    const { token = '' } = await agent.next('assign');
    await agent.report({ kind: 'failed', task: id, token, error: JSON.stringify({ message: hostileText }) });
    await scenery.settled(id);
    await scenery.api.projected();
    await signIn(`/actors/task/${id}?history=full`, 'read');
    await page.waitForSelector(`main >> text=onerror`);
    await isText();
    for (const path of ['/tasks?type=cursed&text=onerror', '/set-aside', `/actors/agent/${agent.id}`]) {
      await page.goto(`/visualiser${path}`);
      await page.waitForSelector('main h1');
      await expect.poll(() => page.$$('text=Loading …').then(({ length }) => length), deadline).toBe(0);
      await isText();
    }
    await page.goto('/visualiser/tasks?type=cursed&text=onerror');
    await page.waitForSelector(row(id));
    const named = await scenery.api.call('/api/v1/tasks', { body: { type: hostileText } });
    expect([named.status, named.body.code]).toEqual([400, 'invalid-request']);
    await page.goto(
      `/visualiser/tasks?type=${encodeURIComponent(hostileText)}&text=${encodeURIComponent(hostileText)}`,
    );
    await page.waitForSelector('main h1');
    await isText();
  });

  test('ten megabytes of context are cut with a way to have them all', async () => {
    const id = await scenery.submit({ type: 'nobody' });
    // More than an actor may have: a page that bears this bears every one.
    const context = { text: `${hostileText}${'x'.repeat(10 * 1024 * 1024)}`, list: Array(10_000).fill(hostileText) };
    await page.route(`**/api/v1/actors/task/${id}`, async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...((await answer.json()) as object), context } });
    });
    await signIn(`/actors/task/${id}`, 'admin');
    await page.click('summary >> text=Context');
    await page.waitForSelector('text=/The first 40,000 of 1\\d,\\d{3},\\d{3} characters/');
    expect(await elements()).toBeLessThan(2_000);
    await isText();
    await page.click('main button >> text=cancel');
    await page.click('dialog button >> text=cancel');
    await page.waitForSelector('[data-status=cancelled]');
  });

  test('ten thousand entries of history are shown page by page, and every instant is reached', async () => {
    const id = await scenery.submit({ type: 'nobody' });
    const { site } = scenery.api;
    const to = `task/${id}` as const;
    const turns = 5_000;
    const sent: Promise<unknown>[] = [];
    for (let turn = 0; turn < turns; turn++)
      for (const type of ['pause', 'resume']) sent.push(site.send({ id: `${type}-${turn}`, to, event: { type } }));
    await Promise.all(sent);
    await site.until(to, ({ revision }) => revision > 9_000, 60_000);
    await scenery.api.projected();
    await signIn(`/actors/task/${id}`, 'read');
    await page.waitForSelector('button >> text=/Show more of 9,|Show more of 10,/');
    expect(await elements()).toBeLessThan(6_000);
    await page.click('[role=tab] >> text=Timeline');
    await page.waitForSelector('svg.spans');
    expect(await elements()).toBeLessThan(12_000);
    await page.click('[role=tab] >> text=Everything');
    await page.focus('.travel input[type=range]');
    await page.keyboard.press('Home');
    await page.waitForSelector('svg.chart [data-state="task.open.queued"].lit');
    await page.keyboard.press('ArrowRight');
    await page.waitForSelector('svg.chart [data-state="task.open.paused"].lit');
    await isText();
  });
});

describe('agents and machines', { timeout: 60_000 }, () => {
  test('an agent is paused, resumed and drained', async () => {
    await signIn('/agents', 'read', 'agents:control');
    const agent = '[data-agent$=south]';
    await page.click(`${agent} >> text=Pause`);
    await page.waitForSelector(`${agent} .badge >> text=paused`);
    await page.click(`${agent} >> text=Resume`);
    await page.waitForSelector(`${agent} .badge >> text=idle`);
    await page.click(`${agent} >> text=Drain`);
    await page.click('dialog button.main');
    await page.waitForSelector(`${agent} .badge >> text=/draining|retired/`);
  });

  test('a schedule is run now, paused, resumed and removed', async () => {
    await signIn('/schedules', 'read', 'schedules:control');
    const schedule = '[data-schedule]:has-text("weekly")';
    await page.waitForSelector(`${schedule} >> text=0 6 * * MON`);
    await page.click(`${schedule} >> text=Run now`);
    await page.waitForSelector(`${schedule} .badge >> text=succeeded`);
    await page.click(`${schedule} >> text=Pause`);
    await page.waitForSelector(`${schedule} .badge >> text=paused`);
    await page.click(`${schedule} >> text=Resume`);
    await page.waitForSelector(`${schedule} .badge >> text=active`);
    await page.click(`${schedule} >> text=weekly`);
    await expect.poll(litStates, deadline).toEqual(['schedule.active']);
    await page.goBack();
    await page.click(`${schedule} >> text=Remove`);
    await page.click('dialog button.main');
    await page.waitForSelector('text=No schedule is here');
  });

  test('a machine shows how many stand where, and a click lists them', async () => {
    await signIn('/machines/task', 'read');
    await page.waitForSelector('svg.chart.heat [data-state="task.parked"] .count:not(:empty)');
    await page.click('svg.chart [data-state="task.parked"]');
    await page.waitForURL('**/visualiser/tasks?status=parked');
    await page.waitForSelector('[data-task]');
  });

  test('a conflict shows both branches on one statechart, and what became of each input', async () => {
    await signIn('/sites', 'read');
    await page.click('[data-conflict] a');
    await page.waitForSelector('svg.chart [data-state="task.open.queued"].fork');
    await page.waitForSelector('svg.chart [data-state="task.cancelled"].kept:not(.given-up)');
    await page.waitForSelector('svg.chart [data-state="task.open.paused"].given-up:not(.kept)');
    await page.waitForSelector('[data-branch=kept] td >> text=cancelled');
    await page.waitForSelector('[data-branch=given-up] td >> text=open.paused');
    await page.waitForSelector('[data-input=superseded] td >> text=pause');
  });

  test('a queue shows what waits and how much was done in the last minute', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => scenery.submit({ type: 'summarise' })));
    for (const id of ids) await scenery.settled(id);
    await scenery.submit({ type: 'transcribe' });
    await scenery.api.projected();
    await signIn('/queues', 'read');
    const done = async () => Number(await page.textContent('[data-queue=summarise] [data-finished]'));
    await expect.poll(done, deadline).toBeGreaterThanOrEqual(3);
    await page.waitForSelector('[data-queue=transcribe] .badge >> text=no agent serves it');
  });

  test('keys lead from page to page', async () => {
    await signIn('/', 'read');
    await page.keyboard.press('g');
    await page.keyboard.press('m');
    await page.waitForURL('**/visualiser/machines');
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.waitForSelector('h1 >> text=Tasks');
    await page.keyboard.press('/');
    expect(await page.evaluate(`document.activeElement.type`)).toBe('search');
  });
});

describe.each([
  ['at 1280 x 800', { width: 1280, height: 800 }, 'light'],
  ['at 1280 x 800, in the dark', { width: 1280, height: 800 }, 'dark'],
  ['on a phone', { width: 390, height: 844 }, 'light'],
  ['on a phone, in the dark', { width: 390, height: 844 }, 'dark'],
] as const)('%s', (_name, viewport, colorScheme) => {
  test('no page is wider than the window, and every text can be read', { timeout: 90_000 }, async () => {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await signIn('/sites', 'admin');
    const conflict = await page.getAttribute('[data-conflict]', 'data-conflict');
    for (const path of [
      '',
      '/tasks',
      '/agents',
      '/queues',
      '/schedules',
      '/machines',
      '/machines/agent',
      '/machines/task',
      '/set-aside',
      '/streams',
      '/sites',
      `/actors/task/${scenery.tasks.parked}`,
      `/conflicts/${conflict}`,
    ]) {
      await page.goto(`/visualiser${path}`);
      await page.waitForSelector('main h1');
      await expect.poll(() => page.$$('text=Loading …').then(({ length }) => length), deadline).toBe(0);
      expect([path, await page.evaluate('document.documentElement.scrollWidth - innerWidth')]).toEqual([path, 0]);
      expect([path, await poorContrast(page)]).toEqual([path, []]);
      expect([path, await page.evaluate(overlapScript)]).toEqual([path, []]);
    }
  });
});

/** Texts whose contrast with what is behind them is below 4.5 to 1 (WCAG AA). */
function poorContrast(shown: Page): Promise<string[]> {
  return shown.evaluate(contrastScript);
}
