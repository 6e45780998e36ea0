/** Server-sent events against a real Redis. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type ApiSite } from '../support/apisite.ts';
import { openEvents, type EventReader, type ServerEvent } from '../support/eventsource.ts';
import { completeNext, registered } from '../support/handwork.ts';

let api: ApiSite;
const readers: EventReader[] = [];
beforeAll(async () => {
  api = await startApi();
});
afterAll(async () => {
  for (const reader of readers) reader.close();
  await api.stop();
});

const open = async (path: string, headers: Record<string, string> = {}, token = api.token()): Promise<EventReader> => {
  const reader = await openEvents(`${api.url}${path}`, {
    ...(token && { Authorization: `Bearer ${token}` }),
    ...headers,
  });
  readers.push(reader);
  return reader;
};
const submit = async (type: string): Promise<string> =>
  String((await api.call('/api/v1/tasks', { body: { type } })).body['id']);
const cancel = (id: string): Promise<unknown> => api.call(`/api/v1/tasks/${id}`, { method: 'DELETE' });
const about = (id: string) => (event: ServerEvent) => event.data['actor'] === `task/${id}`;

test('the stream of a task begins with the task and ends when it is settled', async () => {
  const agent = await registered(api, { type: 'streamed' });
  const id = await submit('sleeping');
  const stream = await open(`/api/v1/tasks/${id}/events`);
  expect(stream.contentType).toContain('text/event-stream');
  const snapshot = await stream.next();
  expect(snapshot).toMatchObject({ event: 'snapshot', data: { id, status: 'queued' } });
  await cancel(id);
  const rest = await stream.rest();
  expect(rest.map(({ data }) => [data['event'], data['status'], data['revision'], data['by']])).toEqual([
    ['cancel', 'cancelled', 2, 'tester'],
  ]);

  const worked = await submit('streamed');
  const second = await open(`/api/v1/tasks/${worked}/events`);
  await completeNext(api, agent, 1);
  const transitions = (await second.rest()).filter(({ event }) => event === 'transition').map(({ data }) => data);
  const [statuses, states] = ['status', 'state'].map((name) => transitions.map((data) => data[name]));
  expect(statuses!.slice(-2)).toEqual(['running', 'succeeded']);
  expect(states!.slice(-2)).toEqual(['open.held.running', 'succeeded']);
});

test('the stream of a settled task is its snapshot and its end', async () => {
  const id = await submit('over');
  await cancel(id);
  const events = await (await open(`/api/v1/tasks/${id}/events`)).rest();
  expect(events.map(({ event, data }) => [event, data['status']])).toEqual([['snapshot', 'cancelled']]);
});

test('a client that comes back gets what it missed, of shards that were quiet as well', async () => {
  const first = await submit('here');
  const stream = await open('/api/v1/events');
  await cancel(first);
  const last = (await stream.next(about(first)))!;
  stream.close();
  // Types of which some live in each shard.
  const missed = [];
  for (const type of ['m-a', 'm-b', 'm-c', 'm-d', 'm-e']) missed.push(await submit(type));
  expect(new Set(missed.map((id) => id.split('-')[1])).size).toBe(2);
  for (const how of ['header', 'query']) {
    const again = await open(
      `/api/v1/events${how === 'query' ? `?last_event_id=${encodeURIComponent(last.id)}` : ''}`,
      how === 'header' ? { 'Last-Event-ID': last.id } : {},
    );
    const seen = new Set<unknown>();
    while (seen.size < missed.length) {
      const event = (await again.next())!;
      expect(event.event).toBe('transition');
      expect(event.data['actor']).not.toBe(`task/${first}`);
      seen.add(event.data['actor']);
    }
    expect(seen).toEqual(new Set(missed.map((id) => `task/${id}`)));
    again.close();
  }
});

test('every transition comes once and in order, however often the client comes back', async () => {
  const stop = new AbortController();
  const load = (async () => {
    for (let n = 0; !stop.signal.aborted; n++) await cancel(await submit(`busy-${n % 3}`));
  })();
  const seen: string[] = [];
  let id = '';
  for (let turn = 0; turn < 6; turn++) {
    const stream = await open('/api/v1/events?definition=task', id ? { 'Last-Event-ID': id } : {});
    for (let n = 0; n < 15; n++) {
      const event = (await stream.next())!;
      expect(event.event).toBe('transition');
      seen.push(`${String(event.data['actor'])} ${String(event.data['revision'])}`);
      id = event.id;
    }
    stream.close();
  }
  stop.abort();
  await load;
  expect(new Set(seen).size).toBe(seen.length);
  const byActor = new Map<string, number[]>();
  for (const one of seen) {
    const [actor = '', revision] = one.split(' ');
    byActor.set(actor, [...(byActor.get(actor) ?? []), Number(revision)]);
  }
  const whole = [...byActor.values()].slice(1, -1);
  expect(whole.length).toBeGreaterThan(20);
  for (const revisions of whole) expect(revisions).toEqual([1, 2]);
});

test('what the journal does not hold any more is said', async () => {
  const id = await submit('trimmed');
  const shard = Number(id.split('-')[1]);
  const stream = await open('/api/v1/events', { 'Last-Event-ID': `${shard}:1000-0` });
  expect(await stream.next()).toMatchObject({ event: 'gap', data: { shard, after: '1000-0' } });
  expect(await stream.next(about(id))).toBeDefined();
});

test('filters', async () => {
  const [one, other] = [await submit('filtered'), await submit('filtered')];
  const byTask = await open(`/api/v1/events?task=${one}`);
  const byStatus = await open('/api/v1/events?status=cancelled');
  const byAgent = await open('/api/v1/events?definition=agent');
  await cancel(other);
  await cancel(one);
  expect((await byTask.next())?.data['actor']).toBe(`task/${one}`);
  expect((await byStatus.next())?.data['actor']).toBe(`task/${other}`);
  const agent = await registered(api, { type: 'filtered-agents' });
  expect((await byAgent.next())?.data['actor']).toBe(`agent/${agent.id}`);
});

test('a ticket opens one stream, and nothing else', async () => {
  const ticketOf = async (): Promise<string> => {
    const { status, body } = await api.call('/api/v1/tickets', { method: 'POST', token: api.token('read') });
    expect([status, body['expires_in']]).toEqual([201, 60]);
    return String(body['ticket']);
  };
  const ticket = await ticketOf();
  const stream = await open(`/api/v1/events?ticket=${ticket}`, {}, '');
  expect(stream.status).toBe(200);
  expect((await open(`/api/v1/events?ticket=${ticket}`, {}, '')).status).toBe(401);
  expect((await open(`/api/v1/tasks?ticket=${await ticketOf()}`, {}, '')).status).toBe(401);
  expect((await open('/api/v1/events?ticket=guess', {}, '')).status).toBe(401);
});

test.each(['x', '0', '0:1', '0:1-2:3', '99:1-1', '-1:1-1', '0:9999999999999999-1', '__proto__'])(
  'Last-Event-ID %j is refused',
  async (id) => {
    const answer = await api.call('/api/v1/events', { headers: { 'Last-Event-ID': id } });
    expect([answer.status, answer.body.code, answer.body['where']]).toEqual([400, 'invalid-request', 'Last-Event-ID']);
  },
);

test('a token that expires or is revoked ends its stream', async () => {
  const { default: jwt } = await import('jsonwebtoken');
  const { secret, issuer, audience } = await import('../support/apisite.ts');
  const mint = (seconds: number, jwtid: string): string =>
    jwt.sign({ scope: 'read' }, secret, { issuer, audience, subject: 'short', expiresIn: seconds, jwtid });
  const began = performance.now();
  const expiring = await open('/api/v1/events?task=t-0-none', {}, mint(2, 'short-lived'));
  expect(await expiring.next()).toMatchObject({ event: 'end', data: { reason: 'the token is no longer valid' } });
  expect(await expiring.next()).toBeUndefined();
  expect(performance.now() - began).toBeLessThan(20_000);
  const token = mint(600, 'called-back');
  expect((await api.call('/api/v1/tasks/t-0-none', { token })).status).toBe(404);
  api.revoked.add('called-back');
  expect((await api.call('/api/v1/tasks/t-0-none', { token })).status).toBe(401);
});

test('a client that goes leaves nothing behind', async () => {
  for (let n = 0; n < 20; n++) {
    const stream = await openEvents(`${api.url}/api/v1/events`, { Authorization: `Bearer ${api.token()}` });
    stream.close();
  }
  const id = await submit('after');
  await cancel(id);
  expect(api.log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});
