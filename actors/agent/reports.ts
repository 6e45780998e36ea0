/**
 * From an agent's report to events. An outbox is untrusted ingress: what it names is checked here and by the machines'
 * schemas, and an agent can speak for itself only, because the outbox an entry stands in says whose report it is.
 */
import { limits } from '../../config/limits.ts';
import { fieldsOf } from '../../runtime/core/intake.ts';
import type { Application, Entry, ReportProblem } from '../../runtime/ports.ts';
import type { Envelope, MachineEvent } from '../../runtime/protocol/envelope.ts';
import { address, isId } from '../../runtime/protocol/ids.ts';
import { isObject, parseJson, storageProblem, textProblem, type JsonObject } from '../../runtime/protocol/json.ts';

/** Kind of a report -> event of the task, and the members it carries over. */
const taskReports: Readonly<Record<string, { type: string; members: readonly string[] }>> = {
  started: { type: 'start', members: [] },
  progress: { type: 'progress', members: ['progress', 'note'] },
  chunk: { type: 'chunk', members: ['attempt', 'number', 'chunk'] },
  completed: { type: 'complete', members: ['result', 'cost'] },
  failed: { type: 'fail', members: ['error', 'retryable', 'cost'] },
  released: { type: 'release', members: ['reason'] },
  cancelled: { type: 'cancelled', members: [] },
};

/** Members that stand in a stream field as JSON, and the ones that stand there as a number. */
const jsonMembers = new Set(['result', 'chunk', 'error', 'retryable', 'cost', 'attempts']);
const numberMembers = new Set(['progress', 'generation', 'attempt', 'number']);
const memberBounds = { depthMax: limits.jsonDepthMax, keysMax: limits.jsonKeysMax };

type Outcome = ReturnType<Application['report']>;

/** One report of an entry, taken or not. */
type Read = { report: Record<string, unknown> } | { problem: string; detail: string };

export function translateReport(agent: string, entry: Entry): Outcome {
  const fields = fieldsOf(entry);
  const named = fields.get('agent');
  if (named !== undefined && named !== agent)
    return refused(entry, agent, 'foreign-agent', `the outbox of ${agent} has a report of ${named.slice(0, 100)}`);
  const batch = fields.get('batch');
  if (batch === undefined) return translated(entry, agent, fields, [readFields(fields)]);
  const parsed = parseJson(batch);
  if (!parsed.ok) return refused(entry, agent, 'not-json', `batch: ${parsed.error}`);
  if (!Array.isArray(parsed.value) || parsed.value.length > limits.batchEnvelopesMax)
    return refused(entry, agent, 'bad-batch', `batch is an array of at most ${limits.batchEnvelopesMax} reports`);
  return translated(entry, agent, fields, parsed.value.map(readMember), parsed.value);
}

/** A report in fields of its own: text, and JSON where the member is more than a text. */
function readFields(fields: ReadonlyMap<string, string>): Read {
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
  return { report };
}

/** A report of a batch: each member has the bounds that it would have in a report of its own. */
function readMember(value: unknown, index: number): Read {
  if (!isObject(value)) return { problem: 'bad-report', detail: `report ${index} is no object` };
  for (const member of Object.values(value)) {
    const unsafe = storageProblem(member, memberBounds);
    if (unsafe) return { problem: 'bad-report', detail: `report ${index}: ${unsafe}` };
  }
  return { report: value };
}

/** @param members of the batch, for what is set aside of it; a report in fields of its own is set aside as it stands */
function translated(
  entry: Entry,
  agent: string,
  fields: ReadonlyMap<string, string>,
  reads: readonly Read[],
  members?: readonly unknown[],
): Outcome {
  const envelopes: Envelope[] = [];
  const problems: ReportProblem[] = [];
  const first = reads.find((read) => 'report' in read)?.report;
  const generation = generationOf(fields.get('generation') ?? first?.['generation']);
  let heard = false;
  for (const [index, read] of reads.entries()) {
    const taken = 'report' in read ? eventOf(read.report, index, agent, generation) : read;
    if ('problem' in taken) {
      const alone = members && [
        'agent',
        agent,
        ...generationFields(generation),
        'batch',
        JSON.stringify([members[index]]),
      ];
      problems.push(problemOf(agent, taken, alone ?? entry.fields, 'report' in read ? read.report : {}));
      continue;
    }
    heard ||= taken.aboutAgent;
    envelopes.push(envelope(`${entry.id}.${index}`, taken.to, agent, taken.event, taken.report));
  }
  // Any report is a sign of life.
  if (!heard && envelopes.length > 0)
    envelopes.push(envelope(`${entry.id}.seen`, address('agent', agent), agent, { type: 'seen', ...generation }, {}));
  return { envelopes, problems };
}

type Taken = { to: Envelope['to']; event: MachineEvent; report: Record<string, unknown>; aboutAgent: boolean };

function eventOf(
  report: Record<string, unknown>,
  index: number,
  agent: string,
  generation: { generation?: number },
): Taken | { problem: string; detail: string } {
  const kind = report['kind'];
  if (typeof kind !== 'string') return { problem: 'bad-report', detail: `report ${index} has no kind` };
  if (kind === 'heartbeat' || kind === 'goodbye') {
    const event: Record<string, unknown> = { type: kind, ...generation };
    if (kind === 'heartbeat' && report['attempts'] !== undefined) event['attempts'] = report['attempts'];
    if (kind === 'goodbye' && report['reason'] !== undefined) event['reason'] = report['reason'];
    return { to: address('agent', agent), event: event as MachineEvent, report, aboutAgent: true };
  }
  const known = Object.hasOwn(taskReports, kind) ? taskReports[kind] : undefined;
  if (!known) return { problem: 'unknown-kind', detail: `report ${index} has the kind "${kind.slice(0, 40)}"` };
  const task = report['task'];
  if (typeof task !== 'string' || !isId(task))
    return { problem: 'bad-report', detail: `report ${index} (${kind.slice(0, 40)}) names no task` };
  const event: Record<string, unknown> = { type: known.type, token: report['token'] ?? '', agent };
  for (const member of known.members) if (report[member] !== undefined) event[member] = report[member];
  if (kind === 'completed' && event['result'] === undefined) event['result'] = null;
  return { to: address('task', task), event: event as MachineEvent, report, aboutAgent: false };
}

/** Nothing of the entry can be taken. */
function refused(entry: Entry, agent: string, problem: string, detail: string): Outcome {
  return { envelopes: [], problems: [problemOf(agent, { problem, detail }, entry.fields, {})] };
}

function problemOf(
  agent: string,
  { problem: reason, detail }: { problem: string; detail: string },
  fields: readonly string[],
  report: Record<string, unknown>,
): ReportProblem {
  const text = (member: string, lengthMax: number): string => {
    const value = report[member];
    return typeof value === 'string' && value.length <= lengthMax ? value : '';
  };
  const [kind, task, token] = [text('kind', 40), text('task', limits.idLengthMax), text('token', limits.nameLengthMax)];
  const message = { kind: 'refused', report: kind, task, token, reason, detail };
  return { reason, detail, fields, answer: [{ kind: 'post', mailbox: agent, message }] };
}

function generationFields({ generation }: { generation?: number }): string[] {
  return generation === undefined ? [] : ['generation', String(generation)];
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

/** The kind under which an agent knows an event. */
function kindOf(type: string): string {
  return Object.keys(taskReports).find((kind) => taskReports[kind]!.type === type) ?? type;
}

/** What the agent is told when a report was refused (R6). */
export function answerRefusal(envelope: Envelope, reason: string, detail: string): ReturnType<Application['refusal']> {
  const { event, by } = envelope;
  if (!event || by === undefined || event.type === 'seen') return [];
  const task = envelope.to.startsWith('task/') ? envelope.to.slice('task/'.length) : '';
  const token = typeof event['token'] === 'string' ? event['token'] : '';
  return [
    {
      kind: 'post',
      mailbox: by,
      message: { kind: 'refused', report: kindOf(event.type), task, token, reason, detail },
    },
  ];
}
