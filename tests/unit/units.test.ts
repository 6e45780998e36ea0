/** The unit files as they stand: one hardening for all, and nothing that systemd does not know. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../../scripts/root.ts';

const folder = join(projectRoot, 'deploy', 'systemd');
const units = readdirSync(folder).filter((name) => name.endsWith('.service'));
const analyze = (...args: string[]): { status: number | null; words: string } => {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
  return { status, words: stdout + stderr };
};
const hasSystemd = analyze('--version').status === 0;

function hardening(name: string): string[] {
  const text = readFileSync(join(folder, name), 'utf8');
  return text
    .split('\n')
    .filter((line) => /^(?:Capability|Device|Lock|NoNew|Private|Proc|Protect|Remove|Restrict|SystemCall)/.test(line));
}

test('there is one service for all roles, one per role, and the Redis', () => {
  expect(units.sort()).toEqual([
    'supreme-ai-orchestrator-api@.service',
    'supreme-ai-orchestrator-redis.service',
    'supreme-ai-orchestrator-runtime@.service',
    'supreme-ai-orchestrator.service',
  ]);
});

test.each(units)('%s is as closed as the others', (name) => {
  expect(hardening(name).length).toBeGreaterThan(20);
  expect(hardening(name)).toEqual(hardening('supreme-ai-orchestrator.service'));
});

// Needs systemd's own tool, which machines without systemd lack.
describe.skipIf(!hasSystemd)('systemd-analyze', () => {
  test.each(units)('%s exposes at most 1.5 of 10', (name) => {
    const { status, words } = analyze('security', '--offline=yes', '--threshold=15', join(folder, name));
    expect([status, words.split('\n').find((line) => line.includes('Overall'))]).toEqual([
      0,
      expect.stringMatching(/Overall exposure level/),
    ]);
  });
});
