import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { registerSchema } from '../../actors/agent/events.ts';
import { submitSchema } from '../../actors/task/events.ts';
import { limits } from '../../config/limits.ts';
import { exceedsBytes, storageProblem } from '../../runtime/protocol/json.ts';

function sources(folder: string): string {
  return readdirSync(folder, { withFileTypes: true })
    .map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sources(path);
      return entry.name.endsWith('.ts') ? readFileSync(path, 'utf8') : '';
    })
    .join('\n');
}

describe('R12: every limit has a number, and is in force', () => {
  const text = ['runtime', 'actors', 'api', 'config', 'scripts'].map((folder) => sources(folder)).join('\n');
  for (const [name, value] of Object.entries(limits))
    test(`${name} is ${value} and somebody keeps to it`, () => {
      expect(Number.isFinite(value) && value > 0).toBe(true);
      expect(text.includes(`limits.${name}`), `limits.${name} is used nowhere`).toBe(true);
    });

  test('parameters of exactly 256 KiB are taken, one byte more is not', () => {
    const fits = { type: 'echo', parameters: 'x'.repeat(limits.payloadBytesMax - 2) };
    expect(submitSchema.safeParse(fits).success).toBe(true);
    expect(submitSchema.safeParse({ ...fits, parameters: `${fits.parameters}x` }).success).toBe(false);
  });

  test('bytes are counted as UTF-8', () => {
    expect(exceedsBytes('é'.repeat(5), 10)).toBe(false);
    expect(exceedsBytes('é'.repeat(5), 9)).toBe(true);
    expect(exceedsBytes('😀', 4)).toBe(false);
    expect(exceedsBytes('😀', 3)).toBe(true);
  });

  test('nesting and members are taken up to their number', () => {
    const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
    const bounds = { depthMax: limits.jsonDepthMax, keysMax: limits.jsonKeysMax };
    expect(storageProblem(nested(limits.jsonDepthMax), bounds)).toBeUndefined();
    expect(storageProblem(nested(limits.jsonDepthMax + 1), bounds)).toMatch(/nested deeper/);
    const wide = (count: number): unknown =>
      Object.fromEntries(Array.from({ length: count }, (_, key) => [`k${key}`, 1]));
    expect(storageProblem(wide(limits.jsonKeysMax), bounds)).toBeUndefined();
    expect(storageProblem(wide(limits.jsonKeysMax + 1), bounds)).toMatch(/more than/);
  });

  test('capabilities and labels are taken up to their number', () => {
    const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `c${index}`);
    const agent = (count: number): unknown => ({ type: 'echo', capabilities: names(count) });
    expect(registerSchema.safeParse(agent(limits.capabilitiesMax)).success).toBe(true);
    expect(registerSchema.safeParse(agent(limits.capabilitiesMax + 1)).success).toBe(false);
    const labels = (count: number): unknown => ({
      type: 'echo',
      labels: Object.fromEntries(names(count).map((name) => [name, 1])),
    });
    expect(registerSchema.safeParse(labels(limits.labelsMax)).success).toBe(true);
    expect(registerSchema.safeParse(labels(limits.labelsMax + 1)).success).toBe(false);
  });
});
