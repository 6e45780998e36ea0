/** What arrives in an agent's inbox, parsed from the fields of a stream entry. */
export interface Assignment {
  kind: 'assign';
  task: string;
  type: string;
  attempt: number;
  /** Authority over the attempt: every report about it quotes the token. */
  token: string;
  parameters: unknown;
  /** Epoch milliseconds after which nobody wants the result. */
  deadlineMs?: number;
  traceparent?: string;
}

export type InboxMessage = Told & {
  /** Of the site that sent it. */
  epoch?: number;
};

type Told =
  | Assignment
  | { kind: 'cancel'; task: string; token: string }
  | { kind: 'drain' }
  | { kind: 'resume' }
  | { kind: 'shutdown' }
  /** A report was not taken: `report` is its kind; `task` and `token` are there when it was about an attempt. */
  | { kind: 'refused'; report: string; reason: string; task?: string; token?: string };

export type Unreadable = { kind: 'unreadable'; problem: string };

/**
 * @param flat field names and values in turn, as Redis gives them
 * @returns the messages of the entry; for each that is none a sentence that says why. Unknown kinds belong to newer servers
 */
export function parseEntry(flat: readonly string[]): (InboxMessage | Unreadable)[] {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) fields.set(flat[index]!, flat[index + 1]!);
  const epoch = Number(fields.get('epoch') || NaN);
  const of = (message: Told | Unreadable): InboxMessage | Unreadable =>
    message.kind === 'unreadable' || !Number.isFinite(epoch) ? message : { ...message, epoch };
  const batch = fields.get('batch');
  if (batch === undefined) return [of(parseMessage(fields))];
  const items = parsed(batch);
  if (!Array.isArray(items)) return [unreadable('the batch is no JSON array')];
  return items.map((item: unknown) => {
    if (typeof item !== 'object' || item === null) return unreadable('an item of the batch is no object');
    const { parameters, ...rest } = item as Record<string, unknown>;
    const texts = new Map(Object.entries(rest).map(([name, value]) => [name, String(value)]));
    return of(texts.get('kind') === 'assign' ? assignment(texts, parameters ?? null) : parseMessage(texts));
  });
}

function parseMessage(fields: ReadonlyMap<string, string>): Told | Unreadable {
  const kind = fields.get('kind') ?? '';
  const task = fields.get('task');
  const token = fields.get('token');
  switch (kind) {
    case 'assign':
      return assignment(fields, parsed(fields.get('parameters') ?? 'null'));
    case 'cancel':
      if (!task || !token) return unreadable('a cancel without task or token');
      return { kind, task, token };
    case 'drain':
    case 'resume':
    case 'shutdown':
      return { kind };
    case 'refused':
      return {
        kind,
        report: fields.get('report') ?? '',
        reason: fields.get('reason') ?? '',
        ...(task ? { task } : {}),
        ...(token ? { token } : {}),
      };
    default:
      return unreadable(`the kind '${kind.slice(0, 40)}' is not known`);
  }
}

/** @param parameters undefined when they are not JSON */
function assignment(fields: ReadonlyMap<string, string>, parameters: unknown): Assignment | Unreadable {
  const task = fields.get('task');
  const type = fields.get('type');
  const token = fields.get('token');
  if (!task || !type || !token) return unreadable('an assignment without task, type or token');
  if (parameters === undefined) return unreadable(`the parameters of ${task} are not JSON`);
  const deadlineMs = Number(fields.get('deadline') || NaN);
  const traceparent = fields.get('traceparent');
  return {
    kind: 'assign',
    task,
    type,
    token,
    attempt: Number(fields.get('attempt') ?? 1),
    parameters,
    ...(Number.isFinite(deadlineMs) ? { deadlineMs } : {}),
    ...(traceparent ? { traceparent } : {}),
  };
}

/** @returns undefined where it is not JSON */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function unreadable(problem: string): Unreadable {
  return { kind: 'unreadable', problem };
}
