/** The demo of two sites, as a user starts it: places change and the active site is killed under work, and nothing is lost. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PairReport } from '../../scripts/demo/acts.ts';
import { projectRoot } from '../../scripts/root.ts';
import { freshFolder } from '../support/folders.ts';

async function demo(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [join(projectRoot, '.build/scripts/demo/main.js'), '--pair', ...args], {
    env: { ...process.env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

test(
  'two sites change places and survive a kill under work, and hold the same at the end',
  { timeout: 180_000 },
  async () => {
    const input = join(await freshFolder('demo-pair'), 'texts');
    mkdirSync(input);
    writeFileSync(join(input, 'one.md'), 'The river flows to the sea. The sea is wide and the river is long.\n');
    writeFileSync(
      join(input, 'zwei.txt'),
      'Der Fluss fließt durch das Tal. Die Menschen leben am Ufer und sie fischen.\n',
    );
    const { code, out, err } = await demo('--once', '--json', '--input', input);
    expect([code, err.includes('killed')], err).toEqual([0, true]);
    const report = JSON.parse(out) as PairReport;
    const { accepted } = report.tasks;
    expect(accepted).toBeGreaterThan(100);
    expect(report.tasks).toEqual({ accepted, succeeded: accepted, lost: 0 });
    expect(report.identical).toBe(true);
    expect(report.acts.map(({ what }) => what)).toEqual([
      'the primary is active, the secondary follows',
      expect.stringMatching(/^places changed in [\d.]+ s; writes paused [\d.]+ s$/),
      'the secondary is killed, with its Redis and its PostgreSQL',
      expect.stringMatching(/^the primary was promoted in [\d.]+ s; writes paused [\d.]+ s$/),
      'the secondary is back and follows',
      `all work is done: ${accepted} of ${accepted} tasks succeeded`,
    ]);
  },
);
