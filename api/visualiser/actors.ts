/** Routes of single actors of any definition: how they stand, what they take, their past and what it could have been. */
import { Router, type Request } from 'express';
import * as z from 'zod';
import { limits } from '../../config/limits.ts';
import type { Chart, Replayed } from '../../runtime/ports.ts';
import type { Command, MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address, isId, shardOfId, type Address } from '../../runtime/protocol/ids.ts';
import type { Json } from '../../runtime/protocol/json.ts';
import { redacted } from '../../runtime/protocol/redaction.ts';
import type { HistoryRow } from '../../runtime/readmodel.ts';
import { allow, callerOf } from '../auth.ts';
import { parseStrict, readBody } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { refuse } from '../outcome.ts';
import { Problem } from '../problem.ts';
import { readTask } from '../reading.ts';
import { checked, limitOf, nextLink, queryOf } from '../request.ts';
import { pageOf } from '../page.ts';
import { traceOf } from '../trace.ts';
import { chartIn } from './machines.ts';
import { envelopeOf, pastOf, retell, rowOf, standingResource, type Divergence, type Row } from './past.ts';
import { scopeOf } from './scopes.ts';

interface Named {
  actor: Address;
  id: string;
  shard: number;
  chart: Chart;
}

export const eventSchema = z.looseObject({ type: z.string().min(1).max(limits.nameLengthMax) });
export const whatIfSchema = z.strictObject({
  at: z.int().min(0).describe('Number of the record that is replaced, counted from 0.'),
  event: eventSchema.describe('What the actor is told instead.'),
  rest: z.boolean().default(true).describe('Whether the records after it follow.'),
});

export function actorRoutes(context: ApiContext): Router {
  const router = Router();
  const { machines, gateway, readModel } = context;

  router.get('/:definition', allow('read'), async (request, response) => {
    const { definition } = chartIn(machines, request);
    withoutTenant(request);
    const query = queryOf(request, ['state', 'limit', 'cursor']);
    const found = await readModel.actors(definition, query.get('state'), limitOf(query), query.get('cursor'));
    const { rows, next } = pageOf(found);
    if (next !== undefined) response.set('Link', nextLink(`/api/v1/actors/${definition}`, query, next));
    response.json({
      items: rows.map(({ address: actor, state, updatedAt, revision }) => ({
        id: actor.slice(definition.length + 1),
        state,
        updated_at: new Date(updatedAt).toISOString(),
        revision,
      })),
      next: next ?? null,
    });
  });

  router.get('/:definition/:id', allow('read'), async (request, response) => {
    queryOf(request, []);
    const { actor, id, chart } = await named(context, request);
    const snapshot = await gateway.snapshot(actor);
    if (snapshot === undefined)
      throw new Problem('not-found', `${actor} is not in Redis: it never was, or it is over and only history is left`, {
        remedy: `see /api/v1/actors/${actor}/replay`,
      });
    const standing = machines.standing(actor, snapshot);
    if (typeof standing === 'string') throw new Problem('not-legal-now', standing);
    response.set('ETag', `"${standing.revision}"`).json({
      definition: chart.definition,
      id,
      version: chart.version,
      ...standingResource(standing),
      legal: standing.legal.map((event) => ({ event, scope: scopeOf(chart.definition, event) })),
    });
  });

  router.post('/:definition/:id/events', async (request, response) => {
    const { definition } = chartIn(context.machines, request);
    const event = checked(eventSchema, parseStrict((await readBody(request)).text)) as MachineEvent;
    const scope = scopeOf(definition, event.type);
    const { scopes, subject } = callerOf(request);
    if (!scopes.has('admin') && !scopes.has(scope))
      throw new Problem('not-allowed', `"${event.type.slice(0, 64)}" needs the scope ${scope}`);
    const { actor, shard } = await named(context, request);
    const command: Command = { id: context.system.ulid(), to: actor, event, by: subject, ...traceOf(request) };
    const [outcome] = (await context.commands.send(shard, [command])) ?? [];
    if (outcome) refuse(outcome);
    response.status(outcome ? 200 : 202).json(outcome ?? { outcome: 'submitted', to: actor });
  });

  router.get('/:definition/:id/replay', allow('read'), async (request, response) => {
    const query = queryOf(request, ['at']);
    const { actor, chart } = await named(context, request);
    const { rows, truncated } = await pastOf(context, actor);
    if (rows.length === 0) throw new Problem('not-found', `there is no history of ${actor}`);
    const at = query.has('at') ? placeOf(query.get('at')!, rows.length) : undefined;
    const told = at === undefined ? rows : rows.slice(0, at + 1);
    const { run, divergence } = await retell(context, actor, chart, told, await rowOf(context, actor));
    const standing = divergence ? undefined : run.standing();
    if (at !== undefined) {
      response.json({
        at,
        record: record(rows[at]!),
        standing: standing ? standingResource(standing) : null,
        divergence: divergenceResource(divergence),
      });
      return;
    }
    response.json({
      definition: chart.definition,
      version: chart.version,
      records: rows.map(record),
      lit: litOf(context, chart, rows),
      truncated,
      divergence: divergenceResource(divergence),
    });
  });

  router.post('/:definition/:id/what-if', allow('read'), async (request, response) => {
    const { actor, chart } = await named(context, request);
    const { at, event, rest } = checked(whatIfSchema, parseStrict((await readBody(request)).text));
    const { rows } = await pastOf(context, actor);
    const replaced = rows[at];
    if (!replaced) throw new Problem('invalid-request', `the history has ${rows.length} records`, { where: '/at' });
    const filled = await rowOf(context, actor);
    const { run, divergence } = await retell(context, actor, chart, rows.slice(0, at), filled);
    if (divergence)
      throw new Problem('not-legal-now', `the history before it cannot be replayed: ${divergence.detail}`);
    const { type, ...payload } = event;
    const other: HistoryRow = { ...replaced, event: type, payload: redacted(payload) as Json };
    // What the edited event says of parameters and result stands before what the task's row says.
    const given = filled && { ...filled, ...(redacted(payload) as Partial<Row>) };
    const steps = [fork(replaced, run.apply(envelopeOf(other, actor, chart, given), Math.round(replaced.at)))];
    for (const [index, row] of rest ? rows.slice(at + 1).entries() : []) {
      if (index % limits.replaySliceEntries === limits.replaySliceEntries - 1) await context.system.sleep(0);
      // What changed nothing then was about a state that may never come about now.
      if (row.outcome === 'applied')
        steps.push(fork(row, run.apply(envelopeOf(row, actor, chart, filled), Math.round(row.at))));
    }
    const standing = run.standing();
    response.json({
      at,
      steps: steps.map((step, index) => ({ ...step, ...(index === 0 && { event: type }) })),
      lit: Object.fromEntries(steps.map(({ state }) => [state, machines.lit(chart.definition, state)])),
      standing: standing ? standingResource(standing) : null,
    });
  });

  return router;
}

/** @throws Problem for a definition, an id or an actor that the caller may not know */
async function named(context: ApiContext, request: Request): Promise<Named> {
  const chart = chartIn(context.machines, request);
  const id = String(request.params['id']);
  const shard = shardOfId(id);
  if (shard === undefined || !isId(id))
    throw new Problem('invalid-id', `"${id.slice(0, 64)}" is no id`, { where: 'id' });
  if (shard >= context.site.shards) throw new Problem('not-found', `there is no ${chart.definition} ${id}`);
  if (chart.definition === 'task') await readTask(context, id, callerOf(request));
  else withoutTenant(request);
  return { actor: address(chart.definition, id), id, shard, chart };
}

function withoutTenant(request: Request): void {
  if (callerOf(request).tenant !== undefined)
    throw new Problem('not-allowed', 'a token of a tenant sees its own tasks only');
}

function placeOf(text: string, length: number): number {
  const at = Number(text);
  if (!/^\d{1,6}$/.test(text) || at >= length)
    throw new Problem('invalid-request', `at is a number from 0 to ${length - 1}`, { where: 'at' });
  return at;
}

function record(row: HistoryRow): object {
  const { revision, event, outcome, state, origin, by, reason, payload, at } = row;
  const members = { revision, event, outcome, state, origin, by, reason, payload, at: new Date(at).toISOString() };
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
}

function divergenceResource(divergence: Divergence | undefined): Divergence | null {
  return divergence ?? null;
}

/** State -> what is lit in it: the same few states stand in thousands of records. */
function litOf(context: ApiContext, chart: Chart, rows: readonly HistoryRow[]): Record<string, readonly string[]> {
  const states = new Set(rows.map(({ state }) => state));
  return Object.fromEntries([...states].map((state) => [state, context.machines.lit(chart.definition, state)]));
}

function fork(row: HistoryRow, replayed: Replayed): { state: string } & Record<string, unknown> {
  const { outcome, state, revision, reason, detail, effects } = replayed;
  return {
    event: row.event,
    at: new Date(row.at).toISOString(),
    outcome,
    state,
    revision,
    ...(reason !== undefined && { reason }),
    ...(detail !== undefined && { detail }),
    was: { outcome: row.outcome, state: row.state },
    effects: redacted(effects),
  };
}
