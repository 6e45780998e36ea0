/** Pictures of the console for its README, from a real run: `npm run screenshots`. */
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { projectRoot } from '../../scripts/root.ts';
import { launchChromium } from '../support/chromium.ts';
import { startScenery, type Scenery } from '../support/scenery.ts';
import { tear } from '../support/torn.ts';

const folder = join(projectRoot, 'api/visualiser/screenshots');
let scenery: Scenery;
let browser: Browser;
let conflict: string;
beforeAll(async () => {
  scenery = await startScenery();
  await tear(scenery.api.site);
  await scenery.api.projected();
  const { conflicts } = (await scenery.api.call('/api/v1/conflicts')).body as { conflicts?: { id: string }[] };
  conflict = String(conflicts?.[0]?.id);
  browser = await launchChromium();
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await scenery?.stop();
}, 60_000);

test.each([
  ['overview', '', 'light', 'svg.plot'],
  ['task', '/actors/task/RUNNING', 'light', 'svg.chart .lit'],
  ['machine', '/machines/task', 'light', 'svg.chart.heat .flow3'],
  ['conflict', '/conflicts/CONFLICT', 'light', 'svg.chart .kept'],
  ['past', '/actors/task/PARKED?at=3&history=timeline', 'dark', '.diff'],
] as const)('%s', { timeout: 60_000 }, async (name, path, colorScheme, ready) => {
  const context = await browser.newContext({
    baseURL: scenery.api.url,
    viewport: { width: 1280, height: 800 },
    colorScheme,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const { running, parked } = scenery.tasks;
  await page.goto(
    `/visualiser${path.replace('RUNNING', running).replace('PARKED', parked).replace('CONFLICT', conflict)}`,
  );
  await page.fill('input[name=token]', scenery.api.token('admin'));
  await page.click('button.main');
  await page.waitForSelector(ready);
  await page.waitForTimeout(1_500);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
});
