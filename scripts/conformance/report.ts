/** What stands in an outbox, as reports, and what is wrong with their form. */
import { parseJson } from '../../runtime/protocol/json.ts';

export interface Report {
  kind: string;
  task?: string;
  token?: string;
  agent?: string;
  generation?: number;
  attempts?: { task: string; token: string }[];
  [member: string]: unknown;
}

export interface SeenEntry {
  atMs: number;
  reports: Report[];
  /** Breaches of the form; such reports are not among the others. */
  problems: string[];
}

export const finals: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'released']);
const kinds: ReadonlySet<string> = new Set([...finals, 'heartbeat', 'started', 'progress', 'chunk', 'goodbye']);
const jsonFields: ReadonlySet<string> = new Set(['attempts', 'result', 'chunk', 'error', 'retryable', 'cost']);

/** @param flat names and values in turn, as Redis gives them */
export function readEntry(flat: readonly string[], atMs: number): SeenEntry {
  const fields: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at]!] = flat[at + 1]!;
  const problems: string[] = [];
  const sender = { agent: fields['agent'], generation: Number(fields['generation']) };
  const raw: Record<string, unknown>[] = [];
  if (fields['batch'] !== undefined) {
    const parsed = parseJson(fields['batch']);
    if (parsed.ok && Array.isArray(parsed.value)) raw.push(...(parsed.value as Record<string, unknown>[]));
    else problems.push('the field batch is no JSON array');
  } else {
    const report: Record<string, unknown> = { ...fields };
    for (const name of jsonFields) {
      if (fields[name] === undefined) continue;
      const parsed = parseJson(fields[name]);
      if (parsed.ok) report[name] = parsed.value;
      else problems.push(`${String(fields['kind'])}: the field ${name} is no JSON: ${fields[name].slice(0, 80)}`);
    }
    if (problems.length === 0) raw.push(report);
  }
  const reports: Report[] = [];
  for (const report of raw) {
    const problem = formProblem(report);
    if (problem === undefined) reports.push({ ...report, ...sender } as Report);
    else problems.push(problem);
  }
  return { atMs, reports, problems };
}

function formProblem(report: Record<string, unknown>): string | undefined {
  const { kind, error, attempts, progress, result } = report;
  if (typeof kind !== 'string' || !kinds.has(kind)) return `there is no report of the kind ${JSON.stringify(kind)}`;
  if (kind === 'completed' && result === undefined) return 'completed has no result';
  if (kind === 'failed' && typeof (error as { message?: unknown } | undefined)?.message !== 'string')
    return 'failed has no error with a message';
  if (kind === 'progress' && progress !== undefined && !(Number(progress) >= 0 && Number(progress) <= 1))
    return `progress is ${JSON.stringify(progress)}, not 0 to 1`;
  if (kind === 'chunk' && (report['chunk'] === undefined || !whole(report['number']) || !whole(report['attempt'])))
    return 'a chunk has no content, no number from 1, or no attempt';
  if (kind === 'heartbeat' && attempts !== undefined && !Array.isArray(attempts))
    return 'the attempts of a heartbeat are no array';
  return undefined;
}

function whole(value: unknown): boolean {
  return /^[1-9]\d{0,8}$/.test(String(value));
}
