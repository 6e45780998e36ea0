/** `queue`: what waits for agents, by task type, and whether it is given out. */
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Command } from './command.ts';
import { each } from './task.ts';

const path = '/api/v1/queues';

export const queueCommands: readonly Command[] = [
  {
    words: 'queue list',
    summary: 'queues: what waits, what runs, what is free',
    run: async ({ output, api }) => {
      const { body } = await api('read').call(path);
      const queues = (body['items'] ?? []) as JsonObject[];
      output.show(queues, () => {
        if (queues.length === 0) return output.line('no queues');
        output.table<JsonObject>(
          [
            { title: 'type', of: (queue) => queue['type'], flexible: true },
            { title: 'status', of: (queue) => output.status(queue['paused'] === true ? 'paused' : 'active') },
            { title: 'queued', of: (queue) => queue['queued'] },
            { title: 'oldest', of: (queue) => `${Math.round(Number(queue['oldest_queued_ms']) / 1_000)} s` },
            { title: 'running', of: (queue) => queue['running'] },
            { title: 'free', of: (queue) => queue['free_slots'] },
            { title: 'agents', of: (queue) => queue['agents'] },
            { title: 'wanted', of: (queue) => queue['wanted_agents'] },
          ],
          queues,
        );
      });
      return 0;
    },
  },
  {
    words: 'queue stats',
    positionals: 'TYPE',
    summary: 'everything about one queue',
    run: async ({ positionals: [type], output, api }) => {
      const { body } = await api('read').call(path);
      const queue = ((body['items'] ?? []) as JsonObject[]).find((one) => one['type'] === type);
      if (!queue) throw new Error(`there is no queue ${type}: no task and no agent of this type was seen`);
      output.show(queue, () => output.members(queue));
      return 0;
    },
  },
  ...(['pause', 'resume'] as const).map((word): Command => ({
    words: `queue ${word}`,
    positionals: 'TYPE...',
    summary: word === 'pause' ? 'gives its tasks to nobody; what runs goes on' : 'gives its tasks to agents again',
    examples: [`queue ${word} text_processing`],
    run: (call) =>
      each(call, async (type) => {
        const { body } = await call
          .api('admin')
          .call(`${path}/${encodeURIComponent(type)}/${word}`, { method: 'POST' });
        return { body: { ...body, status: word === 'pause' ? 'paused' : 'active' } };
      }),
  })),
];
