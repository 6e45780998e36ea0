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
  /** Epoch of the site that assigned it. */
  epoch?: number;
}

export type InboxMessage =
  | Assignment
  | { kind: 'cancel'; task: string; token: string }
  | { kind: 'drain' }
  | { kind: 'resume' }
  | { kind: 'shutdown' }
  /** A report was not taken: `report` is its kind; `task` and `token` are there when it was about an attempt. */
  | { kind: 'refused'; report: string; reason: string; task?: string; token?: string };

/**
 * @param flat field names and values in turn, as Redis gives them
 * @returns the message, or a sentence that says why the entry is none; unknown kinds belong to newer servers
 */
export function parseMessage(flat: readonly string[]): InboxMessage | { kind: 'unreadable'; problem: string } {
  const fields = new Map<string, string>();
  for (let index = 0; index + 1 < flat.length; index += 2) fields.set(flat[index]!, flat[index + 1]!);
  const kind = fields.get('kind') ?? '';
  const task = fields.get('task');
  const token = fields.get('token');
  switch (kind) {
    case 'assign':
      return assignment(fields);
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

function assignment(fields: ReadonlyMap<string, string>): Assignment | { kind: 'unreadable'; problem: string } {
  const task = fields.get('task');
  const type = fields.get('type');
  const token = fields.get('token');
  if (!task || !type || !token) return unreadable('an assignment without task, type or token');
  let parameters: unknown;
  try {
    parameters = JSON.parse(fields.get('parameters') ?? 'null');
  } catch (error) {
    return unreadable(`the parameters of ${task} are not JSON: ${String(error)}`);
  }
  const deadlineMs = Number(fields.get('deadline') || NaN);
  const epoch = Number(fields.get('epoch') || NaN);
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
    ...(Number.isFinite(epoch) ? { epoch } : {}),
  };
}

function unreadable(problem: string): { kind: 'unreadable'; problem: string } {
  return { kind: 'unreadable', problem };
}
