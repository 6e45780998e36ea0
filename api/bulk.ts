/**
 * Bulk submits: each item has an outcome of its own. Items may depend on others of the same request; they are published in
 * waves, parents first, so that no child asks for a parent which does not exist yet.
 */
import type { Request, Response } from 'express';
import { limits } from '../config/limits.ts';
import type { Outcome } from '../runtime/protocol/envelope.ts';
import { acknowledgementOf, confirm } from './acknowledgement.ts';
import { callerOf } from './auth.ts';
import { claim } from './claims.ts';
import type { ApiContext } from './context.ts';
import { addParents, levelsOf, type KnownParent } from './dependencies.ts';
import { refuse } from './outcome.ts';
import { asProblem, Problem } from './problem.ts';
import { preferencesOf } from './request.ts';
import { accepted, claimedTask, prepare, refuseTooCostly, statusOf } from './submission.ts';
import type { Submission } from './submitted.ts';

interface Placed {
  item: Submission;
  index: number;
}

export async function submitMany(
  context: ApiContext,
  request: Request,
  response: Response,
  sources: readonly (() => unknown)[],
  key: string | undefined,
): Promise<void> {
  if (sources.length === 0 || sources.length > limits.batchEnvelopesMax)
    throw new Problem(
      'invalid-request',
      `a bulk submit has 1 to ${limits.batchEnvelopesMax} tasks, this one has ${sources.length}`,
    );
  const answers: object[] = [];
  const fail = (index: number, error: unknown): void => {
    const problem = asProblem(error);
    if (problem.code === 'internal-error') throw error;
    answers[index] = { index, error: problem.toJSON() };
  };
  const accept = (index: number, item: Submission, outcome: Outcome | undefined): void => {
    try {
      if (outcome) refuse(outcome);
      answers[index] = { index, ...accepted(item.id, statusOf(outcome)) };
    } catch (error) {
      fail(index, error);
    }
  };
  const prepared: Placed[] = [];
  for (const [index, source] of sources.entries()) {
    try {
      const itemKey = key === undefined ? undefined : `${key}/${index}`;
      const item = prepare(context, request, source(), itemKey, `/${index}`);
      await refuseTooCostly(context, item);
      prepared.push({ index, item });
    } catch (error) {
      fail(index, error);
    }
  }
  const { levels, problems } = levelsOf(prepared.map(({ item }) => item));
  for (const [at, problem] of problems) fail(prepared[at]!.index, problem);
  const waitMs = preferencesOf(request).async && levels.length === 1 ? 0 : limits.replyWaitMs;
  const idOfRef = new Map(prepared.map(({ item }) => [`#${item.ref ?? ''}`, item.id]));
  const refused = new Set<string>();
  const known = new Map<string, Promise<KnownParent>>();
  for (const level of levels) {
    const ready: Placed[] = [];
    for (const at of level) {
      const placed = prepared[at]!;
      const parents = placed.item.dependsOn.map((parent) => idOfRef.get(parent) ?? parent);
      try {
        const gone = parents.findIndex((parent) => refused.has(parent));
        if (gone !== -1)
          throw new Problem('invalid-request', `it depends on ${placed.item.dependsOn[gone]}, which was refused`, {
            where: `${placed.item.at}/depends_on/${gone}`,
          });
        const outside = placed.item.dependsOn.filter((parent) => !parent.startsWith('#'));
        await addParents(context, callerOf(request), placed.item, outside, known, parents);
        ready.push(placed);
      } catch (error) {
        fail(placed.index, error);
      }
    }
    await Promise.all(
      entriesOf(ready.filter(({ item }) => !item.claim)).map(async (entry) => {
        try {
          const commands = entry.map(({ item }) => item.command);
          const outcomes = await context.commands.send(entry[0]!.item.shard, commands, waitMs);
          for (const [at, { item, index }] of entry.entries()) accept(index, item, outcomes?.[at]);
        } catch (error) {
          for (const { index } of entry) fail(index, error);
        }
      }),
    );
    for (const { index, item } of ready.filter(({ item: { claim: wanted } }) => wanted)) {
      // One after the other: of two items with one key the first is to have it.
      try {
        const { id, status, existing } = await claim(context, item);
        answers[index] = { index, ...claimedTask(id, status, existing) };
        if (item.ref !== undefined) idOfRef.set(`#${item.ref}`, id);
      } catch (error) {
        fail(index, error);
      }
    }
    for (const { index, item } of level.map((at) => prepared[at]!))
      if ('error' in answers[index]!) refused.add(item.id);
  }
  if (acknowledgementOf(request) === 'peer') await confirm(context, response);
  const failed = answers.filter((answer) => 'error' in answer).length;
  response
    .status(failed === 0 ? 202 : 207)
    .json({ accepted: answers.length - failed, refused: failed, items: answers });
}

/** One stream entry for each shard, or several where one would be too large. */
function entriesOf(prepared: readonly Placed[]): Placed[][] {
  const entries: Placed[][] = [];
  const open = new Map<number, { list: Placed[]; bytes: number }>();
  for (const one of prepared) {
    const bytes = Buffer.byteLength(JSON.stringify(one.item.command));
    let entry = open.get(one.item.shard);
    if (!entry || entry.bytes + bytes > limits.entryBytesMax / 2) {
      entry = { list: [], bytes: 0 };
      open.set(one.item.shard, entry);
      entries.push(entry.list);
    }
    entry.list.push(one);
    entry.bytes += bytes;
  }
  return entries;
}
