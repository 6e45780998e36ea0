/** `conflicts`: where two sites wrote different histories, and what became of it. */
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { member } from './client.ts';
import type { Command } from './command.ts';

interface Input {
  command_id: string;
  event: string;
  outcome: string;
  reason?: string;
  state: string;
}

const inputsOf = (conflict: JsonObject): Input[] => (conflict['inputs'] ?? []) as unknown as Input[];
const site = (conflict: JsonObject, side: 'winner' | 'loser'): string => member(conflict[side] as JsonObject, 'site');

export const conflictCommands: readonly Command[] = [
  {
    words: 'conflicts',
    positionals: '[ID]',
    summary: 'actors of which two sites wrote different histories, or one of them whole',
    options: {
      actor: { type: 'string', value: 'ADDRESS', describe: 'only this actor, as task/t-0-x' },
      machine: { type: 'string', value: 'NAME', describe: 'only actors of this definition' },
      limit: { type: 'string', value: 'N', describe: 'at most so many (default: 25)' },
    },
    examples: ['conflicts', 'conflicts --machine task --json', 'conflicts 3.22000001.17.0'],
    run: async ({ positionals: [id], text, whole, output, api }) => {
      if (id !== undefined) {
        const { body } = await api('read').call(`/api/v1/conflicts/${encodeURIComponent(id)}`);
        output.show(body, () => {
          output.line(`${member(body, 'actor')}: ${site(body, 'winner')} won over ${site(body, 'loser')}`);
          output.table(
            [
              { title: 'input', of: (input: Input) => input.command_id, flexible: true },
              { title: 'event', of: (input) => input.event },
              { title: 'became', of: (input) => input.outcome },
              { title: 'state', of: (input) => input.state },
              { title: 'why', of: (input) => input.reason ?? '' },
            ],
            inputsOf(body),
          );
        });
        return 0;
      }
      const query = { actor: text('actor'), machine: text('machine'), limit: String(whole('limit', 1, 200) ?? 25) };
      const { body } = await api('read').call(
        `/api/v1/conflicts?${new URLSearchParams(Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)).toString()}`,
      );
      const conflicts = (body['conflicts'] ?? []) as JsonObject[];
      output.show(conflicts, () =>
        conflicts.length === 0
          ? output.line('no conflicts')
          : output.table(
              [
                { title: 'id', of: (one: JsonObject) => one['id'] },
                { title: 'actor', of: (one) => one['actor'], flexible: true },
                { title: 'winner', of: (one) => site(one, 'winner') },
                { title: 'inputs', of: (one) => inputsOf(one).length },
                {
                  title: 'superseded',
                  of: (one) => inputsOf(one).filter(({ outcome }) => outcome === 'superseded').length,
                },
                { title: 'found', of: (one) => member(one, 'found_at').slice(0, 19) },
              ],
              conflicts,
            ),
      );
      return 0;
    },
  },
];
