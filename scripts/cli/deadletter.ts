/** `dlq`: what waits for an operator. Tasks that are parked, and entries that were set aside because they could not be read. */
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { UsageError } from './usage.ts';
import { filterOf, filterOptions, idsOrFilter, runBulk } from './bulk.ts';
import { member } from './client.ts';
import type { Call, Command } from './command.ts';
import { each, jsonOf, taskPath } from './task.ts';

const entryPath = '/api/v1/set-aside';

async function list({ text, whole, output, api }: Call): Promise<number> {
  const max = whole('limit', 1, 10_000) ?? 50;
  const query = { status: 'parked', type: text('type'), tenant: text('tenant') };
  const client = api('admin');
  const parked = await client.list('/api/v1/tasks', query, max);
  const { body } = await client.call(entryPath, { query: { limit: Math.min(max, 500) } });
  const entries = (body['items'] ?? []) as JsonObject[];
  output.show({ parked, set_aside: entries }, () => {
    output.line(`${parked.length} parked tasks`);
    if (parked.length > 0)
      output.table<JsonObject>(
        [
          { title: 'id', of: (task) => task['id'] },
          { title: 'type', of: (task) => task['type'], flexible: true },
          { title: 'reason', of: (task) => task['reason'] },
          { title: 'error', of: (task) => member((task['error'] ?? {}) as JsonObject, 'message'), flexible: true },
        ],
        parked,
      );
    output.line(`${entries.length} entries that were set aside`);
    if (entries.length > 0)
      output.table<JsonObject>(
        [
          { title: 'entry', of: (entry) => `${member(entry, 'shard')}/${member(entry, 'id')}` },
          { title: 'source', of: (entry) => entry['source'], flexible: true },
          { title: 'reason', of: (entry) => entry['reason'] },
          { title: 'detail', of: (entry) => entry['detail'], flexible: true },
        ],
        entries,
      );
  });
  return 0;
}

/** An entry is named `SHARD/ID`, a task by its id. */
async function redriveOne(call: Call, name: string, body: JsonObject): Promise<{ body: JsonObject }> {
  const entry = /^(\d{1,4})\/(\d+-\d+)$/.exec(name);
  if (!entry) return call.api('tasks:redrive').call(`${taskPath(name)}/redrive`, { body });
  const answer = await call.api('admin').call(`${entryPath}/${entry[1]}/${entry[2]}/redrive`, { method: 'POST' });
  if (answer.body['redriven'] !== true) throw new Error('it was set aside again');
  return { body: { ...answer.body, status: 'redriven' } };
}

export const deadLetterCommands: readonly Command[] = [
  {
    words: 'dlq list',
    summary: 'parked tasks, and entries that were set aside',
    options: {
      type: { type: 'string', value: 'TYPE', describe: 'only tasks of this type' },
      tenant: { type: 'string', value: 'NAME', describe: 'only tasks of this tenant' },
      limit: { type: 'string', value: 'N', describe: 'at most so many of each (default: 50)' },
    },
    run: list,
  },
  {
    words: 'dlq redrive',
    positionals: '[ID...]',
    summary: 'takes parked tasks up again, by id or by filter; an entry is named SHARD/ID',
    options: {
      ...filterOptions,
      parameters: { type: 'string', value: 'JSON', describe: 'other parameters than before' },
    },
    examples: ['dlq redrive --type fetch --error "timed out" --dry-run', 'dlq redrive 3/1732233600000-0'],
    run: async (call) => {
      const filter = filterOf(call);
      idsOrFilter(call, filter);
      const text = call.text('parameters');
      const body = (text === undefined ? {} : { parameters: jsonOf(text, '--parameters') }) as JsonObject;
      if (filter) return runBulk(call, 'redrive', { filter, ...body });
      if (call.flag('dry-run')) throw new UsageError('--dry-run goes with a filter');
      return each(call, (name) => redriveOne(call, name, body));
    },
  },
];
