import { expect, test } from 'vitest';
import { Route } from '../../scripts/agents/client/route.ts';

const nodes = ['redis://u:p@h1:7001', 'redis://u:p@h2:7002/0'];

test.each([
  ['goes where a node says that the stream is', 'MOVED 866 10.0.0.9:7003', 'redis://u:p@10.0.0.9:7003'],
  ['keeps the host where only a port is said', 'MOVED 866 :7003', 'redis://u:p@h0:7003'],
  ['takes an address of version 6', 'MOVED 866 ::1:7003', 'redis://u:p@[::1]:7003'],
  ['stays where a stream is on its way', 'ASK 866 10.0.0.9:7003', 'redis://u:p@h0:7000'],
  ['stays while no node decides', 'CLUSTERDOWN Hash slot not served', 'redis://u:p@h0:7000'],
  ['tries another node when this one is away', 'Connection is closed.', 'redis://u:p@h1:7001'],
])('%s', (_, reason, url) => {
  const route = new Route('redis://u:p@h0:7000', nodes);
  route.failed(reason);
  expect(route.url).toBe(url);
});

test('comes round to every node', () => {
  const route = new Route('redis://u:p@h0:7000', nodes);
  const seen = new Set<string>();
  for (let turn = 0; turn < 3; turn++) {
    route.failed('connect ECONNREFUSED');
    seen.add(new URL(route.url).host);
  }
  expect([...seen]).toEqual(['h1:7001', 'h2:7002']);
});

test('one Redis is always the same', () => {
  const route = new Route('redis://u:p@h0:7000', []);
  route.failed('MOVED 866 10.0.0.9:7003');
  expect(route.url).toBe('redis://u:p@h0:7000');
});
