/** Routes of agents: registration, lists, and the operators' events. */
import { Router, type Request } from 'express';
import * as z from 'zod';
import { registerSchema } from '../actors/agent/events.ts';
import { agentStatus } from '../actors/agent/status.ts';
import { limits } from '../config/limits.ts';
import type { Command } from '../runtime/protocol/envelope.ts';
import { address, isId, makeId, parseAddress, shardOfLane } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { agentGroup, keyspace } from '../runtime/protocol/keys.ts';
import type { ActorView } from '../runtime/protocol/snapshot.ts';
import { allow, callerOf } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { storedView } from './reading.ts';
import { checked, idOf, limitOf, queryOf, traceOf } from './request.ts';
import { agentOfRow, agentOfView } from './resources.ts';
import { refuse } from './tasks.ts';

/** Seconds that an agent has to send something in; the machine suspects it after three of them. */
const heartbeatIntervalMs = 5_000;

/** REST status -> event of the machine. */
const statusEvents = { IDLE: 'resume', PAUSED: 'pause', DRAINING: 'drain', RETIRED: 'retire' } as const;

export const statusSchema = z.strictObject({
  status: z
    .enum(['IDLE', 'PAUSED', 'DRAINING', 'RETIRED'])
    .describe('IDLE resumes, DRAINING lets it finish and retires it.'),
});

export function agentRoutes(context: ApiContext): Router {
  const router = Router();

  router.post('/', allow('agents:register'), async (request, response) => {
    const { id: name, ...body } = checked(registerSchema, parseStrict((await readBody(request)).text));
    const shard = shardOfLane(body.type, 0, context.site.shards);
    const id = agentId(name ?? context.system.ulid().toLowerCase(), shard);
    const to = address('agent', id);
    const input = { ...body, max_agents: context.site.maxAgents } as unknown as JsonObject;
    const settled = admission(context, to);
    const unlisten = await settled.listening;
    try {
      const outcomes = await context.commands.send(shard, [command(context, request, to, { input })]);
      if (outcomes?.[0]) refuse(outcomes[0]);
      const view = await settled.wait(id);
      if (!view) throw new Problem('unavailable', 'the registration is under way; ask again', { retryAfterSeconds: 1 });
      if (agentStatus(view.state) === 'RETIRED')
        throw new Problem('max-agents', `max_agents (${context.site.maxAgents}) agents are registered`, {
          remedy: 'retire one, or raise [orchestrator] max_agents',
          state: view.state,
        });
      response
        .status(201)
        .location(`/api/v1/agents/${id}`)
        .json(registrationOf(context, id, shard, view));
    } finally {
      unlisten();
    }
  });

  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, ['limit', 'cursor']);
    const page = await context.readModel.agents(limitOf(query), query.get('cursor'));
    if (page === 'bad-cursor')
      throw new Problem('invalid-cursor', 'the cursor is not one that this list gave', { where: 'cursor' });
    response.json({ items: page.rows.map(agentOfRow), next: page.next ?? null });
  });

  router.get('/:id', allow('read'), async (request, response) => {
    const id = idOf(request, 'a');
    const view = await storedView(context, 'agent', id);
    const row = view ? undefined : await context.readModel.agent(id);
    if (!view && !row) throw new Problem('not-found', `there is no agent ${id}`);
    response.json(view ? agentOfView(view) : agentOfRow(row!));
  });

  router.put('/:id', allow('agents:control'), async (request, response) => {
    const id = idOf(request, 'a');
    const { status } = checked(statusSchema, parseStrict((await readBody(request)).text));
    const to = address('agent', id);
    const outcomes = await context.commands.send(parseAddress(to)!.shard, [
      command(context, request, to, { event: { type: statusEvents[status] } }),
    ]);
    const outcome = outcomes?.[0];
    if (outcome) refuse(outcome);
    const view = await storedView(context, 'agent', id);
    response.status(outcome ? 200 : 202).json(view ? agentOfView(view) : { id, status });
  });

  return router;
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

/** The fleet admits across shards: the answer is a later state of the agent. */
function admission(
  context: ApiContext,
  to: Command['to'],
): { listening: Promise<() => void>; wait: (id: string) => Promise<ActorView | undefined> } {
  const changed = new AbortController();
  const listening = context.follower.listen(({ entry }) => {
    for (const record of entry.records)
      if (record.actor === to && record.outcome === undefined && agentStatus(record.state) !== 'REGISTERING')
        changed.abort();
  });
  return {
    listening,
    wait: async (id) => {
      await context.system.sleep(limits.replyWaitMs, changed.signal);
      const view = await storedView(context, 'agent', id);
      return view && agentStatus(view.state) !== 'REGISTERING' ? view : undefined;
    },
  };
}

function registrationOf(context: ApiContext, id: string, shard: number, view: ActorView): object {
  const keys = keyspace(context.site.keyPrefix);
  const self = `/api/v1/agents/${id}`;
  return {
    id,
    generation: view.context['generation'],
    status: agentStatus(view.state),
    shard,
    slots: view.context['slots'],
    heartbeat_interval_ms: heartbeatIntervalMs,
    redis: {
      url: context.site.agentRedisUrl,
      group: agentGroup,
      inbox: keys.inbox(shard, id),
      outbox: keys.outbox(shard, id),
    },
    links: { self },
  };
}
