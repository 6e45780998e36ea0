/** `schedule`: tasks that are submitted again and again. */
import { readFileSync } from 'node:fs';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { UsageError } from './usage.ts';
import { member } from './client.ts';
import type { Call, Command } from './command.ts';
import type { Output } from './output.ts';
import { each, jsonOf } from './task.ts';

const path = '/api/v1/schedules';
const pathOf = (id: string): string => `${path}/${encodeURIComponent(id)}`;

/** What it runs by, for people. */
function rhythm(schedule: JsonObject): string {
  return member(schedule, 'cron') || `every ${member(schedule, 'interval_ms')} ms`;
}

function show(output: Output, schedule: JsonObject): void {
  const { recent, running, links: _links, ...members } = schedule;
  output.members({ ...members, running: Array.isArray(running) && running.length > 0 ? running.join(' ') : undefined });
  const runs = Array.isArray(recent) ? (recent as JsonObject[]) : [];
  if (runs.length === 0) return;
  output.line('');
  output.table<JsonObject>(
    [
      { title: 'at', of: (run) => member(run, 'at').slice(0, 19) },
      { title: 'cause', of: (run) => run['cause'] },
      { title: 'status', of: (run) => output.status(member(run, 'status') || 'running') },
      { title: 'task', of: (run) => run['task'], flexible: true },
    ],
    runs,
  );
}

/** The body of a create: a file, with what the options say on top. */
function bodyOf({ positionals: [name, type], text, whole }: Call): JsonObject {
  const file = text('file');
  const base = file === undefined ? {} : jsonOf(readFileSync(file === '-' ? 0 : file, 'utf8'), file);
  if (typeof base !== 'object' || base === null || Array.isArray(base))
    throw new UsageError(`${file} is no JSON object: it has to be the body of a schedule`);
  const template = (base as JsonObject)['task'] ?? {};
  const [parameters, interval] = [text('parameters'), whole('every', 1, 366 * 24 * 3600)];
  const given = {
    cron: text('cron'),
    interval_ms: interval === undefined ? undefined : interval * 1_000,
    timezone: text('timezone'),
    overlap: text('overlap'),
    catch_up: text('catch-up'),
    start_at: text('start'),
    end_at: text('end'),
    tenant: text('tenant'),
  };
  return {
    ...(base as JsonObject),
    name: name!,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    task: {
      ...(template as JsonObject),
      ...(type !== undefined && { type }),
      ...(parameters !== undefined && { parameters: jsonOf(parameters, '--parameters') as never }),
    },
  };
}

export const scheduleCommands: readonly Command[] = [
  {
    words: 'schedule create',
    positionals: 'NAME [TYPE]',
    summary: 'submits a task of a type by a cron pattern, or every so many seconds',
    options: {
      cron: { type: 'string', value: 'PATTERN', describe: 'five fields, or six with the second first' },
      every: { type: 'string', value: 'SECONDS', describe: 'instead of --cron' },
      timezone: { type: 'string', value: 'ZONE', describe: 'of --cron (default: UTC)' },
      parameters: { type: 'string', value: 'JSON', describe: 'what the agent is given' },
      overlap: { type: 'string', value: 'POLICY', describe: 'skip (default), queue, allow or replace' },
      'catch-up': { type: 'string', value: 'POLICY', describe: 'of missed runs: none, last (default) or all' },
      start: { type: 'string', value: 'TIME', describe: 'no run before it, as 2026-01-31T12:00:00Z' },
      end: { type: 'string', value: 'TIME', describe: 'no run at it or after it' },
      tenant: { type: 'string', value: 'NAME', describe: 'whose schedule it is' },
      file: { type: 'string', value: 'FILE', describe: 'the body as JSON; options go before it' },
    },
    examples: [
      'schedule create nightly report --cron "30 2 * * MON-FRI" --timezone Europe/Berlin',
      'schedule create poll fetch --every 60 --overlap skip',
    ],
    run: async (call) => {
      const { body } = await call.api('schedules:control').call(path, { body: bodyOf(call) });
      call.output.show(body, () =>
        call.output.line(
          `${member(body, 'id')}  ${call.output.status(member(body, 'status'))}  next ${member(body, 'next_at')}`,
        ),
      );
      return 0;
    },
  },
  {
    words: 'schedule list',
    summary: 'schedules, with their next times',
    options: {
      status: { type: 'string', value: 'S', describe: 'only schedules in this status' },
      type: { type: 'string', value: 'TYPE', describe: 'only schedules of tasks of this type' },
      tenant: { type: 'string', value: 'NAME', describe: 'only schedules of this tenant' },
      limit: { type: 'string', value: 'N', describe: 'at most so many (default: 100)' },
    },
    examples: ['schedule list --status paused --json'],
    run: async ({ text, whole, output, api }) => {
      const query = Object.fromEntries(['status', 'type', 'tenant'].map((name) => [name, text(name)]));
      const schedules = await api('read').list(path, query, whole('limit', 1, 100_000) ?? 100);
      output.show(schedules, () =>
        schedules.length === 0
          ? output.line('no such schedules')
          : output.table<JsonObject>(
              [
                { title: 'id', of: (schedule) => schedule['id'] },
                { title: 'status', of: (schedule) => output.status(member(schedule, 'status')) },
                { title: 'rhythm', of: rhythm, flexible: true },
                { title: 'type', of: ({ task }) => (task as JsonObject)['type'], flexible: true },
                { title: 'next', of: (schedule) => member(schedule, 'next_at').slice(0, 19) },
                { title: 'runs', of: (schedule) => schedule['started'] },
              ],
              schedules,
            ),
      );
      return 0;
    },
  },
  {
    words: 'schedule get',
    positionals: 'ID',
    summary: 'one schedule: its next time and its latest runs',
    run: async ({ positionals: [id], output, api }) => {
      const { body } = await api('read').call(pathOf(id!));
      output.show(body, () => show(output, body));
      return 0;
    },
  },
  ...(
    [
      ['pause', 'submits nothing until it is resumed'],
      ['resume', 'goes on with the next time; what came meanwhile is not made up'],
      ['trigger', 'submits a task now, beside the pattern'],
    ] as const
  ).map(([word, summary]): Command => ({
    words: `schedule ${word}`,
    positionals: 'ID...',
    summary,
    run: (call) => each(call, (id) => call.api('schedules:control').call(`${pathOf(id)}/${word}`, { method: 'POST' })),
  })),
  {
    words: 'schedule delete',
    positionals: 'ID...',
    summary: 'removes a schedule; tasks that it submitted go on',
    run: (call) => each(call, (id) => call.api('schedules:control').call(pathOf(id), { method: 'DELETE' })),
  },
];
