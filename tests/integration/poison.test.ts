/** Whatever stands on a stream: it is set aside with its reason or refused and recorded, and nothing else notices (R6, R10). */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createRegistry } from '../../actors/application.ts';
import { taskStatus } from '../../actors/task/status.ts';
import { limits } from '../../config/limits.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { JournalEntry, JournalRecord } from '../../runtime/protocol/journal.ts';
import { Chance } from '../support/chance.ts';
import { grumpDefinition, mood } from '../support/grump.ts';
import { RawAgent } from '../support/rawagent.ts';
import { replaySite } from '../support/replay.ts';
import { useRedis } from '../support/servers.ts';
import { laneShard, startSite, type Site } from '../support/site.ts';

const shards = 2;
const shard = laneShard('echo', shards);
const other = 1 - shard;
const agentId = `a-${shard}-worker`;

let site: Site;
let agent: RawAgent;
let tasks = 0;

beforeAll(async () => {
  const { url } = await useRedis();
  site = await startSite({ url, shards, definitions: [grumpDefinition] });
  agent = new RawAgent({
    url,
    space: site.space,
    shard,
    id: agentId,
    type: 'echo',
    slots: 100,
    chance: new Chance(1),
    failing: { retryable: 0, final: 0, released: 0, stale: 0 },
    workMs: 0,
  });
  await agent.start();
});
afterAll(async () => {
  await agent.stop();
  await site.stop();
});
beforeEach(() => {
  mood.calm = false;
});

/** The shard goes on: a task that is submitted now is done. */
afterEach(async () => {
  const task = `t-${shard}-healthy${++tasks}` as const;
  await site.send({ id: `submit-${task}`, to: `task/${task}`, input: { type: 'echo', parameters: { tasks } } });
  await site.until(`task/${task}`, (view) => taskStatus(view.state) === 'succeeded');
});

const commands = (): string => site.space.shard(shard).commands;
const outbox = (): string => site.space.outbox(shard, agentId);

async function setAside(): Promise<{ id: string; reason: string; detail: string }[]> {
  return site.gateway.setAside(shard, '0-0', 10_000);
}

async function refusals(): Promise<JournalRecord[]> {
  const entries = (await site.redis.xrange(site.space.shard(shard).journal, '-', '+')) as [string, string[]][];
  return entries
    .flatMap(([, fields]) => (JSON.parse(fields[1]!) as JournalEntry).records)
    .filter((record) => record.outcome === 'refused');
}

async function eventually<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const end = performance.now() + 10_000;
  while (performance.now() < end) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`not seen within 10 s: ${what}`);
}

async function isSetAside(known: number, reason: string): Promise<{ id: string; detail: string }> {
  const entry = await eventually(async () => (await setAside())[known], `something set aside as ${reason}`);
  expect(entry.reason).toBe(reason);
  return entry;
}

const command = (body: unknown): string[] => ['command', typeof body === 'string' ? body : JSON.stringify(body)];
const toGrump = (id: string, event: unknown): string[] => command({ id, to: `grump/g-${shard}-one`, event });

const entries: [name: string, reason: string, fields: () => (string | Buffer)[]][] = [
  ['no known field', 'no-command', () => ['hello', 'world']],
  ['binary field names', 'no-command', () => [Buffer.from([0, 255, 254]), Buffer.from([128, 0])]],
  ['text that is not JSON', 'not-json', () => command('{"id":')],
  ['1 MB that is not JSON', 'not-json', () => command('x'.repeat(1_000_000))],
  ['JSON that is no object', 'bad-command', () => command('[1]')],
  ['JSON null', 'bad-command', () => command('null')],
  ['an entry over its limit', 'too-large', () => command('x'.repeat(limits.entryBytesMax + 1))],
  ['nesting over its limit', 'bad-command', () => command(`{"a":${'['.repeat(5_000)}${']'.repeat(5_000)}}`)],
  ['a member named __proto__', 'bad-command', () => command('{"id":"a","__proto__":{"to":"x"}}')],
  ['NUL in a value', 'bad-command', () => toGrump('nul\u0000', { type: 'ok' })],
  ['a lone surrogate', 'bad-command', () => toGrump('a', { type: 'ok', text: '\ud800' })],
  [
    'an extra member',
    'bad-command',
    () => command({ id: 'a', to: `grump/g-${shard}-one`, event: { type: 'ok' }, origin: 'actor' }),
  ],
  ['neither input nor event', 'bad-command', () => command({ id: 'a', to: `grump/g-${shard}-one` })],
  [
    'both input and event',
    'bad-command',
    () => command({ id: 'a', to: `grump/g-${shard}-one`, input: {}, event: { type: 'ok' } }),
  ],
  [
    'an id that is a number',
    'bad-command',
    () => command({ id: 1, to: `grump/g-${shard}-one`, event: { type: 'ok' } }),
  ],
  [
    'an address with a hash tag',
    'bad-command',
    () => command({ id: 'a', to: 'grump/g-0-{s1}', event: { type: 'ok' } }),
  ],
  ['an empty event type', 'bad-command', () => toGrump('a', { type: '' })],
  ['a number as event type', 'bad-command', () => toGrump('a', { type: 7 })],
  ['an object as event type', 'bad-command', () => toGrump('a', { type: {} })],
  ['null as event', 'bad-command', () => toGrump('a', null)],
  ['an empty batch', 'bad-batch', () => ['batch', '[]']],
  ['a batch over its limit', 'bad-batch', () => ['batch', JSON.stringify(Array(limits.batchEnvelopesMax + 1).fill(1))]],
  ['a batch with one bad command', 'bad-command', () => ['batch', JSON.stringify([{ id: 'a' }])]],
  [
    'an unknown machine',
    'unknown-definition',
    () => command({ id: 'a', to: `ghost/g-${shard}-one`, event: { type: 'ok' } }),
  ],
  [
    'an actor of another shard',
    'foreign-shard',
    () => command({ id: 'a', to: `grump/g-${other}-one`, event: { type: 'ok' } }),
  ],
  ['relayed without its source', 'bad-relay', () => ['relayed', '{}']],
  ['relayed null', 'bad-envelope', () => ['relayed', 'null', 'source', '77', 'number', '1']],
  [
    'relayed to nobody',
    'bad-envelope',
    () => ['relayed', '{"id":"a","event":{"type":"ok"}}', 'source', '77', 'number', '2'],
  ],
  ['derived that is no list', 'bad-envelope', () => ['derived', 'null']],
  ['derived with holes', 'bad-envelope', () => ['derived', '[null]']],
  ['redrive of nonsense', 'bad-redrive', () => ['redrive', '["x"]']],
];

describe('R10: what is no command is set aside with its reason', () => {
  test.each(entries)('%s: %s', async (_name, reason, fields) => {
    const known = (await setAside()).length;
    await site.redis.xadd(commands(), '*', ...fields());
    const { detail } = await isSetAside(known, reason);
    expect(detail).not.toBe('');
  });
});

const reserved = [
  'xstate.stop',
  'xstate.init',
  'xstate.done.actor.x',
  'xstate.error.actor.x',
  'xstate.after.1.grump',
  '*',
  '__proto__',
  'constructor',
  'nosuch',
];

describe('R6: what a machine does not take is refused and recorded', () => {
  test.each(reserved)('a command with the event %s', async (type) => {
    const id = `reserved-${type}`;
    await site.send({ id: `first-${type}`, to: `grump/g-${shard}-reserved`, event: { type: 'ok' } });
    const before = await site.until(`grump/g-${shard}-reserved`, () => true);
    await site.send({ id, to: `grump/g-${shard}-reserved`, event: { type } });
    const record = await eventually(async () => (await refusals()).find((found) => found.id === id), 'the refusal');
    expect(record.reason).toBe('unknown-event');
    expect((await site.view(`grump/g-${shard}-reserved`))!.revision).toBeGreaterThanOrEqual(before.revision);
  });

  test('an event for an actor that never was', async () => {
    await site.send({ id: 'nobody', to: `task/t-${shard}-nobody`, event: { type: 'cancel' } });
    const record = await eventually(async () => (await refusals()).find(({ id }) => id === 'nobody'), 'the refusal');
    expect(record).toMatchObject({ reason: 'unknown-actor', revision: 0 });
  });

  test('an event for a finished actor, and a repeated command with the same and with another body', async () => {
    const task: Address = `task/t-${shard}-finished`;
    const input = { type: 'idle-type', fingerprint: 'one' };
    await site.send({ id: 'finish-1', to: task, input });
    await site.send({ id: 'finish-2', to: task, event: { type: 'cancel' } });
    const done = await site.until(task, (view) => view.status === 'done');
    await site.send({ id: 'finish-3', to: task, event: { type: 'cancel' } });
    await site.send({ id: 'finish-1', to: task, input });
    await site.send({ id: 'finish-4', to: task, input: { ...input, fingerprint: 'two' } });
    const found = await eventually(async () => {
      const all = await refusals();
      return all.some(({ id }) => id === 'finish-4') ? all : undefined;
    }, 'the conflict');
    expect(found.find(({ id }) => id === 'finish-3')?.reason).toBe('finished');
    expect(found.find(({ id }) => id === 'finish-4')?.reason).toBe('conflict');
    expect((await site.view(task))!.revision).toBe(done.revision);
  });
});

describe('R4 R6 R10: an outbox is untrusted', () => {
  const task = `t-${shard}-reported`;
  const report = (...fields: (string | Buffer)[]) => site.redis.xadd(outbox(), '*', ...fields);

  const bad: [name: string, reason: string, fields: string[]][] = [
    ['no kind', 'bad-report', ['hello', 'world']],
    ['an unknown kind', 'unknown-kind', ['kind', 'xstate.stop']],
    ['a kind that every object has', 'unknown-kind', ['kind', 'constructor']],
    ['a batch that is not JSON', 'not-json', ['batch', '[']],
    ['a batch that is no list', 'bad-batch', ['batch', '{}']],
    ['a batch with a bad item', 'bad-report', ['batch', '[null]']],
    ['a result that is not JSON', 'not-json', ['kind', 'completed', 'task', task, 'token', 'x', 'result', '{']],
    ['NUL in a note', 'bad-report', ['kind', 'progress', 'task', task, 'token', 'x', 'note', '\u0000']],
    ['no task', 'bad-report', ['kind', 'completed', 'token', 'x', 'result', '1']],
    ['a task with a hash tag', 'bad-report', ['kind', 'completed', 'task', 't-0-{s1}', 'token', 'x', 'result', '1']],
    ['the name of another agent', 'foreign-agent', ['kind', 'heartbeat', 'agent', `a-${shard}-victim`]],
    [
      'a task of another shard',
      'foreign-shard',
      ['kind', 'completed', 'task', `t-${other}-x`, 'token', 'x', 'result', '1'],
    ],
    ['an entry over its limit', 'too-large', ['kind', 'completed', 'result', `"${'x'.repeat(limits.entryBytesMax)}"`]],
  ];
  test.each(bad)('%s: set aside as %s', async (_name, reason, fields) => {
    const known = (await setAside()).length;
    await report(...fields);
    await isSetAside(known, reason);
  });

  test('a forged token, and a result after the end: refused, and the agent is told', async () => {
    const address: Address = `task/t-${shard}-forged`;
    await site.send({ id: 'forged', to: address, input: { type: 'echo', parameters: {} } });
    const done = await site.until(address, (view) => taskStatus(view.state) === 'succeeded');
    for (const token of ['forged', ''])
      await report('kind', 'completed', 'task', `t-${shard}-forged`, 'token', token, 'result', '"other"');
    const found = await eventually(async () => {
      const all = (await refusals()).filter((record) => record.actor === address);
      return all.length >= 2 ? all : undefined;
    }, 'two refusals');
    expect(found.every(({ by }) => by === agentId)).toBe(true);
    expect((await site.view(address))!.revision).toBe(done.revision);
  });

  test('an agent that nobody registered has an outbox that nobody reads', async () => {
    await site.redis.xadd(site.space.outbox(shard, `a-${shard}-stranger`), '*', 'kind', 'heartbeat');
    await site.send({ id: 'after-stranger', to: `grump/g-${shard}-stranger`, event: { type: 'ok' } });
    await site.until(`grump/g-${shard}-stranger`, () => true);
    expect(await site.view(`agent/a-${shard}-stranger`)).toBeUndefined();
  });

  test('an outbox that was deleted is made anew', async () => {
    await site.redis.del(outbox());
    await site.send({ id: 'after-delete', to: `grump/g-${shard}-one`, event: { type: 'ok' } });
  });

  test('100,000 entries at once', { timeout: 60_000 }, async () => {
    for (let sent = 0; sent < 100_000; sent += 5_000) {
      const pipeline = site.redis.pipeline();
      for (let count = 0; count < 5_000; count++) pipeline.xadd(outbox(), '*', 'kind', 'heartbeat');
      await pipeline.exec();
    }
    await eventually(async () => ((await site.redis.xlen(outbox())) < 50_000 ? true : undefined), 'half of them taken');
    await eventually(async () => ((await site.redis.xlen(outbox())) === 0 ? true : undefined), 'all of them taken');
  });

  test('entry ids of 1970, of 2999 and the greatest one', async () => {
    const victim = `a-${shard}-odd`;
    await site.send({ id: 'odd-agent', to: `agent/${victim}`, input: { type: 'odd', max_agents: 1_000 } });
    await site.until(`agent/${victim}`, (view) => JSON.stringify(view.state).includes('idle'));
    const box = site.space.outbox(shard, victim);
    for (const id of ['1-1', '32503680000000-0', '18446744073709551615-18446744073709551615'])
      await site.redis.xadd(box, id, 'kind', 'heartbeat');
    await eventually(async () => ((await site.redis.xlen(box)) === 0 ? true : undefined), 'the outbox empty');
    await expect(site.redis.xadd(box, '*', 'kind', 'heartbeat')).rejects.toThrow('exhausted');
  });
});

describe('R10: a machine that misbehaves', () => {
  const poisons: [event: Record<string, unknown> & { type: string }, reason: string, redrivable: boolean][] = [
    [{ type: 'guard' }, 'machine-threw', true],
    [{ type: 'throw' }, 'machine-threw', true],
    [{ type: 'loop' }, 'machine-threw', false],
    [{ type: 'fanout' }, 'too-many-effects', false],
    [{ type: 'grow', size: limits.snapshotBytesMax }, 'not-storable', false],
    [{ type: 'odd' }, 'context-not-json', true],
    [{ type: 'astray' }, 'not-storable', true],
  ];
  let number = 0;

  const isPoison = async (reason: string, known: number, address: Address, redrivable: boolean): Promise<void> => {
    const { id } = await isSetAside(known, reason);
    if (!redrivable) return;
    mood.calm = true;
    const before = await site.view(address);
    await site.gateway.redrive(shard, [id]);
    await site.until(address, (view) => view.revision === (before?.revision ?? 0) + 1);
    await eventually(async () => ((await setAside()).length === known ? true : undefined), 'the set-aside entry gone');
  };

  test.each(poisons)('%o alone: set aside as %s, redriven when it is mended: %s', async (event, reason, redrivable) => {
    const known = (await setAside()).length;
    const address: Address = `grump/g-${shard}-alone${++number}`;
    await site.send({ id: `alone-${number}`, to: address, event: event as never });
    await isPoison(reason, known, address, redrivable);
  });

  test.each(poisons)('%o amid 200 others in entries of their own', async (event, reason, redrivable) => {
    const known = (await setAside()).length;
    const address: Address = `grump/g-${shard}-amid${++number}`;
    const pipeline = site.redis.pipeline();
    for (let index = 0; index <= 200; index++)
      pipeline.xadd(
        commands(),
        '*',
        ...command(
          index === 100
            ? { id: `amid-${number}`, to: address, event }
            : { id: `amid-${number}-${index}`, to: `grump/g-${shard}-amid${number}-${index}`, event: { type: 'ok' } },
        ),
      );
    await pipeline.exec();
    for (let index = 0; index <= 200; index++)
      if (index !== 100)
        await site.until(`grump/g-${shard}-amid${number}-${index}`, ({ context }) => context['count'] === 1);
    await isPoison(reason, known, address, redrivable);
  });

  test.each(poisons)('%o amid 20 others in one batch', async (event, reason, redrivable) => {
    const known = (await setAside()).length;
    const address: Address = `grump/g-${shard}-batch${++number}`;
    const batch = Array.from({ length: 20 }, (_, index) =>
      index === 10
        ? { id: `batch-${number}`, to: address, event }
        : { id: `batch-${number}-${index}`, to: `grump/g-${shard}-batch${number}-${index}`, event: { type: 'ok' } },
    );
    await site.redis.xadd(commands(), '*', 'batch', JSON.stringify(batch));
    for (let index = 0; index < 20; index++)
      if (index !== 10)
        await site.until(`grump/g-${shard}-batch${number}-${index}`, ({ context }) => context['count'] === 1);
    await isPoison(reason, known, address, redrivable);
  });

  test.each(poisons.filter(([event]) => event.type !== 'grow'))(
    '%o through the relay',
    async (event, reason, redrivable) => {
      const known = (await setAside()).length;
      const address: Address = `grump/g-${shard}-relay${++number}`;
      const from: Address = `grump/g-${other}-relay${number}`;
      const next: Address = `grump/g-${shard}-after${number}`;
      await site.send({ id: `pass-${number}`, to: from, event: { type: 'pass', to: address, event: event.type } });
      await site.send({ id: `then-${number}`, to: from, event: { type: 'pass', to: next, event: 'ok' } });
      await site.until(next, ({ context }) => context['count'] === 1);
      await isPoison(reason, known, address, redrivable);
    },
  );

  test('a timer whose firing cannot be stored: set aside, and it fires no more', async () => {
    const known = (await setAside()).length;
    const address: Address = `grump/g-${shard}-timer`;
    await site.send({ id: 'later', to: address, event: { type: 'later' } });
    const { id } = await isSetAside(known, 'not-storable');
    // Nothing more happens by itself.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await setAside()).toHaveLength(known + 1);
    mood.calm = true;
    await site.gateway.redrive(shard, [id]);
    await site.until(address, (view) => view.state === 'idle');
  });

  test('a redrive that fails again is set aside again', async () => {
    const known = (await setAside()).length;
    const address: Address = `grump/g-${shard}-again`;
    await site.send({ id: 'again', to: address, event: { type: 'astray' } });
    const { id } = await isSetAside(known, 'not-storable');
    await site.gateway.redrive(shard, [id, '1-1']);
    await eventually(async () => {
      const now = await setAside();
      return now.length === known + 1 && now[known]!.id !== id ? true : undefined;
    }, 'another set-aside entry');
  });
});

test('a key of the shard that another program overwrote stops the shard, sets nothing aside, and is mended by hand', async () => {
  const known = (await setAside()).length;
  const { journal } = site.space.shard(shard);
  await site.redis.rename(journal, `${journal}:kept`);
  await site.redis.set(journal, 'foreign');
  const address: Address = `task/t-${shard}-still`;
  await site.send({ id: 'still', to: address, input: { type: 'echo', parameters: {} } });
  await eventually(
    () =>
      Promise.resolve(
        site.log.lines.find(({ fields }) => 'damage' in fields && String(fields.damage).includes(journal)),
      ),
    'the log names the key',
  );
  expect(await setAside()).toHaveLength(known);
  await site.redis.rename(`${journal}:kept`, journal);
  await site.until(address, (view) => taskStatus(view.state) === 'succeeded');
  expect(await setAside()).toHaveLength(known);
});

const snapshots: [name: string, text: string][] = [
  ['of an unknown version', '{"version":"9-ffffffff","revision":4,"since":1,"state":"idle","context":{"count":4}}'],
  ['that is not JSON', '{"version":'],
];
test.each(snapshots)('R10: a snapshot %s is kept, and what is sent to it is set aside', async (_name, text) => {
  const address: Address = `grump/g-${shard}-foreign`;
  const key = site.space.shard(shard).snapshots;
  await site.redis.hset(key, address, text);
  const known = (await setAside()).length;
  // Makes the shard read all its snapshots again.
  await site.send({ id: `reopen-${text.length}`, to: `grump/g-${shard}-reopen`, event: { type: 'astray' } });
  await isSetAside(known, 'not-storable');
  await site.send({ id: `foreign-${text.length}`, to: address, event: { type: 'ok' } });
  await isSetAside(known + 1, 'unreadable-actor');
  expect(await site.redis.hget(key, address)).toBe(text);
  await site.redis.hdel(key, address);
});

test('R1 R9 R11: after all of it, the journal still gives the snapshots', async () => {
  mood.calm = true;
  await eventually(async () => ((await site.redis.xlen(commands())) === 0 ? true : undefined), 'no command left');
  // Agents that fell silent change by themselves: a look that meets one of them on its way is taken again.
  let report = await replaySite(site.redis, site.space, shards, createRegistry([grumpDefinition]));
  for (let looks = 1; report.violations.length > 0 && looks < 5; looks++)
    report = await replaySite(site.redis, site.space, shards, createRegistry([grumpDefinition]));
  expect(report.violations).toEqual([]);
});
