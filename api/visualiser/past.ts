/** The past of one actor, as PostgreSQL has it, and taken through its machine once more. */
import { limits } from '../../config/limits.ts';
import type { Chart, Replayed, ReplayRun, Standing } from '../../runtime/ports.ts';
import type { Envelope, MachineEvent, Origin } from '../../runtime/protocol/envelope.ts';
import { parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import { isObject, type Json, type JsonObject } from '../../runtime/protocol/json.ts';
import { redacted } from '../../runtime/protocol/redaction.ts';
import type { HistoryRow } from '../../runtime/readmodel.ts';
import type { ApiContext } from '../context.ts';
import { Problem } from '../problem.ts';
import { pageOf } from '../page.ts';

export interface Past {
  rows: HistoryRow[];
  /** There is more history than a replay takes: the newest records are missing. */
  truncated: boolean;
}

export interface Divergence {
  /** Number of the record that could not be decided as it had been. */
  at: number;
  detail: string;
}

export async function pastOf(context: ApiContext, actor: Address): Promise<Past> {
  const rows: HistoryRow[] = [];
  let cursor: string | undefined;
  do {
    const page = pageOf(await context.readModel.history(actor, limits.listLimitMax, cursor));
    rows.push(...page.rows);
    cursor = page.next;
  } while (cursor !== undefined && rows.length < limits.replayRecordsMax);
  return { rows, truncated: cursor !== undefined };
}

/** What stands in the task's row and not in its history. */
export interface Row {
  parameters: Json;
  result: Json;
}

export async function rowOf(context: ApiContext, actor: Address): Promise<Row | undefined> {
  const { definition, id } = parseAddress(actor)!;
  return definition === 'task' ? await context.readModel.task(id) : undefined;
}

/** One record of history as the envelope that it was, with what stands elsewhere filled in. */
export function envelopeOf(row: HistoryRow, actor: Address, chart: Chart, filled: Row | undefined): Envelope {
  const members = isObject(row.payload) ? (row.payload as JsonObject) : {};
  const origin = row.origin as Origin;
  const base = { id: row.envelope, to: actor, origin, ...(row.by !== null && { by: row.by }) };
  if (row.event === 'create' && !chart.commands.includes('create'))
    return { ...base, input: { ...members, ...(filled && { parameters: redacted(filled.parameters) }) } };
  const event: MachineEvent = { ...members, type: row.event };
  return {
    ...base,
    event: row.event === 'complete' && filled ? { ...event, result: redacted(filled.result) } : event,
  };
}

export interface Retold {
  run: ReplayRun;
  /** What became of each record that was replayed. */
  replayed: Replayed[];
  divergence: Divergence | undefined;
}

/**
 * Replays the first records. It stops where the machine decides otherwise than it did: the definition has changed since.
 * Lets others run in between, because the shards of this process wait meanwhile.
 */
export async function retell(
  context: ApiContext,
  actor: Address,
  chart: Chart,
  rows: readonly HistoryRow[],
  filled: Row | undefined,
): Promise<Retold> {
  const run = context.machines.replay(actor);
  if (!run) throw new Problem('not-found', `there is no definition for ${actor}`);
  const replayed: Replayed[] = [];
  for (const [index, row] of rows.entries()) {
    if (index % limits.replaySliceEntries === limits.replaySliceEntries - 1) await context.system.sleep(0);
    if (row.outcome !== 'applied') {
      replayed.push(unchanged(row, replayed[index - 1]));
      continue;
    }
    const one = run.apply(envelopeOf(row, actor, chart, filled), Math.round(row.at));
    const detail = differs(row, one);
    if (detail !== undefined) return { run, replayed, divergence: { at: index, detail } };
    replayed.push(one);
  }
  return { run, replayed, divergence: undefined };
}

function unchanged(row: HistoryRow, before: Replayed | undefined): Replayed {
  return {
    outcome: row.outcome as Replayed['outcome'],
    state: before?.state ?? '',
    revision: before?.revision ?? 0,
    effects: [],
    ...(row.reason !== null && { reason: row.reason }),
  };
}

function differs(row: HistoryRow, one: Replayed): string | undefined {
  if (one.outcome !== 'applied')
    return `"${row.event}" was applied, and is ${one.outcome} now${one.detail === undefined ? '' : `: ${one.detail}`}`;
  if (one.state !== row.state) return `"${row.event}" led to ${row.state}, and leads to ${one.state} now`;
  if (one.revision !== row.revision)
    return `the record has revision ${row.revision} and the replay ${one.revision}: older history is missing`;
  return undefined;
}

export function standingResource(standing: Standing): object {
  const { context, since, timers, ...rest } = standing;
  return {
    ...rest,
    since: new Date(since).toISOString(),
    timers: Object.fromEntries(Object.entries(timers).map(([timer, dueMs]) => [timer, new Date(dueMs).toISOString()])),
    context: redacted(context),
  };
}
