/**
 * The gateway for agents that cannot reach Redis: a long poll of the inbox, acknowledgements, and reports, through the same
 * streams and under the same rules. An agent comes with the token that its registration named; it opens its own mailbox
 * alone, and only as long as that registration holds.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Router, type Request, type RequestHandler } from 'express';
import * as z from 'zod';
import { grantOf } from '../actors/agent/access.ts';
import { limits } from '../config/limits.ts';
import type { MailboxMessage } from '../runtime/ports.ts';
import { passwordFor } from '../runtime/protocol/credential.ts';
import { address, shardOfId } from '../runtime/protocol/ids.ts';
import { isPosition } from '../runtime/protocol/journal.ts';
import { isObject, parseJson } from '../runtime/protocol/json.ts';
import { allow, callerOf, setCaller } from './auth.ts';
import { parseStrict, readBody } from './body.ts';
import type { ApiContext } from './context.ts';
import { Problem } from './problem.ts';
import { storedView } from './reading.ts';
import { checked, idOf, queryOf } from './request.ts';

const gatewayPath = /^\/api\/v1\/agents\/([^/]+)\/(?:inbox|acks|reports)\/?$/;
/** What a registration gives out: no JWT, which has dots. */
const tokenPattern = /^Bearer ([A-Za-z0-9_-]{43})$/i;

export const acksSchema = z.strictObject({
  ids: z
    .array(z.string().refine(isPosition, 'is the id of a message'))
    .min(1)
    .max(limits.batchEnvelopesMax)
    .describe('Ids of messages that were taken over or obeyed.'),
});

const reportSchema = z.looseObject({ kind: z.string().min(1).max(40) });
export const reportsSchema = z.union([reportSchema, z.array(reportSchema).min(1).max(limits.batchEnvelopesMax)]);

/** Lets an agent in by the token of its registration. */
export function byRegistration(context: ApiContext): (request: Request) => Promise<boolean> {
  return async (request) => {
    const id = gatewayPath.exec(request.path)?.[1];
    const token = tokenPattern.exec(request.get('Authorization') ?? '')?.[1];
    const shard = id === undefined ? undefined : shardOfId(id);
    if (id === undefined || token === undefined || shard === undefined || shard >= context.site.shards) return false;
    const grant = await grantNow(context, id);
    if (grant === undefined || !isEqual(token, agentToken(context, id, grant))) return false;
    const expiresAt = context.system.now() / 1000 + limits.preferWaitSecondsMax;
    setCaller(request, {
      subject: id,
      tokenId: undefined,
      scopes: new Set(['agents:work']),
      tenant: undefined,
      expiresAt,
    });
    return true;
  };
}

export function agentToken(context: ApiContext, id: string, grant: string): string {
  return passwordFor(context.site.agentSecret, 'http', id, grant);
}

export function gatewayRoutes(context: ApiContext): Router {
  const router = Router();
  const { shards } = context.site;

  router.get('/:id/inbox', allow('agents:work'), own, async (request, response) => {
    const { id, shard } = idOf(request, 'a', shards);
    const query = queryOf(request, ['wait', 'limit', 'pending']);
    const count = wholeOf(query, 'limit', 1, limits.inboxMessagesMax, 10);
    const waitMs = wholeOf(query, 'wait', 0, limits.preferWaitSecondsMax, 0) * 1000;
    const from = query.get('pending') === 'true' ? 'pending' : 'new';
    const closed = new AbortController();
    response.once('close', () => closed.abort());
    const found = await poll(context, { id, shard, from, count, waitMs, closed: closed.signal });
    response.json({ messages: found.flatMap(messagesOf) });
  });

  router.post('/:id/acks', allow('agents:work'), own, async (request, response) => {
    const { id, shard } = idOf(request, 'a', shards);
    const { ids } = checked(acksSchema, parseStrict((await readBody(request)).text));
    response.json({ acknowledged: await context.mailboxes.acknowledge(shard, id, ids) });
  });

  router.post('/:id/reports', allow('agents:work'), own, async (request, response) => {
    const { id, shard } = idOf(request, 'a', shards);
    const body = checked(reportsSchema, parseStrict((await readBody(request)).text));
    const reports = Array.isArray(body) ? body : [body];
    const grant = await grantNow(context, id);
    if (grant === undefined) throw gone(id);
    const batch = JSON.stringify(reports);
    const fields = ['agent', id, 'generation', grant.split('.')[0]!, 'batch', batch];
    if (batch.length > limits.entryBytesMax / 2)
      throw new Problem('too-large', `the reports of one request have at most ${limits.entryBytesMax / 2} characters`);
    if (!(await context.mailboxes.report(shard, id, fields))) throw gone(id);
    response.status(202).json({ accepted: reports.length });
  });

  return router;
}

/** A token opens the mailbox of its own agent and no other, whatever else it may do. */
const own: RequestHandler = (request, _response, next) => {
  if (callerOf(request).subject === request.params['id']) next();
  else next(new Problem('not-allowed', 'the token is not that of this agent', { remedy: 'register the agent' }));
};

async function grantNow(context: ApiContext, id: string): Promise<string | undefined> {
  return grantOf(await storedView(context, 'agent', id), context.system.now());
}

function gone(id: string): Problem {
  return new Problem('not-found', `${id} is not registered any more`, { remedy: 'register again' });
}

interface Poll {
  id: string;
  shard: number;
  from: 'pending' | 'new';
  count: number;
  waitMs: number;
  closed: AbortSignal;
}

/** Waits for the next change of the agent, and looks from time to time: not every message changes the agent. */
async function poll(context: ApiContext, { id, shard, from, count, waitMs, closed }: Poll): Promise<MailboxMessage[]> {
  const { mailboxes, system, follower } = context;
  const end = system.monotonicMs() + waitMs;
  let wake = new AbortController();
  const unwatch = await follower.watch(address('agent', id), () => wake.abort());
  const stop = (): void => wake.abort();
  closed.addEventListener('abort', stop);
  try {
    for (;;) {
      wake = new AbortController();
      const found = await mailboxes.receive(shard, id, from, count);
      const restMs = end - system.monotonicMs();
      if (found.length > 0 || from === 'pending' || restMs <= 0 || closed.aborted) return found;
      await system.sleep(Math.min(restMs, limits.inboxPollMs), wake.signal);
    }
  } finally {
    unwatch();
    closed.removeEventListener('abort', stop);
  }
}

const numbers = new Set(['attempt', 'deadline', 'generation', 'epoch']);

/** Messages as JSON; several where the agent takes them in batches, and then under one id. */
function messagesOf({ id, fields }: MailboxMessage): object[] {
  const message: Record<string, unknown> = { id };
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [name, text] = [fields[at]!, fields[at + 1]!];
    message[name] =
      name === 'parameters' || name === 'batch' ? jsonOf(text) : numbers.has(name) && text !== '' ? Number(text) : text;
  }
  const { batch, ...rest } = message;
  return Array.isArray(batch) ? batch.filter(isObject).map((one) => ({ ...rest, ...one })) : [message];
}

function jsonOf(text: string): unknown {
  const parsed = parseJson(text);
  return parsed.ok ? parsed.value : text;
}

function wholeOf(
  query: ReadonlyMap<string, string>,
  name: string,
  min: number,
  max: number,
  otherwise: number,
): number {
  const text = query.get(name);
  if (text === undefined) return otherwise;
  if (!/^\d{1,6}$/.test(text) || Number(text) < min || Number(text) > max)
    throw new Problem('invalid-request', `${name} is a whole number from ${min} to ${max}`, { where: name });
  return Number(text);
}

/** In the same time whatever they are. */
function isEqual(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
