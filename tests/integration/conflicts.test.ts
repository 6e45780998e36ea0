import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandEntry } from '../support/decisions.ts';
import { Branch, derivedEntry, lossesOfBranch } from '../support/branch.ts';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { scheduleAddress, scheduleId } from '../../actors/schedule/address.ts';
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
  expect(branches[0]!.entries[0]).toMatchObject({ from: 'open.queued' });
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

test('of a long life both branches begin at the fork, and what is too much is cut and said', async () => {
  const { site } = api;
  const id = scheduleId('long', undefined, 1);
  const to = scheduleAddress(id);
  const pauses = 120;
  const word = (type: string, number: number) => ({ id: `${type}-${number}`, to, event: { type } });
  const create = {
    id: 'create-long',
    to,
    input: { name: 'long', cron: '0 0 1 1 *', task: { type: 'nobody' }, task_shard: 0 },
  };
  const words = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => from + index).flatMap((number) => [
      word('pause', number),
      word('resume', number),
    ]);
  const past = new Branch(12);
  const decide = (branch: Branch, word: Parameters<typeof commandEntry>[0]) => branch.run([commandEntry(word)]);
  decide(past, create);
  past.run([derivedEntry([{ id: 'admit-long', to, origin: 'actor', event: { type: 'admitted' } }])]);
  for (const one of words(0, pauses)) decide(past, one);
  const lost = new Branch(12, past.links);
  decide(lost, word('pause', 1_000));
  await site.send(create);
  await site.until(to, ({ state }) => state === 'active');
  for (const one of words(0, pauses)) await site.send(one);
  const fork = lossesOfBranch(lost, past.links.at(-1)!).find(({ actor }) => actor === to)!;
  const { revision } = await site.until(to, (actor) => actor.revision >= fork.records[0]!.record.revision - 1);
  for (const one of words(pauses, pauses)) await site.send(one);
  await site.until(to, (actor) => actor.revision >= revision + 2 * pauses);
  await site.redis.xadd(
    ...[site.space.shard(0).commands, '*', 'lost', JSON.stringify(fork), 'source', -2, 'number', 2],
  );
  await expect
    .poll(async () => {
      await api.projected();
      return (await api.call(`/api/v1/conflicts?actor=${to}`, { token: api.token('read') })).body['conflicts'];
    })
    .toHaveLength(1);
  const { body: list } = await api.call(`/api/v1/conflicts?actor=${to}`, { token: api.token('read') });
  const [{ id: conflict }] = list['conflicts'] as [{ id: string }];
  const { body } = await api.call(`/api/v1/conflicts/${conflict}`, { token: api.token('read') });
  expect(body).toMatchObject({ fork: { revision } });
  const [, kept] = body['branches'] as { entries: { revision: number; event: string }[]; truncated?: true }[];
  expect(kept!.entries[0]).toMatchObject({ revision: revision + 1, event: 'pause' });
  expect([kept!.entries.length, kept!.truncated]).toEqual([200, true]);
});
