import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandEntry } from '../support/decisions.ts';
import { Branch, lossesOfBranch } from '../support/branch.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import type { Address } from '../../runtime/protocol/ids.ts';

let api: ApiSite;
beforeAll(async () => {
  api = await startApi({ shards: 1 });
});
afterAll(() => api.stop());

const task: Address = 'task/t-0-torn';

/** What a lost site hands over: it had cancelled a task that goes on here. */
function package1(): string {
  const past = new Branch(12);
  past.run([commandEntry({ id: 'submit-torn', to: task, input: { type: 'nobody' } })]);
  const old = new Branch(12, past.links);
  old.run([
    commandEntry({ id: 'cancel-torn', to: task, event: { type: 'cancel', reason: '<script>alert(1)</script>' } }),
  ]);
  return JSON.stringify(lossesOfBranch(old, past.links.at(-1)!)[0]);
}

test('a conflict is in the list and whole by its id, and the input was decided again', async () => {
  const { site } = api;
  await site.send({ id: 'submit-torn', to: task, input: { type: 'nobody' } });
  await site.until(task, ({ revision }) => revision > 0);
  expect((await api.call('/api/v1/conflicts', { token: api.token('read') })).body).toEqual({
    conflicts: [],
    next: null,
  });
  const { commands } = site.space.shard(0);
  const text = package1();
  for (let times = 0; times < 2; times++) await site.redis.xadd(commands, '*', 'lost', text, 'source', -2, 'number', 1);
  await site.until(task, ({ state }) => state === 'cancelled');
  await api.projected();
  const { status, body } = await api.call('/api/v1/conflicts?machine=task', { token: api.token('read') });
  expect(status).toBe(200);
  const [conflict, ...others] = body['conflicts'] as Record<string, unknown>[];
  expect(others).toEqual([]);
  expect(conflict).toMatchObject({
    actor: task,
    machine: 'task',
    fork: { epoch: 12, sequence: 1, revision: 1 },
    winner: { site: 'primary', before: 'open.queued', after: 'cancelled' },
    loser: { site: 'secondary', epoch: 12, state: 'cancelled' },
    inputs: [{ command_id: 'cancel-torn', event: 'cancel', outcome: 'applied', state: 'cancelled' }],
  });
  const one = await api.call(`/api/v1/conflicts/${String(conflict!['id'])}`, { token: api.token('read') });
  const branches = one.body['branches'] as { won: boolean; entries: { event: string; from: string | null }[] }[];
  expect(branches.map(({ won }) => won)).toEqual([false, true]);
  expect(branches[0]!.entries.map(({ event }) => event)).toEqual(['cancel']);
  expect(branches[1]!.entries.find(({ event }) => event === 'cancel')).toMatchObject({
    from: 'open.queued',
    to: 'cancelled',
  });
});

test('what is no conflict is not found, and a cursor of another list is refused', async () => {
  const token = api.token('read');
  expect((await api.call('/api/v1/conflicts/0.1.1.0', { token })).status).toBe(404);
  expect((await api.call('/api/v1/conflicts?cursor=nonsense', { token })).body.code).toBe('invalid-cursor');
  expect((await api.call('/api/v1/conflicts', { token: api.token('tasks:submit') })).status).toBe(403);
});
