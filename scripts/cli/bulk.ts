/** `bulk`, and what cancels and redrives by filter share: the options of a filter, and following an action to its end. */
import { setTimeout as pause } from 'node:timers/promises';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { UsageError } from './usage.ts';
import { member } from './client.ts';
import type { Call, Command, OptionRule } from './command.ts';
import { each, taskPath } from './task.ts';

const filterNames = ['type', 'tenant', 'agent', 'error', 'created-after', 'created-before'] as const;

/** Options that choose many tasks. */
export const filterOptions: Readonly<Record<string, OptionRule>> = {
  type: { type: 'string', value: 'TYPE', describe: 'all tasks of this type' },
  tenant: { type: 'string', value: 'NAME', describe: 'all of this tenant' },
  agent: { type: 'string', value: 'ID', describe: 'all that this agent has or had' },
  error: { type: 'string', value: 'TEXT', describe: 'all whose last error message has this text in it' },
  'created-after': { type: 'string', value: 'TIME', describe: 'ISO 8601 with zone' },
  'created-before': { type: 'string', value: 'TIME', describe: 'ISO 8601 with zone' },
  'dry-run': { type: 'boolean', describe: 'only says how many match' },
  rate: { type: 'string', value: 'N', describe: 'tasks a second (default: 100)' },
  detach: { type: 'boolean', describe: 'does not wait until all is done' },
};

/** The filter that the options make; undefined where none of them was given. */
export function filterOf({ text, texts }: Pick<Call, 'text' | 'texts'>, statuses = false): JsonObject | undefined {
  const given = filterNames
    .map((name) => [name.replace('-', '_'), text(name)] as const)
    .filter(([, value]) => value !== undefined);
  const status = statuses ? texts('status') : [];
  const filter = Object.fromEntries(given) as JsonObject;
  if (status.length > 0) return { ...filter, status: [...status] };
  return given.length > 0 ? filter : undefined;
}

const pollMs = 250;

/** Does one thing to every task that matches. @returns 0 when every one of them took it */
export async function runBulk(call: Call, action: 'cancel' | 'redrive', body: JsonObject): Promise<number> {
  const { output, signal, whole, flag } = call;
  const client = call.api(`tasks:${action}`);
  const rate = whole('rate', 1, 1_000);
  const asked = { ...body, dry_run: flag('dry-run'), ...(rate !== undefined && { rate_per_second: rate }) };
  const { body: begun } = await client.call(`/api/v1/tasks/${action}`, { body: asked });
  if (flag('dry-run')) {
    output.show(begun, () => output.line(`${member(begun, 'matched')} tasks match; nothing was changed`));
    return 0;
  }
  const id = member(begun, 'id');
  let now = begun;
  while (!flag('detach') && !['finished', 'stopped'].includes(member(now, 'status'))) {
    await pause(pollMs, undefined, { signal });
    ({ body: now } = await client.call(pathOf(id)));
  }
  output.show(now, () => {
    output.line(`${id}  ${output.status(member(now, 'status'))}`);
    output.line(`${member(now, 'applied') || '0'} of ${member(now, 'matched')} tasks took it`);
    for (const [reason, count] of Object.entries((now['refusals'] ?? {}) as JsonObject))
      output.line(`${String(count as number)} did not: ${reason}`);
  });
  return flag('detach') || (member(now, 'status') === 'finished' && now['refused'] === 0) ? 0 : 1;
}

/** Ids, or a filter, and not both. @throws UsageError */
export function idsOrFilter(call: Call, filter: JsonObject | undefined): void {
  if (call.positionals.length > 0 && filter) throw new UsageError('give ids or a filter, not both');
  if (call.positionals.length === 0 && !filter) throw new UsageError('give ids, or a filter such as --type TYPE');
}

const pathOf = (id: string): string => `/api/v1/bulk/${encodeURIComponent(id)}`;

export const bulkCommands: readonly Command[] = [
  {
    words: 'task cancel',
    positionals: '[ID...]',
    summary: 'cancels tasks, by id or by filter',
    options: {
      status: { type: 'string', value: 'S', multiple: true, describe: 'all in this status' },
      ...filterOptions,
      reason: { type: 'string', value: 'TEXT', describe: 'what the history of each task says' },
    },
    examples: ['task cancel --type fetch --status queued --dry-run', 'task cancel t-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY'],
    run: async (call) => {
      const filter = filterOf(call, true);
      idsOrFilter(call, filter);
      const reason = call.text('reason');
      if (filter) return runBulk(call, 'cancel', { filter, ...(reason !== undefined && { reason }) });
      if (call.flag('dry-run') || reason !== undefined) throw new UsageError('--dry-run and --reason go with a filter');
      return each(call, (id) => call.api('tasks:cancel').call(taskPath(id), { method: 'DELETE' }));
    },
  },
  {
    words: 'bulk list',
    summary: 'cancels and redrives by filter, and how far they have come',
    run: async ({ output, api }) => {
      const actions = await api('read').list('/api/v1/bulk', {}, 1_000);
      output.show(actions, () => {
        if (actions.length === 0) return output.line('no bulk actions');
        output.table<JsonObject>(
          [
            { title: 'id', of: (action) => action['id'] },
            { title: 'action', of: (action) => action['action'] },
            { title: 'status', of: (action) => output.status(member(action, 'status')) },
            { title: 'matched', of: (action) => action['matched'] },
            { title: 'applied', of: (action) => action['applied'] },
            { title: 'refused', of: (action) => action['refused'] },
          ],
          actions,
        );
      });
      return 0;
    },
  },
  {
    words: 'bulk get',
    positionals: 'ID',
    summary: 'one of them',
    run: async ({ positionals: [id], output, api }) => {
      const { body } = await api('read').call(pathOf(id!));
      output.show(body, () => output.members(body));
      return 0;
    },
  },
  ...(['pause', 'resume', 'stop'] as const).map((word): Command => ({
    words: `bulk ${word}`,
    positionals: 'ID...',
    summary: {
      pause: 'stops it until it is resumed',
      resume: 'lets it go on',
      stop: 'ends it; what it did stays done',
    }[word],
    run: (call) =>
      each(call, (id) =>
        call.api('tasks:cancel').call(word === 'stop' ? pathOf(id) : `${pathOf(id)}/${word}`, {
          method: word === 'stop' ? 'DELETE' : 'POST',
        }),
      ),
  })),
];
