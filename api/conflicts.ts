/**
 * Routes of conflicts: where two sites wrote different histories of one actor, which goes on, and what became of each input
 * of the one that lost.
 */
import { Router } from 'express';
import { limits } from '../config/limits.ts';
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
    response.json({ ...summary(row), branches: await branchesOf(context, row) });
  });
  return router;
}

function summary({ id, actor, machine, foundAt, report }: ConflictRow) {
  const { fork, lost, winner, inputs, correction, unjoined } = report;
  return {
    id,
    actor,
    machine,
    found_at: new Date(foundAt).toISOString(),
    fork: {
      epoch: fork.epoch,
      sequence: fork.sequence,
      revision: forkRevision(lost),
      at: lost.records[0] ? new Date(lost.records[0].at).toISOString() : null,
    },
    winner: { site: siteOf(winner.epoch), ...winner },
    loser: { site: siteOf(lost.epoch), epoch: lost.epoch, state: lost.state },
    inputs: inputs.map(({ at, ...input }) => ({ ...input, at: new Date(at).toISOString() })),
    ...(correction && { correction }),
    ...(unjoined !== undefined && { unjoined }),
  };
}

/** Revision that both histories have. */
function forkRevision({ records }: ConflictRow['report']['lost']): number {
  const first = records[0]?.record;
  if (!first) return 0;
  return first.outcome === undefined ? Math.max(0, first.revision - 1) : first.revision;
}

interface BranchEntry {
  revision: number;
  at: string;
  event: string;
  origin: string;
  from: string | null;
  to: string;
}

/** @param forked the state that both branches began in; null where each made the actor */
function entriesOf(entries: readonly Omit<BranchEntry, 'from'>[], forked: string | null): BranchEntry[] {
  return entries.map((entry, index) => ({ ...entry, from: entries[index - 1]?.to ?? forked }));
}

/** What the actor did after the fork: in the history that gave way, and in the one that goes on until that was taken up. */
async function branchesOf({ readModel }: ApiContext, row: ConflictRow): Promise<object[]> {
  const { actor, foundAt } = row;
  const { lost, winner } = row.report;
  const losing = new Set(lost.records.map(({ at, record }) => keyOf(at, record.id, record.revision)));
  const fork = forkRevision(lost);
  const kept: HistoryRow[] = [];
  let forked: string | null = null;
  let cursor: string | undefined;
  do {
    const page = pageOf(await readModel.history(actor, limits.listLimitMax, cursor, fork));
    for (const one of page.rows) {
      if (one.outcome !== 'applied' || losing.has(keyOf(one.at, one.envelope, one.revision))) continue;
      if (one.revision === fork) forked = one.state;
      else if (one.at <= foundAt) kept.push(one);
    }
    cursor = page.next;
  } while (cursor !== undefined && kept.length <= winnerEntriesMax);
  const entries = kept.slice(0, winnerEntriesMax).map(({ revision, at, event, origin, state }) => ({
    ...{ revision, at: new Date(at).toISOString(), event, origin },
    to: state,
  }));
  return [
    lostBranch(row, forked),
    {
      ...{ site: siteOf(winner.epoch), epoch: winner.epoch, won: true, entries: entriesOf(entries, forked) },
      ...(kept.length > winnerEntriesMax && { truncated: true }),
    },
  ];
}

function lostBranch({ report: { lost } }: ConflictRow, forked: string | null): object {
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
  return { site: siteOf(lost.epoch), epoch: lost.epoch, won: false, entries: entriesOf(entries, forked) };
}

function keyOf(at: number, id: string, revision: number): string {
  return `${Math.round(at)} ${id} ${revision}`;
}
