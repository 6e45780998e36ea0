/**
 * From an agent's report to events. An outbox is untrusted ingress: what it names is checked here and by the machines'
 * schemas, and an agent can speak for itself only, because the outbox an entry stands in says whose report it is.
 */
import { limits } from '../../config/limits.ts';
import { fieldsOf } from '../../runtime/core/intake.ts';
import type { Application, Entry } from '../../runtime/ports.ts';
import type { Envelope, MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address, isId } from '../../runtime/protocol/ids.ts';
import { isObject, parseJson, storageProblem, textProblem, type JsonObject } from '../../runtime/protocol/json.ts';

/** Kind of a report -> event of the task, and the members it carries over. */
const taskReports: Readonly<Record<string, { type: string; members: readonly string[] }>> = {
  started: { type: 'start', members: [] },
  progress: { type: 'progress', members: ['progress', 'note'] },
  completed: { type: 'complete', members: ['result'] },
  failed: { type: 'fail', members: ['error', 'retryable'] },
  released: { type: 'release', members: ['reason'] },
  cancelled: { type: 'cancelled', members: [] },
};

/** Members that stand in a stream field as JSON, and the ones that stand there as a number. */
const jsonMembers = new Set(['result', 'error', 'retryable', 'attempts']);
const numberMembers = new Set(['progress', 'generation']);
const memberBounds = { depthMax: limits.jsonDepthMax, keysMax: limits.jsonKeysMax };

type Outcome = ReturnType<Application['report']>;

export function translateReport(agent: string, entry: Entry): Outcome {
  const fields = fieldsOf(entry);
  const batch = fields.get('batch');
  const reports: Record<string, unknown>[] = [];
  if (batch !== undefined) {
    const parsed = parseJson(batch);
    if (!parsed.ok) return { problem: 'not-json', detail: `batch: ${parsed.error}` };
    if (!Array.isArray(parsed.value) || parsed.value.length > limits.batchEnvelopesMax || !parsed.value.every(isObject))
      return { problem: 'bad-batch', detail: `batch is an array of at most ${limits.batchEnvelopesMax} reports` };
    reports.push(...(parsed.value as Record<string, unknown>[]));
    // Each member has the bounds that it would have in a report of its own.
    for (const [index, report] of reports.entries())
      for (const member of Object.values(report)) {
        const unsafe = storageProblem(member, memberBounds);
        if (unsafe) return { problem: 'bad-report', detail: `report ${index}: ${unsafe}` };
      }
  } else {
    const report: Record<string, unknown> = {};
    for (const [name, text] of fields) {
      const problem = textProblem(text);
      if (problem) return { problem: 'bad-report', detail: `${name} ${problem}` };
      if (jsonMembers.has(name)) {
        const parsed = parseJson(text);
        if (!parsed.ok) return { problem: 'not-json', detail: `${name}: ${parsed.error}` };
        const unsafe = storageProblem(parsed.value, memberBounds);
        if (unsafe) return { problem: 'bad-report', detail: `${name}: ${unsafe}` };
        report[name] = parsed.value;
      } else report[name] = numberMembers.has(name) && text !== '' ? Number(text) : text;
    }
    reports.push(report);
  }

  const envelopes: Envelope[] = [];
  const named = fields.get('agent');
  if (named !== undefined && named !== agent)
    return { problem: 'foreign-agent', detail: `the outbox of ${agent} has a report of ${named.slice(0, 100)}` };
  const generation = generationOf(fields.get('generation') ?? reports[0]?.['generation']);
  let heard = false;
  for (const [index, report] of reports.entries()) {
    const kind = report['kind'];
    if (typeof kind !== 'string') return { problem: 'bad-report', detail: `report ${index} has no kind` };
    const id = `${entry.id}.${index}`;
    if (kind === 'heartbeat' || kind === 'goodbye') {
      heard = true;
      const event: Record<string, unknown> = { type: kind, ...generation };
      if (kind === 'heartbeat' && report['attempts'] !== undefined) event['attempts'] = report['attempts'];
      if (kind === 'goodbye' && report['reason'] !== undefined) event['reason'] = report['reason'];
      envelopes.push(envelope(id, address('agent', agent), agent, event as MachineEvent, report));
      continue;
    }
    const known = Object.hasOwn(taskReports, kind) ? taskReports[kind] : undefined;
    if (!known) return { problem: 'unknown-kind', detail: `report ${index} has the kind "${kind.slice(0, 40)}"` };
    const task = report['task'];
    if (typeof task !== 'string' || !isId(task))
      return { problem: 'bad-report', detail: `report ${index} (${kind}) names no task` };
    const event: Record<string, unknown> = { type: known.type, token: report['token'] ?? '', agent };
    for (const member of known.members) if (report[member] !== undefined) event[member] = report[member];
    if (kind === 'completed' && event['result'] === undefined) event['result'] = null;
    envelopes.push(envelope(id, address('task', task), agent, event as MachineEvent, report));
  }
  // Any report is a sign of life.
  if (!heard)
    envelopes.push(envelope(`${entry.id}.seen`, address('agent', agent), agent, { type: 'seen', ...generation }, {}));
  return { envelopes };
}

function generationOf(value: unknown): { generation?: number } {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' ? { generation: number } : {};
}

function envelope(
  id: string,
  to: Envelope['to'],
  by: string,
  event: MachineEvent,
  report: Record<string, unknown>,
): Envelope {
  const traceparent = report['traceparent'];
  return {
    id,
    to,
    origin: 'report',
    by,
    event: event as JsonObject & MachineEvent,
    ...(typeof traceparent === 'string' && traceparent.length <= 128 && { traceparent }),
  };
}

/** What the agent is told when a report was refused (R6). */
export function answerRefusal(envelope: Envelope, reason: string, detail: string): ReturnType<Application['refusal']> {
  const { event, by } = envelope;
  if (!event || by === undefined || event.type === 'seen') return [];
  const task = envelope.to.startsWith('task/') ? envelope.to.slice('task/'.length) : '';
  const token = typeof event['token'] === 'string' ? event['token'] : '';
  return [{ kind: 'post', mailbox: by, message: { kind: 'refused', report: event.type, task, token, reason, detail } }];
}
