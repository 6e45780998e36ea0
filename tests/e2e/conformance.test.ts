/**
 * The conformance kit on every agent of the repository, and on one that was written from the page alone; and on the same
 * one with a rule broken, to see that the kit has eyes.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findPython } from '../../scripts/agents/python/find.ts';
import { ruleIds, rules } from '../../scripts/conformance/rules.ts';
import { conduct, type Trial } from '../../scripts/conformance/trial.ts';
import { redisCacheDir, rootDir } from '../support/folders.ts';

const kit = (command: readonly string[], deadlineMs = 30_000): Promise<Trial> =>
  conduct({
    ...{ command, cacheDir: redisCacheDir, deadlineMs, heartbeatMs: 1_000 },
    parameters: JSON.stringify({ text: 'The fishing boats leave the harbour before sunrise.', ü: ['"', '\n'] }),
  });
const brokenBy = ({ verdicts }: Trial) =>
  verdicts.filter(({ outcome }) => outcome === 'broken').map(({ rule }) => rule);
const conforms = (trial: Trial): void => {
  expect(
    trial.verdicts.filter(({ outcome }) => outcome !== 'kept'),
    trial.output,
  ).toEqual([]);
};

test('the page and the kit have the same rules', () => {
  const page = readFileSync(join(rootDir, 'scripts/agents/README.md'), 'utf8');
  const found = [...page.matchAll(/^- \*\*(R\d+)\*\* (.*(?:\n {2}.*)*)/gm)].map(([, rule, text]) => [rule, text!]);
  expect(found.map(([rule]) => rule)).toEqual(ruleIds);
  for (const [rule, text] of found)
    expect([rule, text]).toEqual([rule, expect.stringContaining(rules[rule as 'R1'][0])]);
});

test('the TypeScript client conforms', { timeout: 120_000 }, async () => {
  conforms(await kit(['node', join(rootDir, '.build/scripts/agents/text-agent.js')]));
});

const python = await findPython({ cacheDir: join(rootDir, '.cache'), allowDownload: true });
// Skipped where there is neither python3-redis nor apt-get to fetch it.
test.skipIf(python === undefined)('the Python sample conforms', { timeout: 120_000 }, async () => {
  const set = Object.entries(python!.env).map(([name, value]) => `${name}=${value}`);
  conforms(await kit(['env', ...set, python!.python, join(rootDir, 'scripts/agents/python/agent.py')]));
});

const copy = join(redisCacheDir, 'copy');
const privateCli = join(copy, 'usr/bin/redis-cli');
const cli = spawnSync('redis-cli', ['--version']).status === 0 ? 'redis-cli' : privateCli;
const tools = (cli === 'redis-cli' || existsSync(cli)) && spawnSync('curl', ['--version']).status === 0;
// Skipped where there is no redis-cli or no curl.
test.skipIf(!tools)('the shell sample conforms', { timeout: 120_000 }, async () => {
  const libraries = join(copy, `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`);
  const set = [`REDIS_CLI=${cli}`, ...(cli === privateCli ? [`LD_LIBRARY_PATH=${libraries}`] : [])];
  conforms(await kit(['env', ...set, 'bash', join(rootDir, 'scripts/agents/shell/agent.sh')]));
});

const perl = spawnSync('perl', ['-MJSON::PP', '-e', '1']).status === 0;
const perlAgent = ['perl', join(import.meta.dirname, '../support/agent.pl')];
// Skipped where there is no Perl, which every Debian has.
test.skipIf(!perl)('an agent in Perl, written from the page alone, conforms', { timeout: 120_000 }, async () => {
  conforms(await kit(perlAgent));
});

// Skipped where there is no Perl, which every Debian has.
test.skipIf(!perl)('an agent that ends unbegun what is cancelled already conforms', { timeout: 120_000 }, async () => {
  conforms(await kit([...perlAgent, '--patient']));
});

// Skipped where there is no Perl, which every Debian has.
test.skipIf(!perl).each(['R3', 'R4', 'R5', 'R7', 'R8', 'R9', 'R10', 'R12', 'R17'] as const)(
  'an agent that breaks %s is seen to break it',
  { timeout: 120_000 },
  async (rule) => {
    expect(brokenBy(await kit([...perlAgent, '--break', rule], 2_500))).toContain(rule);
  },
);

test('a command that is none breaks the first rule, and the kit ends', { timeout: 60_000 }, async () => {
  const trial = await kit(['/nonexistent/agent'], 1_000);
  expect(brokenBy(trial)).toContain('R1');
  expect(trial.output).toContain('ENOENT');
});
