/** One submit: from a checked body to the command that creates the task. */
import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type * as z from 'zod';
import { limitAddress } from '../actors/limit/address.ts';
import { submitSchema } from '../actors/task/events.ts';
import { taskStatus } from '../actors/task/status.ts';
import type { Command, Outcome } from '../runtime/protocol/envelope.ts';
import { address, makeId, shardOfLane } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import { viewOfStored } from '../runtime/protocol/snapshot.ts';
import { callerOf } from './auth.ts';
import { keyOf } from './claims.ts';
import type { Submission } from './submitted.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { checked } from './request.ts';
import { linksOf } from './resources.ts';
import { traceOf } from './trace.ts';

type Submit = z.infer<typeof submitSchema>;

/** The command of one submit. @throws Problem with the place that does not fit */
export function prepare(
  context: ApiContext,
  request: Request,
  body: unknown,
  key: string | undefined,
  at: string,
): Submission {
  const caller = callerOf(request);
  const { ref, depends_on: dependsOn, unique: once, ...parsed }: Submit = checked(submitSchema, body, at);
  if (parsed.delay_ms !== undefined && parsed.run_at !== undefined)
    throw new Problem('invalid-request', 'delay_ms and run_at exclude each other', { where: `${at}/run_at` });
  if (caller.tenant !== undefined && parsed.tenant !== undefined && parsed.tenant !== caller.tenant)
    throw new Problem('not-allowed', `the token is for the tenant ${caller.tenant}`, { where: `${at}/tenant` });
  const tenant = parsed.tenant ?? caller.tenant;
  const shard = shardOfLane(parsed.type, 0, context.site.shards);
  const unique =
    key === undefined ? context.system.ulid() : hash(JSON.stringify([tenant ?? null, caller.subject, key]));
  const id = makeId('t', shard, unique);
  if (once?.on_conflict === 'replace' && dependsOn && dependsOn.length > 0)
    throw new Problem('invalid-request', 'a task that replaces another waits for that one, and for none beside', {
      where: `${at}/depends_on`,
    });
  const claimedKey =
    once && keyOf(once, { ...parsed, tenant, parameters: canonical(parsed.parameters) }, context.site.shards);
  const trace = traceOf(request);
  const input = {
    ...parsed,
    ...trace,
    ...(once && claimedKey && { claim: { key: claimedKey, until: once.until } }),
    ...(tenant !== undefined && { tenant }),
    keep_ms: parsed.keep_ms ?? context.site.taskKeepMs,
    timeouts: { start_to_close_ms: context.site.taskTimeoutMs, ...parsed.timeouts },
    ...(key !== undefined && {
      fingerprint: hash(
        canonical({ ...parsed, ...(dependsOn && { depends_on: dependsOn }), ...(once && { unique: once }) }),
      ),
    }),
  };
  return {
    shard,
    id,
    at,
    ref,
    tenant,
    dependsOn: [...new Set(dependsOn)],
    ...(once && claimedKey && { claim: { ...once, key: claimedKey } }),
    command: {
      id: context.system.ulid(),
      to: address('task', id),
      input: input as unknown as JsonObject,
      by: caller.subject,
      ...trace,
    },
  };
}

/** 128 bits of SHA-256, in hexadecimal. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Same members, same text: whatever their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}

export function statusOf(outcome: Outcome | undefined): string {
  return outcome && 'state' in outcome && outcome.state !== undefined ? taskStatus(outcome.state) : 'submitted';
}

export function accepted(id: string, status: string): object {
  return { id, status, links: linksOf(id) };
}

export function claimedTask(id: string, status: string | undefined, existing: boolean): object {
  return { ...accepted(id, status ?? 'submitted'), ...(existing && { existing }) };
}

/** A cost that no window can ever pay is refused; a limit that nobody has set yet is waited for. @throws Problem */
export async function refuseTooCostly(
  context: ApiContext,
  { command, at }: { command: Pick<Command, 'input'>; at: string },
): Promise<void> {
  const costs = (command.input?.['limits'] ?? {}) as Record<string, number>;
  for (const [name, cost] of Object.entries(costs)) {
    const text = await context.gateway.snapshot(limitAddress(name));
    const units = text === undefined ? undefined : viewOfStored(name, text).context['units'];
    if (typeof units !== 'number' || cost <= units) continue;
    throw new Problem('invalid-request', `costs ${cost} units of ${name}, and a whole window has ${units}`, {
      where: `${at}/limits/${name}`,
      remedy: `split the task, or set the limit with PUT /api/v1/limits/${name}`,
    });
  }
}
