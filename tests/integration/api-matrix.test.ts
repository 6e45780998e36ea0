/** Who may do what, over the whole table of routes: tenants x objects x verbs, and scopes x routes. A new route is in it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { routes } from '../../api/routes.ts';
import { scopes } from '../../api/token.ts';
import { startApi, type Answer, type ApiSite, type Call } from '../support/apisite.ts';

const verbs = Object.entries(routes).flatMap(([path, item]) =>
  Object.entries(item).map(([verb, operation]) => ({ path, method: verb.toUpperCase(), ...operation })),
);
const guarded = verbs.filter(({ scope }) => scope !== undefined);

/** Stands in everything that belongs to the other tenant. */
const marker = 'm4rker';
const foreign: string[] = [];

let api: ApiSite;
beforeAll(async () => {
  api = await startApi();
  const submit = async (body: object): Promise<string> => {
    const { body: answer } = await api.call('/api/v1/tasks', { body: { type: `${marker}-type`, ...body } });
    return String(answer['id']);
  };
  foreign.push(await submit({ tenant: 'other', parameters: marker }), await submit({ parameters: marker }));
  const parked = await submit({ tenant: 'other', parameters: { [marker]: 1 } });
  await api.call(`/api/v1/tasks/${parked}`, { method: 'DELETE' });
  foreign.push(parked);
  const { body: schedule } = await api.call('/api/v1/schedules', {
    body: { name: marker, tenant: 'other', cron: '0 0 1 1 *', task: { type: `${marker}-type` } },
  });
  foreign.push(String(schedule['id']));
  // Of another type: tasks that it would hold change when it has been silent for long.
  const agent = await api.call('/api/v1/agents', {
    body: { id: marker, type: `${marker}-agent`, capabilities: [marker] },
  });
  foreign.push(String(agent.body['id']));
  await api.site.redis.xadd(api.site.space.shard(0).commands, '*', 'command', JSON.stringify({ what: marker }));
  await api.projected();
});
afterAll(() => api.stop());

/** What no request here may change. An agent that is silent changes by itself, its generation does not. */
async function standing(): Promise<unknown[]> {
  const all = await Promise.all(
    foreign.map(async (id) => {
      const kind = id.startsWith('a-') ? 'agents' : id.startsWith('s-') ? 'schedules' : 'tasks';
      const { revision, generation, status } = (await api.call(`/api/v1/${kind}/${id}`)).body;
      return kind !== 'agents' ? [id, revision] : [id, generation, status === 'PAUSED' || status === 'RETIRED'];
    }),
  );
  await api.projected();
  const { tasks } = (await api.call('/api/v1/status')).body as { tasks: Record<string, number> };
  return [...all, Object.values(tasks).reduce((sum, count) => sum + count, 0)];
}

/** What may stand for the parameters of a path. */
function addresses(path: string): string[] {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
  if (names.length === 0) return [path];
  return foreign.flatMap((id) => {
    const values: Record<string, string> = {
      id,
      shard: id.split('-')[1]!,
      definition: id.startsWith('a-') ? 'agent' : id.startsWith('s-') ? 'schedule' : 'task',
      name: marker,
    };
    return [names.reduce((filled, name) => filled.replace(`{${name}}`, values[name] ?? marker), path)];
  });
}

const scheduleBody = (method: string) => ({
  ...(method === 'POST' && { name: 'x', tenant: 'other' }),
  ...{ cron: '0 0 1 1 *', task: { type: 'x' } },
});

/** Bodies that the routes take, so that nothing is refused for its form before it is for its owner. */
function bodyOf(path: string, method: string): Partial<Call> {
  if (method === 'GET') return {};
  if (path === '/api/v1/tasks') return { body: { type: 'x', tenant: 'other' } };
  if (/^\/api\/v1\/schedules(\/[^/]+)?$/.test(path)) return method === 'DELETE' ? {} : { body: scheduleBody(method) };
  if (path === '/api/v1/agents') return { body: { type: 'x', id: 'new' } };
  if (path.endsWith('/events')) return { body: { type: 'cancel' } };
  if (path.endsWith('/what-if')) return { body: { at: 0, event: { type: 'cancel' } } };
  return method === 'PUT' ? { body: { status: 'PAUSED' } } : path.endsWith('/redrive') ? { body: {} } : {};
}

async function ask(path: string, method: string, token: string): Promise<Answer & { text: string }> {
  // An event stream has no end of its own.
  if (method === 'GET' && path.endsWith('/events')) {
    const cut = new AbortController();
    const answer = await fetch(`${api.url}${path}`, {
      headers: { Authorization: `Bearer ${token}` },
      signal: cut.signal,
    });
    const text = answer.status === 200 ? '' : await answer.text();
    cut.abort();
    return { status: answer.status, headers: answer.headers, body: {}, text };
  }
  const answer = await api.call(path, { method, token, ...bodyOf(path, method) });
  return { ...answer, text: JSON.stringify(answer.body) };
}

describe('a token of a tenant, whatever its scopes', () => {
  test.each(guarded)('$method $path', async ({ path, method }) => {
    const token = api.tokenOf('mine', ...scopes);
    const before = await standing();
    for (const address of addresses(path)) {
      const { status, text } = await ask(address, method, token);
      const about = `${method} ${address}: ${status} ${text.slice(0, 300)}`;
      expect(status, about).toBeLessThan(500);
      // Charts belong to nobody: they are drawn from the program.
      const ofNobody = path.startsWith('/api/v1/machines/') && !path.endsWith('/activity');
      if (path.includes('{') && !ofNobody) expect(status, about).toBeGreaterThanOrEqual(400);
      if (status < 300) expect(text, about).not.toContain(marker);
      for (const id of foreign) if (!address.includes(id)) expect(text, about).not.toContain(id);
    }
    expect(await standing()).toEqual(before);
  });

  test('another name for the tenant is another tenant', async () => {
    for (const tenant of ['Other', 'other.', 'othe', 'other1'])
      expect([
        tenant,
        (await api.call(`/api/v1/tasks/${foreign[0]}`, { token: api.tokenOf(tenant, 'read') })).status,
      ]).toEqual([tenant, 404]);
    expect((await api.call(`/api/v1/tasks/${foreign[0]}`, { token: api.tokenOf('other', 'read') })).status).toBe(200);
  });

  test('what it may use is what it needs for its own tasks', async () => {
    const token = api.tokenOf('mine', ...scopes);
    const { status, body } = await api.call('/api/v1/tasks', { token, body: { type: 'own' } });
    expect(status).toBe(202);
    const own = `/api/v1/tasks/${String(body['id'])}`;
    await api.projected();
    expect((await api.call(own, { token })).body).toMatchObject({ tenant: 'mine' });
    expect((await api.call(`${own}/history`, { token })).status).toBe(200);
    expect((await api.call('/api/v1/tasks', { token })).body.items).toHaveLength(1);
    expect((await api.call('/api/v1/tickets', { token, method: 'POST' })).status).toBe(201);
    expect((await api.call(own, { token, method: 'DELETE' })).status).toBe(200);
  });
});

describe('a token without the scope of the route, and of every other one', () => {
  // The scope of an event is that of its kind: the route of events checks it itself.
  test.each(guarded)('$method $path needs $scope', async ({ path, method, scope }) => {
    const others = scopes.filter((one) => one !== scope && one !== 'admin');
    const before = await standing();
    for (const address of addresses(path)) {
      const byEvent = path === '/api/v1/actors/{definition}/{id}/events';
      const token = byEvent ? api.token('read', 'agents:register') : api.token(...others);
      const { status, text } = await ask(address, method, token);
      expect([`${method} ${address}`, status], text.slice(0, 300)).toEqual([`${method} ${address}`, 403]);
    }
    expect(await standing()).toEqual(before);
  });

  test.each(guarded)('$method $path needs a token at all', async ({ path, method }) => {
    for (const address of addresses(path).slice(0, 1))
      expect((await api.call(address, { method, token: null, ...bodyOf(address, method) })).status).toBe(401);
  });
});
