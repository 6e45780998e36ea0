/**
 * Routes of conflicts: where two sites wrote different histories of one actor, which goes on, and what became of each input
 * of the one that lost.
 */
import { Router } from 'express';
import { siteOfEpoch } from '../runtime/protocol/siteepoch.ts';
import { stateText } from '../runtime/protocol/envelope.ts';
import type { ConflictRow, HistoryRow } from '../runtime/readmodel.ts';
import { allow } from './auth.ts';
import type { ApiContext } from './context.ts';
import { pageOf } from './page.ts';
import { Problem } from './problem.ts';
import { limitOf, nextLink, queryOf } from './request.ts';

/** Entries of the branch that goes on that are shown beside the other one. */
const winnerEntriesMax = 200;

const names = ['primary', 'secondary'] as const;

function siteOf(epoch: number): string {
  return names[(siteOfEpoch(epoch) ?? 1) - 1]!;
}

export function conflictRoutes(context: ApiContext): Router {
  const router = Router();
  router.get('/', allow('read'), async (request, response) => {
    const query = queryOf(request, ['actor', 'machine', 'limit', 'cursor']);
    const filter = { actor: query.get('actor'), machine: query.get('machine') };
    const { rows, next } = pageOf(await context.conflicts.conflicts(filter, limitOf(query), query.get('cursor')));
    if (next !== undefined) response.set('Link', nextLink('/api/v1/conflicts', query, next));
    response.json({ conflicts: rows.map(summary), next: next ?? null });
  });
  router.get('/:id', allow('read'), async (request, response) => {
    queryOf(request, []);
    const id = String(request.params['id']);
    const row = await context.conflicts.conflict(id);
    if (!row) throw new Problem('not-found', `there is no conflict ${id.slice(0, 64)}`);
    response.json({ ...summary(row), branches: [lostBranch(row), await winningBranch(context, row)] });
  });
  return router;
}

function summary({ id, actor, machine, foundAt, report }: ConflictRow) {
  const { fork, lost, winner, inputs, correction, unjoined } = report;
  const first = lost.records[0]?.record.revision ?? 1;
  return {
    id,
    actor,
    machine,
    found_at: new Date(foundAt).toISOString(),
    fork: {
      epoch: fork.epoch,
      sequence: fork.sequence,
      revision: Math.max(0, first - 1),
      at: lost.records[0] ? new Date(lost.records[0].at).toISOString() : null,
    },
    winner: { site: siteOf(winner.epoch), ...winner },
    loser: { site: siteOf(lost.epoch), epoch: lost.epoch, state: lost.state },
    inputs: inputs.map(({ at, ...input }) => ({ ...input, at: new Date(at).toISOString() })),
    ...(correction && { correction }),
    ...(unjoined !== undefined && { unjoined }),
  };
}

interface BranchEntry {
  revision: number;
  at: string;
  event: string;
  origin: string;
  from: string | null;
  to: string;
}

/** Applied entries, each with the state before it. */
function entriesOf(entries: readonly Omit<BranchEntry, 'from'>[]): BranchEntry[] {
  return entries.map((entry, index) => ({ ...entry, from: entries[index - 1]?.to ?? null }));
}

function lostBranch({ report: { lost } }: ConflictRow): object {
  const entries = lost.records.flatMap(({ at, record }) =>
    record.outcome === undefined && record.revision > 0
      ? [
          {
            revision: record.revision,
            at: new Date(at).toISOString(),
            event: record.event?.type ?? 'create',
            origin: record.origin,
            to: stateText(record.state),
          },
        ]
      : [],
  );
  return { site: siteOf(lost.epoch), epoch: lost.epoch, won: false, entries: entriesOf(entries) };
}

/** What the actor did in the history that goes on, from the fork until the conflict was taken up. */
async function winningBranch(
  { readModel }: ApiContext,
  { actor, foundAt, report: { lost, winner } }: ConflictRow,
): Promise<object> {
  const page = pageOf(await readModel.history(actor, winnerEntriesMax, undefined));
  const losing = new Set(lost.records.map(({ at, record }) => keyOf(at, record.id, record.revision)));
  const since = lost.records[0]?.at ?? foundAt;
  const first = Math.max(1, lost.records.find(({ record }) => record.revision > 0)?.record.revision ?? 1);
  const entries = page.rows
    .filter((row) => isOfWinner(row) && !losing.has(keyOf(row.at, row.envelope, row.revision)))
    .filter((row) => row.at <= foundAt && (row.revision >= first || row.at >= since))
    .map(({ revision, at, event, origin, state }) => ({
      ...{ revision, at: new Date(at).toISOString(), event, origin },
      to: state,
    }));
  return { site: siteOf(winner.epoch), epoch: winner.epoch, won: true, entries: entriesOf(entries) };
}

function isOfWinner({ outcome }: HistoryRow): boolean {
  return outcome === 'applied';
}

function keyOf(at: number, id: string, revision: number): string {
  return `${Math.round(at)} ${id} ${revision}`;
}
