/** The doctor on a healthy pair of servers, and on what is wrong with them. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { configSchema, type Config } from '../../config/schema.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';
import { Transport } from '../../scripts/transport.ts';
import type { Diagnosis } from '../../scripts/doctor/diagnosis.ts';
import { examine } from '../../scripts/doctor/examine.ts';
import { Authority } from '../support/certificates.ts';
import { freshFolder } from '../support/folders.ts';
import { createDatabase, startPrivateRedis, type PrivateServer } from '../support/servers.ts';

let redis: PrivateServer<RunningRedis>;
let folder: string;
let postgres: string;
beforeAll(async () => {
  redis = await startPrivateRedis({ appendfsync: 'always' });
  folder = await freshFolder('doctor');
  postgres = await createDatabase('doctor');
});
afterAll(() => redis.dispose());

const configOf = (more: object = {}): Config =>
  configSchema.parse({
    primary_server: { host: '127.0.0.1', port: 0 },
    metrics: { enabled: false },
    data: { directory: folder },
    redis: { url: redis.url },
    postgres: { url: postgres },
    ...more,
  });
const failures = (found: Diagnosis[]) => found.filter(({ outcome }) => outcome === 'failed');

test('nothing is wrong with what is right', async () => {
  const found = await examine(configOf());
  expect(failures(found)).toEqual([]);
  expect(found.map(({ what }) => what)).toEqual(
    expect.arrayContaining(['Node', 'data directory', 'Redis', 'Redis appendfsync', 'clock', 'PostgreSQL']),
  );
});

test('each thing that is wrong is said with its remedy, and hides no other', async () => {
  const client = new Redis(redis.url);
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await client.config('SET', 'appendonly', 'no');
  client.disconnect();
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'x'.repeat(64));
  chmodSync(secret, 0o644);
  const found = failures(await examine(configOf({ postgres: { url: 'postgres://nobody@127.0.0.1:1/none' } })));
  expect(found.map(({ what }) => what).sort(), JSON.stringify(found)).toEqual([
    'PostgreSQL',
    'Redis appendonly',
    'Redis maxmemory-policy',
    'secret of tokens',
  ]);
  for (const { remedy } of found) expect(remedy).toMatch(/\w/);
});

test('a certificate that ends soon is said, and one that has ended', async () => {
  const { certificateFile, keyFile } = new Authority(folder, 'doctor-ca').issue('server');
  const config = configOf({ tls: { certificate_file: certificateFile, key_file: keyFile } });
  const [{ atMs } = { atMs: 0 }] = new Transport(config).certificateEnds();
  const said = async (now: number): Promise<Diagnosis | undefined> =>
    (await examine(config, now)).find(({ what }) => what === 'certificates');
  expect(await said(atMs - 15 * 86_400_000)).toMatchObject({ outcome: 'ok' });
  expect(await said(atMs - 13 * 86_400_000)).toMatchObject({
    outcome: 'warning',
    remedy: expect.stringMatching(/reload/),
  });
  expect(await said(atMs + 1)).toMatchObject({ outcome: 'failed', detail: expect.stringMatching(/server ended at/) });
});

test('a Redis that is not there is said, with the remedy', async () => {
  const found = failures(await examine(configOf({ redis: { url: 'redis://127.0.0.1:1' } })));
  expect(found).toContainEqual(expect.objectContaining({ what: 'Redis', remedy: 'start Redis, or mend [redis] url' }));
});
