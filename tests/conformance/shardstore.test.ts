import { afterAll, beforeAll, describe } from 'vitest';
import type { Bed } from './bed.ts';
import { damageSuite } from './damage.suite.ts';
import { memoryBed } from './memorybed.ts';
import { redisBed, type RedisBed } from './redisbed.ts';
import { shardStoreSuite } from './shardstore.suite.ts';

describe('memory', () => {
  let bed: Bed;
  beforeAll(async () => {
    bed = await memoryBed();
  });
  shardStoreSuite(() => bed);
});

describe('redis', () => {
  let bed: RedisBed;
  beforeAll(async () => {
    bed = await redisBed();
  });
  afterAll(() => bed.close());
  shardStoreSuite(() => bed);
  damageSuite(() => bed);
});
