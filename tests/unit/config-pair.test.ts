/** Settings of a pair: what is missing or does not go together is named, and nothing starts. */
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { pairProblems, peerOf } from '../../config/pair.ts';

const load = (...set: string[]) => loadConfig({ defaultFile: '/nowhere/absent.toml', env: {}, set });
const pair = ['peer.redis=redis://127.0.0.1:6380', 'peer.api=http://127.0.0.1:8010', 'peer.deployment=orders'];
const witness = 'witness.etcd=http://127.0.0.1:2379';

test('a site without [peer] is on its own', () => {
  const config = load();
  expect(peerOf(config)).toBeUndefined();
  expect(pairProblems(config)).toEqual([]);
});

test('a pair is taken, with and without a witness', () => {
  expect(peerOf(load(...pair))).toMatchObject({ deployment: 'orders', mode: 'manual', writes_on_standby: 'refuse' });
  expect(pairProblems(load(...pair))).toEqual([]);
  expect(pairProblems(load(...pair, 'peer.mode=witness', witness))).toEqual([]);
});

test.each(pair)('a pair without %s is refused', (left) => {
  expect(() => load(...pair.filter((setting) => setting !== left))).toThrow('stand together: a pair needs all three');
});

describe('refused with what to do', () => {
  test.each<[string, string[], string]>([
    ['automatic without a witness', [...pair, 'peer.mode=witness'], 'automatic without a witness refuses to start'],
    ['a witness that nobody asks', [...pair, witness], 'is not asked in mode "manual"'],
    ['a witness without a pair', [witness], 'there is no pair without [peer]'],
    ['itself as peer', [...pair, 'redis.url=redis://127.0.0.1:6380'], 'is the Redis of this site'],
    ['a cluster', [...pair, 'redis.cluster=redis://127.0.0.1:7000'], 'a site of a pair has one Redis'],
    ['a process with one role', [...pair, 'orchestrator.roles=api'], 'a process of a pair has both'],
    ['a peer in the open', [...pair, 'peer.redis=redis://other:6379'], 'peer.redis: speaks in the open'],
    ['a witness in the open', [...pair, 'peer.mode=witness', 'witness.etcd=http://third:2379'], 'witness.etcd: speaks'],
    ['a certificate for plain words', [...pair, 'peer.ca_file=/ca.pem'], 'peer.ca_file: holds for'],
  ])('%s', (_, set, problem) => {
    expect(pairProblems(load(...set)).join('\n')).toContain(problem);
  });

  test('another prefix on the same Redis is another site', () => {
    expect(pairProblems(load(...pair, 'redis.url=redis://127.0.0.1:6380', 'peer.prefix=two:'))).toEqual([]);
  });
});
