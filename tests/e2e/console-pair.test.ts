/** The console of two real sites in a real browser: places change, the cable is cut, and the conflict that comes of it is seen. */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Scope } from '../../api/token.ts';
import { launchChromium } from '../support/chromium.ts';
import { eventually, startPair, type Pair, type SiteProcess } from '../support/siteprocess.ts';

const contrastScript = readFileSync(new URL('../support/contrast.mjs', import.meta.url), 'utf8');
const overlapScript = readFileSync(new URL('../support/overlaps.mjs', import.meta.url), 'utf8');
const waitMs = 60_000;

let pair: Pair;
let browser: Browser;

beforeAll(async () => {
  [pair, browser] = await Promise.all([startPair(), launchChromium()]);
  await isLink(pair.two, 'streaming');
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await pair?.dispose();
}, 60_000);

const isLink = (site: SiteProcess, link: string): Promise<void> =>
  eventually(`${site.name} is ${link}`, async () => (await site.self())['link'] === link, waitMs, site.words);
const isRole = (site: SiteProcess, role: string): Promise<void> =>
  eventually(`${site.name} is ${role}`, async () => (await site.self()).role === role, waitMs, site.words);

/** The page of sites, as one of them serves it. */
async function sitesPage(site: SiteProcess, scope: Scope): Promise<Page> {
  const page = await browser.newPage({ baseURL: site.apiUrl, viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(waitMs);
  await page.goto('/visualiser/sites');
  await page.fill('input[name=token]', pair.token(scope));
  await page.click('button.main');
  await page.waitForSelector('[data-site]');
  return page;
}
const card = (site: SiteProcess): string => `[data-site=${site.name}]`;

async function isReadable(page: Page): Promise<void> {
  expect(await page.evaluate(contrastScript)).toEqual([]);
  expect(await page.evaluate(overlapScript)).toEqual([]);
}

describe('the page of sites', { timeout: 120_000 }, () => {
  test('shows both, and who may only read has no levers', async () => {
    const page = await sitesPage(pair.two, 'read');
    await page.waitForSelector(`${card(pair.one)} [data-role=active]`);
    await page.waitForSelector(`${card(pair.two)} [data-role=standby]`);
    await page.waitForSelector(`${card(pair.two)} [data-link=streaming]`);
    await page.waitForSelector(`${card(pair.two)} dd >> text=/^0 entries/`);
    expect(await page.$$('[data-lever]')).toEqual([]);
    await isReadable(page);
    await page.close();
  });

  test('the active site hands over after it was asked, and the other one is told to compare', async () => {
    const [first, second] = [await sitesPage(pair.one, 'admin'), await sitesPage(pair.two, 'admin')];
    await first.click('[data-lever=switchover]');
    await first.click('dialog button >> text=Hand over');
    await second.waitForSelector(`${card(pair.two)} [data-role=active]`);
    await first.waitForSelector(`${card(pair.one)} [data-link=streaming]`);
    await first.click('[data-lever=check]');
    await first.waitForSelector('[data-check=true] >> text=equal');
    await isReadable(first);
    await second.click('[data-lever=switchover]');
    await second.click('dialog button >> text=Hand over');
    await first.waitForSelector(`${card(pair.one)} [data-role=active]`);
    await isLink(pair.two, 'streaming');
    await first.close();
    await second.close();
  });

  test('a standby that shall not follow says so until it follows again', async () => {
    const page = await sitesPage(pair.two, 'admin');
    await page.click('[data-lever=pause]');
    await page.click('dialog button >> text=Stop following');
    await page.waitForSelector('[data-link=paused]');
    await page.click('[data-lever=resume]');
    await page.waitForSelector('[data-link=streaming]');
    await page.close();
  });

  test('what both wrote while they were cut off is drawn on one statechart, the same at both', async () => {
    const submitted = await pair.one.call('/tasks', { type: 'nobody' });
    const id = String(submitted.body['id']);
    await eventually('it is mirrored', async () => (await pair.two.call(`/tasks/${id}`)).status === 200, waitMs);
    pair.cut(true);
    const lost = await sitesPage(pair.two, 'admin');
    await lost.waitForSelector(`${card(pair.two)} [data-link=disconnected]`);
    await pair.two.call(`/sites/${pair.two.name}/force-promote`, { confirm: true });
    await lost.waitForSelector(`${card(pair.two)} [data-role=active]`);
    expect((await pair.one.call(`/tasks/${id}/pause`, {})).status).toBeLessThan(300);
    expect((await pair.two.call(`/tasks/${id}`, undefined, {}, 'DELETE')).status).toBeLessThan(300);
    pair.cut(false);
    await isRole(pair.one, 'standby');
    await isLink(pair.one, 'streaming');
    const drawn: string[][] = [];
    for (const site of [pair.two, pair.one]) {
      const page = await sitesPage(site, 'read');
      await page.click('[data-conflict] a');
      await page.waitForSelector('svg.chart [data-state="task.open.queued"].fork');
      await page.waitForSelector('svg.chart [data-state="task.open.paused"].given-up:not(.kept)');
      await page.waitForSelector('svg.chart [data-state="task.cancelled"].kept:not(.given-up)');
      await page.waitForSelector('[data-branch=given-up] h2 >> text=primary');
      await page.waitForSelector('[data-branch=kept] h2 >> text=secondary');
      await page.waitForSelector('[data-input=superseded] td >> text=pause');
      await isReadable(page);
      drawn.push(
        await page.$$eval('svg.chart :is(.kept, .given-up, .fork)', (nodes) =>
          nodes.map((node) => `${node.getAttribute('data-state') ?? node.getAttribute('data-way')} ${node.classList}`),
        ),
      );
      await page.close();
    }
    expect(drawn[1]).toEqual(drawn[0]);
    await lost.close();
  });
});
