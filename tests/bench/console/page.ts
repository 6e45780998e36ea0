/** One open page of the console in Chromium, and what is measured in it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, CDPSession, Page } from 'playwright-core';
import { projectRoot } from '../../../scripts/root.ts';
import type { Span } from './canary.ts';
import type { Server } from './server.ts';

const probe = readFileSync(join(projectRoot, 'tests/bench/console/probe.mjs'), 'utf8');

export interface Lit {
  state: string;
  /** Wall clock, with parts of a millisecond. */
  atMs: number;
}

export class ConsolePage {
  readonly #page: Page;
  readonly #devtools: CDPSession;

  constructor(page: Page, devtools: CDPSession) {
    this.#page = page;
    this.#devtools = devtools;
  }

  /** Signed in, and nothing open yet. */
  static async open(browser: Browser, server: Server): Promise<ConsolePage> {
    const context = await browser.newContext({ baseURL: server.url, viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto('/visualiser/streams');
    await page.fill('input[name=token]', server.token);
    await page.click('button.main');
    await page.waitForSelector('header.top');
    await page.addInitScript(probe);
    return new ConsolePage(page, await context.newCDPSession(page));
  }

  /** Opens an address as a link from elsewhere does. @returns milliseconds until what it shows is there */
  async view(path: string, shown: string): Promise<number> {
    const startMs = performance.now();
    await this.#page.goto(`/visualiser${path}`, { waitUntil: 'commit' });
    await this.#page.waitForSelector(shown);
    return performance.now() - startMs;
  }

  async waitFor(selector: string): Promise<void> {
    await this.#page.waitForSelector(selector);
  }

  /** All tasks of the main thread above 50 ms since they were forgotten, as the wall clock saw them. */
  longTasks(): Promise<Span[]> {
    return this.#page.evaluate('probe.long');
  }

  forgetLongTasks(): Promise<void> {
    return this.#page.evaluate('void (probe.long = [])');
  }

  lit(): Promise<Lit[]> {
    return this.#page.evaluate('probe.lit');
  }

  /** After a collection: bytes of the heap, and nodes of the document. */
  async memory(): Promise<{ heapBytes: number; nodes: number }> {
    await this.#devtools.send('HeapProfiler.collectGarbage');
    const { usedSize } = await this.#devtools.send('Runtime.getHeapUsage');
    const { nodes } = await this.#devtools.send('Memory.getDOMCounters');
    return { heapBytes: usedSize, nodes };
  }

  async close(): Promise<void> {
    await this.#page.context().close();
  }
}
