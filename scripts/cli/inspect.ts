/** `inspect`: one actor as the console shows it, in a terminal. */
import { parseAddress, type Address } from '../../runtime/protocol/ids.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { UsageError } from './usage.ts';
import { ApiProblem, member, type ApiClient } from './client.ts';
import type { Command } from './command.ts';
import type { Output } from './output.ts';
import type { Past, Standing } from './standing.ts';
import { tellStately } from './inspector.ts';

const recordsShown = 30;
const recordsShownMax = 20_000;

export const inspectCommands: readonly Command[] = [
  {
    words: 'inspect',
    positionals: 'ID',
    summary: 'a task, an agent, or DEFINITION/ID: where it stands, what it takes, what it waits for, its history',
    options: {
      last: { type: 'string', value: 'N', describe: `records of its history (default: ${recordsShown})` },
      stately: {
        type: 'string',
        value: 'URL',
        describe: 'sends it, and what it does until Ctrl-C, to an inspector of Stately',
      },
    },
    examples: [
      'inspect t-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY',
      'inspect site/p-0-primary --json',
      'inspect a-1-gpu --stately ws://localhost:8080',
    ],
    run: async ({ positionals: [name = ''], whole, text, output, api, signal }) => {
      const address = addressOf(name);
      const client = api('read');
      const last = whole('last', 1, recordsShownMax) ?? recordsShown;
      const path = `/api/v1/actors/${address}`;
      const [actor, history, task] = (await Promise.all([
        found(client, path),
        found(client, `${path}/replay`),
        address.startsWith('task/') ? found(client, `/api/v1/tasks/${address.slice(5)}`) : undefined,
      ])) as unknown as [Standing | undefined, Past | undefined, JsonObject | undefined];
      if (!actor && !history) throw new Error(`there is no ${address}`);
      const inspector = text('stately');
      if (inspector !== undefined)
        return tellStately(inspector, { address, actor, history, last }, client, output, signal);
      const explanation = task && member(task, 'explanation');
      output.show(
        { address, actor: actor ?? null, ...(explanation && { explanation }), history: history ?? null },
        () => {
          output.line(address);
          if (explanation) output.paragraph(explanation);
          if (actor) showActor(output, actor);
          else output.line('over: only its history is left');
          if (history) showHistory(output, history, last);
        },
      );
      return 0;
    },
  },
];

/** Undefined for what is not there. */
async function found(client: ApiClient, path: string): Promise<JsonObject | undefined> {
  try {
    return (await client.call(path)).body;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 404) return undefined;
    throw error;
  }
}

/** Ids say what they are: `t-` is a task, `a-` an agent; others come with their definition. */
function addressOf(name: string): Address {
  const text = name.includes('/') ? name : `${name.startsWith('a-') ? 'agent' : 'task'}/${name}`;
  if (!parseAddress(text))
    throw new UsageError(`"${name.slice(0, 60)}" is no id; ids look like t-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY`);
  return text as Address;
}

function showActor(output: Output, { state, revision, since, legal, timers, context }: Standing): void {
  output.members({ state, revision, since: moment(since) });
  output.paragraph(`It takes ${legal.map(({ event, scope }) => `${event} (${scope})`).join(', ') || 'no command'}.`);
  const due = Object.entries(timers);
  if (due.length > 0)
    output.table(
      [
        { title: 'timer', of: ([name]: [string, string]) => eventName(name) },
        { title: 'rings', of: ([, at]) => moment(at) },
      ],
      due,
    );
  output.table(
    [
      { title: 'context', of: ([name]: [string, unknown]) => name },
      { title: '', of: ([, value]) => JSON.stringify(value), flexible: true },
    ],
    Object.entries(context),
  );
}

function showHistory(output: Output, { records, divergence }: Past, last: number): void {
  const shown = records.slice(-last);
  output.table(
    [
      { title: 'when', of: ({ at }: Past['records'][number]) => moment(at) },
      { title: 'event', of: ({ event }) => eventName(event), flexible: true },
      {
        title: 'became',
        of: ({ outcome, state, reason }) =>
          outcome === 'applied' ? state : `${outcome}${reason === undefined ? '' : ` (${reason})`}`,
      },
      { title: 'by', of: ({ by, origin }) => by ?? origin, flexible: true },
    ],
    shown,
  );
  if (shown.length < records.length)
    output.line(`${records.length - shown.length} earlier ones: --last ${Math.min(records.length, recordsShownMax)}`);
  if (divergence) output.paragraph(`It replays up to record ${divergence.at}: ${divergence.detail}`);
}

/** `2030-01-31T12:00:00.123Z` without what every line would repeat. */
function moment(iso: string): string {
  return iso.slice(0, 23).replace('T', ' ');
}

function eventName(type: string): string {
  const timer = /^xstate\.after\.([^.]+)\./.exec(type);
  return timer ? `after ${timer[1]}` : type;
}
