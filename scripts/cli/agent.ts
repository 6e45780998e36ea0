/** `agent`: what operators do with agents. */
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { member } from './client.ts';
import type { Command } from './command.ts';
import { each } from './task.ts';

const path = '/api/v1/agents';

const orders = {
  drain: ['DRAINING', 'gives them no new work; they leave when they have finished'],
  pause: ['PAUSED', 'gives them no new work until they are resumed'],
  resume: ['IDLE', 'gives them work again; lifts a quarantine, too'],
  retire: ['RETIRED', 'takes their work back, and gives it to others'],
} as const;

export const agentCommands: readonly Command[] = [
  {
    words: 'agent list',
    summary: 'agents, newest first: how they are and what they hold',
    options: { limit: { type: 'string', value: 'N', describe: 'at most so many; else 25' } },
    examples: ['agent list --limit 100'],
    run: async ({ whole, output, api }) => {
      const agents = await api('read').list(path, {}, whole('limit', 1, 10_000) ?? 25);
      output.show(agents, () => {
        if (agents.length === 0) return output.line('no agents');
        output.table<JsonObject>(
          [
            { title: 'agent', of: (agent) => agent['id'] },
            { title: 'type', of: (agent) => agent['type'], flexible: true },
            { title: 'status', of: (agent) => output.status(member(agent, 'status')) },
            { title: 'slots', of: slotsOf },
            { title: 'seen', of: (agent) => agent['last_seen_at'] },
            { title: 'why', of: (agent) => agent['reason'], flexible: true },
          ],
          agents,
        );
      });
      return 0;
    },
  },
  {
    words: 'agent get',
    positionals: 'ID',
    summary: 'one agent: how it is, what it holds, and why',
    run: async ({ positionals: [id = ''], output, api }) => {
      const { body } = await api('read').call(`${path}/${encodeURIComponent(id)}`);
      output.show(body, () => output.members(body));
      return 0;
    },
  },
  ...Object.entries(orders).map(([word, [status, summary]]): Command => ({
    words: `agent ${word}`,
    positionals: 'ID...',
    summary,
    examples: [`agent ${word} a-3-worker-1`],
    run: (call) =>
      each(call, (id) =>
        call
          .api('agents:control')
          .call(`${path}/${encodeURIComponent(id)}`, { method: 'PUT', body: { status } })
          .then(({ body }) => ({ body })),
      ),
  })),
];

function slotsOf(agent: JsonObject): string {
  const held = member(agent, 'slots_in_use');
  return `${held === '' ? '' : `${held} of `}${member(agent, 'slots')}`;
}
