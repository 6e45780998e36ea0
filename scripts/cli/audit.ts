/** `audit`: what operators asked for and what came of it. */
import { stripVTControlCharacters } from 'node:util';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { member } from './client.ts';
import type { Command } from './command.ts';

const filters = ['subject', 'target', 'after', 'before'] as const;

export const auditCommand: Command = {
  words: 'audit',
  summary: 'what operators asked for and what came of it, newest first',
  options: {
    subject: { type: 'string', value: 'NAME', describe: 'who asked' },
    target: { type: 'string', value: 'ADDRESS', describe: 'what was asked for, as /api/v1/agents/a-3-worker-1' },
    after: { type: 'string', value: 'TIME', describe: 'from then on, such as 2030-01-31T12:00:00Z' },
    before: { type: 'string', value: 'TIME', describe: 'until then' },
    limit: { type: 'string', value: 'N', describe: 'at most so many; else 50' },
  },
  examples: ['audit --subject operator --after 2030-01-31'],
  run: async ({ text, whole, output, api }) => {
    const query = Object.fromEntries(filters.map((name) => [name, text(name)]));
    const rows = await api('admin').list('/api/v1/audit', query, whole('limit', 1, 10_000) ?? 50);
    output.show(rows, () => {
      if (rows.length === 0) return output.line('nothing was asked for');
      output.table<JsonObject>(
        [
          { title: 'at', of: (row) => row['at'] },
          { title: 'who', of: (row) => row['subject'], flexible: true },
          { title: 'what', of: deedOf, flexible: true },
          { title: 'outcome', of: (row) => `${member(row, 'status') || 'no end seen'} ${member(row, 'code')}`.trim() },
          { title: 'sent', of: (row) => stripVTControlCharacters(member(row, 'detail')).slice(0, 120), flexible: true },
        ],
        rows,
      );
    });
    return 0;
  },
};

/** The method and the address that was asked; of the command line, the command and what it was done to. */
function deedOf(row: JsonObject): string {
  const own = 'orchestrator ';
  const action = member(row, 'action');
  const word = action.startsWith(own) ? action.slice(own.length) : action.split(' ', 1)[0];
  return `${word} ${member(row, 'target')}`;
}
