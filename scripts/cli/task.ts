/** `submit` and `task`: what users do with tasks. */
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { member } from './client.ts';
import { UsageError } from './usage.ts';
import type { Call, Command, OptionRule } from './command.ts';
import type { Column } from './output.ts';

const filters: Readonly<Record<string, OptionRule>> = {
  status: { type: 'string', value: 'S', describe: 'only tasks in this status' },
  type: { type: 'string', value: 'TYPE', describe: 'only tasks of this type' },
  tenant: { type: 'string', value: 'NAME', describe: 'only tasks of this tenant' },
};

const settled = new Set(['succeeded', 'cancelled', 'expired', 'parked']);

export const taskColumns = (output: Call['output']): Column<JsonObject>[] => [
  { title: 'id', of: (task) => task['id'] },
  { title: 'type', of: (task) => task['type'], flexible: true },
  { title: 'status', of: (task) => output.status(member(task, 'status')) },
  { title: 'pri', of: (task) => task['priority'] },
  { title: 'created', of: (task) => member(task, 'created_at').slice(0, 19) },
];

export const taskCommands: readonly Command[] = [
  {
    words: 'submit',
    positionals: '[TYPE]',
    summary: 'submits a task, or with --file many: a JSON array or NDJSON',
    options: {
      parameters: { type: 'string', value: 'JSON', describe: 'what the agent is given; "-" reads it' },
      priority: { type: 'string', value: 'N', describe: 'higher goes first (default: 0)' },
      tenant: { type: 'string', value: 'NAME', describe: 'whose task it is' },
      options: { type: 'string', value: 'JSON', describe: 'further members of the body of POST /api/v1/tasks' },
      file: { type: 'string', value: 'FILE', describe: 'tasks as JSON array or NDJSON; "-" reads them' },
      key: { type: 'string', value: 'KEY', describe: 'Idempotency-Key: the same submit again is the same task' },
      wait: { type: 'boolean', describe: 'waits until it is settled; exit code 0 only if it succeeded' },
    },
    examples: ['submit echo --parameters \'{"hello":"world"}\' --wait', 'submit --file tasks.ndjson --key import-7'],
    run: submit,
  },
  {
    words: 'task get',
    positionals: 'ID',
    summary: 'one task: where it stands, and why',
    options: { wait: { type: 'string', value: 'SECONDS', describe: 'waits until it is settled, at most so long' } },
    run: async ({ positionals: [id], whole, output, api }) => {
      const wait = whole('wait', 0, 60);
      const { body } = await api('read').call(taskPath(id!), {
        ...(wait !== undefined && { headers: { Prefer: `wait=${wait}` } }),
      });
      output.show(body, () => output.members(body));
      return 0;
    },
  },
  {
    words: 'task list',
    summary: 'tasks, newest first',
    options: {
      ...filters,
      agent: { type: 'string', value: 'ID', describe: 'only tasks that this agent has or had' },
      text: { type: 'string', value: 'WORDS', describe: 'only tasks in which these words stand' },
      limit: { type: 'string', value: 'N', describe: 'at most so many (default: 25)' },
    },
    examples: ['task list --status parked --json'],
    run: async ({ text, whole, output, api }) => {
      const query = Object.fromEntries(['status', 'type', 'tenant', 'agent', 'text'].map((name) => [name, text(name)]));
      const tasks = await api('read').list('/api/v1/tasks', query, whole('limit', 1, 100_000) ?? 25);
      output.show(tasks, () =>
        tasks.length === 0 ? output.line('no such tasks') : output.table(taskColumns(output), tasks),
      );
      return 0;
    },
  },
  {
    words: 'task watch',
    positionals: 'ID',
    summary: 'shows what happens to a task until it is settled; exit code 0 only if it succeeded',
    run: async ({ positionals: [id], output, api, signal }) => {
      let status = '';
      for await (const { event, data } of api('read').events(`${taskPath(id!)}/events`, { signal })) {
        status = member(data, 'status') || status;
        output.show({ event, ...data }, () => {
          const at = member(data, 'at') || member(data, 'status_since');
          const outcome = member(data, 'outcome');
          const what = [member(data, 'event'), outcome === 'applied' ? '' : outcome, member(data, 'reason')];
          output.line(
            `${at.slice(0, 23)}  ${output.status(status)}  ${what.filter((part) => part !== '').join(' ')}`.trimEnd(),
          );
        });
        if (settled.has(status)) break;
      }
      return status === 'succeeded' ? 0 : 1;
    },
  },
  ...(['pause', 'resume'] as const).map((word): Command => ({
    words: `task ${word}`,
    positionals: 'ID...',
    summary: word === 'pause' ? 'keeps a task that waits from being started' : 'lets a paused task go on',
    run: (call) => each(call, (id) => call.api('tasks:cancel').call(`${taskPath(id)}/${word}`, { method: 'POST' })),
  })),
  {
    words: 'task retry',
    positionals: 'ID...',
    summary: 'takes a parked task up again',
    options: { parameters: { type: 'string', value: 'JSON', describe: 'other parameters than before' } },
    run: (call) => {
      const parameters = call.text('parameters');
      const body = parameters === undefined ? {} : { parameters: jsonOf(parameters, '--parameters') };
      return each(call, (id) => call.api('tasks:redrive').call(`${taskPath(id)}/redrive`, { body }));
    },
  },
  {
    words: 'task history',
    positionals: 'ID',
    summary: 'every transition of a task, oldest first',
    options: { limit: { type: 'string', value: 'N', describe: 'at most so many (default: 1000)' } },
    run: async ({ positionals: [id], whole, output, api }) => {
      const items = await api('read').list(`${taskPath(id!)}/history`, {}, whole('limit', 1, 100_000) ?? 1_000);
      output.show(items, () =>
        output.table<JsonObject>(
          [
            { title: 'at', of: (item) => member(item, 'at').slice(0, 23) },
            { title: 'event', of: (item) => item['event'] ?? 'submit', flexible: true },
            { title: 'status', of: (item) => output.status(member(item, 'state').split('.').pop()!) },
            { title: 'outcome', of: (item) => item['outcome'] },
            { title: 'reason', of: (item) => item['reason'], flexible: true },
          ],
          items,
        ),
      );
      return 0;
    },
  },
];

export function taskPath(id: string): string {
  return `/api/v1/tasks/${encodeURIComponent(id)}`;
}

/** @throws UsageError that says where it is no JSON */
export function jsonOf(text: string, where: string): unknown {
  try {
    return JSON.parse(text === '-' ? readFileSync(0, 'utf8') : text) as unknown;
  } catch (error) {
    throw new UsageError(`${where} is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Does the same to several; the others are done also where one is refused. @returns 1 when one was */
export async function each(
  { positionals, output }: Pick<Call, 'positionals' | 'output'>,
  act: (id: string) => Promise<{ body: JsonObject }>,
): Promise<number> {
  let code = 0;
  for (const id of positionals) {
    try {
      const { body } = await act(id);
      output.show(body, () => output.line(`${id}  ${output.status(member(body, 'status'))}`));
    } catch (error) {
      if (positionals.length === 1) throw error;
      code = 1;
      const message = error instanceof Error ? error.message : String(error);
      output.show({ id, error: message }, () => output.line(`${id}  ${output.paint(message, 'bad')}`));
    }
  }
  return code;
}

async function submit({ positionals: [type], text, whole, flag, output, api }: Call): Promise<number> {
  const [file, key] = [text('file'), text('key')];
  const headers = key === undefined ? {} : { 'Idempotency-Key': key };
  const client = api('tasks:submit');
  if (file !== undefined) {
    if (type !== undefined) throw new UsageError('submit takes a type or --file, not both');
    const content = readFileSync(file === '-' ? 0 : file, 'utf8');
    const kind = /^\s*\[/.test(content) ? 'application/json' : 'application/x-ndjson';
    const { body } = await client.call('/api/v1/tasks', { raw: { text: content, type: kind }, headers });
    const items = (body['items'] ?? []) as JsonObject[];
    output.show(body, () => {
      for (const item of items) {
        const error = item['error'] as JsonObject | undefined;
        const index = member(item, 'index');
        if (error) output.line(`${index}  ${output.paint(member(error, 'detail'), 'bad')}`);
        else output.line(`${index}  ${member(item, 'id')}  ${output.status(member(item, 'status'))}`);
      }
    });
    return body['refused'] === 0 ? 0 : 1;
  }
  if (type === undefined) throw new UsageError('submit needs a TYPE or --file');
  const [parameters, options, priority] = [text('parameters'), text('options'), whole('priority', -1_000, 1_000)];
  const tenant = text('tenant');
  const task = {
    ...(options === undefined ? {} : (jsonOf(options, '--options') as object)),
    type,
    ...(parameters !== undefined && { parameters: jsonOf(parameters, '--parameters') }),
    ...(priority !== undefined && { priority }),
    ...(tenant !== undefined && { tenant }),
  };
  let { body } = await client.call('/api/v1/tasks', { body: task, headers });
  const id = member(body, 'id');
  while (flag('wait') && !settled.has(member(body, 'status')))
    ({ body } = await client.call(taskPath(id), { headers: { Prefer: 'wait=30' } }));
  output.show(body, () => {
    if (flag('wait')) output.members(body);
    else output.line(`${id}  ${output.status(member(body, 'status'))}`);
  });
  return !flag('wait') || body['status'] === 'succeeded' ? 0 : 1;
}
