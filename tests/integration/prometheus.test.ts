/** The alert rules by Prometheus' own checker. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { findPromtool } from '../support/promtool.ts';

const folder = join(import.meta.dirname, '../../deploy/prometheus');
const promtool = await findPromtool();
if ('missing' in promtool) console.warn(`SKIPPED: no promtool on this machine: ${promtool.missing}`);

// Where apt has no such package the rules cannot be checked; the warning above says so.
describe.skipIf('missing' in promtool)('promtool', () => {
  const run = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)((promtool as { path: string }).path, args, { cwd: folder });
    return stdout;
  };

  test('takes the rules', async () => {
    expect(await run('check', 'rules', 'rules.yml')).toMatch(/SUCCESS: \d+ rules found/);
  });

  test('sees each alert ring on what it is for, and none on a healthy site', async () => {
    expect(await run('test', 'rules', 'rules.test.yml')).toContain('SUCCESS');
  });
});
