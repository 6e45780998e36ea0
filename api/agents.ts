/** Routes of agents: registration, lists, and the operators' events. */
import { Router, type Request } from 'express';
import * as z from 'zod';
import { grantOf } from '../actors/agent/access.ts';
import { registerSchema } from '../actors/agent/events.ts';
import { agentStatus, type AgentStatus } from '../actors/agent/status.ts';
import { limits } from '../config/limits.ts';
import { addressFor, passwordFor, userOf } from '../runtime/protocol/credential.ts';
import type { Command } from '../runtime/protocol/envelope.ts';
import { address, isId, makeId, shardOfLane } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { agentGroup, keyspace } from '../runtime/protocol/keys.ts';
import type { ActorView } from '../runtime/protocol/snapshot.ts';
import type { AgentRow } from '../runtime/readmodel.ts';
import { allow, callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import type { ApiContext } from './context.ts';
import { agentToken } from './gateway.ts';
import { refuse } from './outcome.ts';
import { Problem } from './problem.ts';
import { storedView } from './reading.ts';
import { checked, idOf, limitOf, nextLink, queryOf } from './request.ts';
import { agentOfRow, agentOfView } from './resources.ts';
import { pageOf } from './page.ts';
import { traceOf } from './trace.ts';

/** How often an agent has to send something; the machine suspects it after three intervals. */
const heartbeatIntervalMs = 5_000;

export const statusSchema = z.strictObject({
  status: z
    .enum(['IDLE', 'PAUSED', 'DRAINING', 'RETIRED'])
    .describe('IDLE resumes, DRAINING lets it finish and retires it.'),
});

/** What a PUT asks: the event of the machine, and the statuses in which it is already so. */
const wanted: Record<z.infer<typeof statusSchema>['status'], { event: string; reached: readonly AgentStatus[] }> = {
  IDLE: { event: 'resume', reached: ['IDLE', 'BUSY'] },
  PAUSED: { event: 'pause', reached: ['PAUSED'] },
  DRAINING: { event: 'drain', reached: ['DRAINING'] },
  RETIRED: { event: 'retire', reached: ['RETIRED'] },
};

/** In these the present registration of an agent holds. */
const working: ReadonlySet<AgentStatus> = new Set<AgentStatus>(['IDLE', 'BUSY', 'PAUSED', 'DRAINING', 'SUSPECT']);

export function agentRoutes(context: ApiContext): Router {
  const router = Router();
  const { shards } = context.site;

  router.post('/', allow('agents:register'), async (request, response) => {
    const { id: name, ...body } = checked(registerSchema, parseStrict((await readBody(request)).text));
    const shard = shardOfLane(body.type, 0, shards);
    const id = agentId(name ?? context.system.ulid().toLowerCase(), shard);
    const to = address('agent', id);
    const input = { ...body, max_agents: context.site.maxAgents } as unknown as JsonObject;
    const view = await admitted(context, shard, command(context, request, to, { input }), id);
    if (agentStatus(view.state) === 'RETIRED')
      throw new Problem('max-agents', `max_agents (${context.site.maxAgents}) agents are registered`, {
        remedy: 'retire one, or raise [orchestrator] max_agents',
        state: view.state,
      });
    const withAccount = await accountOf(context, id, shard, view);
    response
      .status(201)
      .location(`/api/v1/agents/${id}`)
      .json(registrationOf(context, id, shard, view, withAccount));
  });

  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, ['limit', 'cursor']);
    const { rows, next } = pageOf(await context.readModel.agents(limitOf(query), query.get('cursor')));
    if (next !== undefined) response.set('Link', nextLink('/api/v1/agents', query, next));
    response.json({ items: await Promise.all(rows.map((row) => agentOf(context, row))), next: next ?? null });
  });

  router.get('/:id', allow('read'), async (request, response) => {
    const { id } = idOf(request, 'a', shards);
    response.json(await agentNow(context, id));
  });

  router.get('/:id/registration', allow('agents:register'), async (request, response) => {
    const { id, shard } = idOf(request, 'a', shards);
    const { pair } = context;
    if (pair && pair.standing.role !== 'active')
      throw new Problem('not-active', `this site is ${pair.standing.role}: agents work for the active one`, {
        remedy: `ask ${pair.otherApi}`,
        retryAfterSeconds: 2,
      });
    const view = await storedView(context, 'agent', id);
    if (!view) throw new Problem('not-found', `there is no agent ${id}`);
    const status = agentStatus(view.state);
    if (!working.has(status))
      throw new Problem('not-legal-now', `the agent is ${status}: register it anew`, { state: view.state, legal: [] });
    const withAccount = await accountOf(context, id, shard, view);
    response.json(registrationOf(context, id, shard, view, withAccount));
  });

  router.put('/:id', allow('agents:control'), async (request, response) => {
    const { id, shard } = idOf(request, 'a', shards);
    const { status } = checked(statusSchema, parseStrict((await readBody(request)).text));
    const { event, reached } = wanted[status];
    const told = command(context, request, address('agent', id), { event: { type: event } });
    const [outcome] = (await context.commands.send(shard, [told])) ?? [];
    // A PUT that is repeated, or asks for what is so, changes nothing and is no error.
    const isSo =
      outcome?.outcome === 'refused' && outcome.state !== undefined && reached.includes(agentStatus(outcome.state));
    if (outcome && !isSo) refuse(outcome);
    response.status(outcome ? 200 : 202).json(await agentNow(context, id));
  });

  return router;
}

/** A row of the list, with what only the snapshot says: its heartbeat and what it holds. */
async function agentOf(context: ApiContext, row: AgentRow): Promise<object> {
  const view = await storedView(context, 'agent', row.id);
  return view ? agentOfView(view) : agentOfRow(row);
}

async function agentNow(context: ApiContext, id: string): Promise<object> {
  const view = await storedView(context, 'agent', id);
  if (view) return agentOfView(view);
  const row = await context.readModel.agent(id);
  if (!row) throw new Problem('not-found', `there is no agent ${id}`);
  return agentOfRow(row);
}

/** A caller may name the agent, or repeat the whole id that it got for that name. */
function agentId(name: string, shard: number): string {
  const prefix = makeId('a', shard, '');
  const id = name.startsWith(prefix) ? name : makeId('a', shard, name);
  if (!isId(id)) throw new Problem('invalid-id', `"${name.slice(0, 64)}" cannot be part of an id`, { where: '/id' });
  return id;
}

function command(
  context: ApiContext,
  request: Request,
  to: Command['to'],
  what: { input: JsonObject } | { event: { type: string } },
): Command {
  return { id: context.system.ulid(), to, by: callerOf(request).subject, ...traceOf(request), ...what };
}

/**
 * Registers and waits until the fleet, which may live in another shard, has answered.
 * @throws Problem 503 when it has not in time: the registration goes on, and asking again is safe
 */
async function admitted(context: ApiContext, shard: number, register: Command, id: string): Promise<ActorView> {
  const answered = new AbortController();
  const unwatch = await context.follower.watch(register.to, (record) => {
    if (record.outcome === undefined && agentStatus(record.state) !== 'REGISTERING') answered.abort();
  });
  try {
    const [outcome] = (await context.commands.send(shard, [register])) ?? [];
    if (outcome) refuse(outcome);
    await context.system.sleep(limits.replyWaitMs, answered.signal);
    const view = await storedView(context, 'agent', id);
    if (view && agentStatus(view.state) !== 'REGISTERING') return view;
  } finally {
    unwatch();
  }
  throw notInTime('the registration is under way, but was not admitted in time');
}

/**
 * Makes addresses of Redis those of this agent: with a user of its own, which the owner of the shard makes after the commit.
 * @throws Problem 503 when it does not stand in time: asking again is safe
 */
async function accountOf(
  context: ApiContext,
  id: string,
  shard: number,
  view: ActorView,
): Promise<(address: string) => string> {
  const { users, site, system } = context;
  if (!users) return (address) => address;
  const grant = grantOf(view, system.now());
  if (grant === undefined) throw notInTime('the agent went while it was registered');
  const end = system.monotonicMs() + limits.replyWaitMs;
  while (!(await users.stands(shard, id, grant))) {
    if (system.monotonicMs() > end) throw notInTime('its account with Redis was not made in time');
    await system.sleep(limits.accountPollMs);
  }
  const password = passwordFor(site.agentSecret, 'redis', id, grant);
  return (address) => addressFor(address, userOf(site.keyPrefix, id), password);
}

function notInTime(detail: string): Problem {
  return new Problem('unavailable', detail, { remedy: 'register again under the same id', retryAfterSeconds: 1 });
}

function registrationOf(
  context: ApiContext,
  id: string,
  shard: number,
  view: ActorView,
  withAccount: (address: string) => string,
): object {
  const { keyPrefix, agentRedisUrl, agentRedisNodes } = context.site;
  const keys = keyspace(keyPrefix);
  const self = `/api/v1/agents/${id}`;
  return {
    id,
    generation: view.context['generation'],
    status: agentStatus(view.state),
    shard,
    slots: view.context['slots'],
    heartbeat_interval_ms: heartbeatIntervalMs,
    redis: {
      url: withAccount(agentRedisUrl),
      ...(agentRedisNodes && { nodes: agentRedisNodes.map(withAccount) }),
      group: agentGroup,
      inbox: keys.inbox(shard, id),
      outbox: keys.outbox(shard, id),
    },
    http: {
      token: agentToken(context, id, grantOf(view, context.system.now()) ?? ''),
      ...{ inbox: `${self}/inbox`, acks: `${self}/acks`, reports: `${self}/reports` },
    },
    links: { self },
  };
}
