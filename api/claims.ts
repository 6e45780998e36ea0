/**
 * Submits with a uniqueness key: the key's actor is asked, and makes the task. Its answer is a decision of one shard; what
 * PostgreSQL knows is never looked at.
 */
import { createHash } from 'node:crypto';
import { uniqueAddress } from '../actors/unique/address.ts';
import type { Unique } from '../actors/unique/schema.ts';
import { taskStatus } from '../actors/task/status.ts';
import { limits } from '../config/limits.ts';
import type { Command } from '../runtime/protocol/envelope.ts';
import { parseAddress, type Address } from '../runtime/protocol/ids.ts';
import type { JsonObject } from '../runtime/protocol/json.ts';
import type { ApiContext } from './context.ts';
import { refuse } from './outcome.ts';
import { Problem } from './problem.ts';
import { storedView } from './reading.ts';
import { linksOf } from './resources.ts';
import type { Submission } from './submitted.ts';

/** Where the key of a submit lives: the same for whatever is to be one, and of one tenant. */
export function keyOf(
  unique: Unique,
  { type, parameters, tenant }: { type: string; parameters: string; tenant: string | undefined },
  shards: number,
): Address {
  const { key = null, by = unique.key === undefined ? ['type', 'parameters'] : ['type'] } = unique;
  const ofType = by.includes('type');
  const parts = [tenant ?? null, key, ofType ? type : null, by.includes('parameters') ? parameters : null];
  const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
  return uniqueAddress(digest, ofType ? type : undefined, shards);
}

export interface Claimed {
  /** The task that was made, or the one that is there. */
  id: string;
  /** Undefined where the decision did not come in time. */
  status: string | undefined;
  /** It was there before. */
  existing: boolean;
  replayed: boolean;
}

/**
 * Claims the key of a submission.
 * @throws Problem unique-conflict, which names the holder
 */
export async function claim(context: ApiContext, item: Submission): Promise<Claimed> {
  const { system, commands } = context;
  const { claim: wanted, id } = item;
  if (!wanted) throw new Error('the submission has no uniqueness key');
  const shard = parseAddress(wanted.key)!.shard;
  const end = system.monotonicMs() + limits.replyWaitMs;
  // Repeated under its Idempotency-Key, perhaps when the key is long free again.
  const isRepeat = item.command.input?.['fingerprint'] !== undefined && (await statusOfTask(context, id)) !== undefined;
  if (isRepeat) return repeated(context, item);
  for (;;) {
    const [outcome] = (await commands.send(shard, [claimCommand(context, item, wanted)])) ?? [];
    if (!outcome) return { id, status: undefined, existing: false, replayed: false };
    if (outcome.outcome !== 'refused') {
      refuse(outcome);
      return { id, status: await statusWhenMade(context, id, end), existing: false, replayed: false };
    }
    if (outcome.reason === 'claimed') {
      await statusWhenMade(context, id, end);
      return repeated(context, item);
    }
    if (outcome.reason === 'taken') {
      const holder = await holderOf(context, wanted.key);
      if (holder !== undefined) {
        const status = await statusOfTask(context, holder);
        if (wanted.on_conflict === 'return_existing') return { id: holder, status, existing: true, replayed: false };
        throw new Problem('unique-conflict', `${holder} holds the key`, {
          where: `${item.at}/unique`,
          holder,
          remedy: `wait for it, cancel it, or submit with on_conflict "return_existing" or "replace": ${linksOf(holder).self}`,
        });
      }
    } else if (outcome.reason !== 'finished') refuse(outcome);
    // It became free, or its actor is about to go, since it answered.
    if (system.monotonicMs() > end)
      throw new Problem('unavailable', 'the uniqueness key did not come to rest', { retryAfterSeconds: 1 });
    await system.sleep(limits.accountPollMs);
  }
}

/** The same submit came before: whether it is the same in all is for the task to say. */
async function repeated(context: ApiContext, item: Submission): Promise<Claimed> {
  const [outcome] = (await context.commands.send(item.shard, [item.command])) ?? [];
  if (outcome) refuse(outcome);
  return { id: item.id, status: await statusOfTask(context, item.id), existing: false, replayed: true };
}

function claimCommand(
  context: ApiContext,
  { id, command }: Submission,
  { key, until, for_ms, on_conflict }: NonNullable<Submission['claim']>,
): Command {
  const { input, ...rest } = command;
  const event = {
    type: 'claim',
    task: id,
    input: input as JsonObject,
    until,
    ...(for_ms !== undefined && { for_ms }),
    on_conflict,
  };
  return { ...rest, id: context.system.ulid(), to: key, event };
}

async function holderOf(context: ApiContext, key: Address): Promise<string | undefined> {
  const view = await storedView(context, 'unique', parseAddress(key)!.id);
  const holder = view?.context['holder'];
  return view?.state === 'held' && typeof holder === 'string' ? holder : undefined;
}

async function statusOfTask(context: ApiContext, id: string): Promise<string | undefined> {
  const view = await storedView(context, 'task', id);
  return view && taskStatus(view.state);
}

/** The key's word comes in the commit before that of its task, when both are not in memory or not in one shard. */
async function statusWhenMade(context: ApiContext, id: string, end: number): Promise<string | undefined> {
  const { system } = context;
  for (;;) {
    const status = await statusOfTask(context, id);
    if (status !== undefined || system.monotonicMs() > end) return status;
    await system.sleep(limits.accountPollMs);
  }
}
