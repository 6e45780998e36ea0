/** `orchestrator agent`: what operators do with agents, and the conformance kit for those who write one. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseJson } from '../../runtime/protocol/json.ts';
import type { Verdict } from '../conformance/rules.ts';
import { conduct } from '../conformance/trial.ts';
import { projectRoot } from '../root.ts';
import { readSettings } from '../settings.ts';
import { adminToken, apiOf } from './audit.ts';
import { UsageError } from './usage.ts';

export const agentUsage = `  agent list      agents, newest first
    --limit N
  agent get ID    one agent: how it is, what it holds, and why
  agent drain|pause|resume|retire ID...
                  resume also lifts a quarantine
  agent conformance [--parameters JSON] [--deadline SECONDS] -- CMD...
                  plays the server against an agent and says which rules of its
                  protocol it breaks; CMD finds ORCHESTRATOR_API and
                  ORCHESTRATOR_TOKEN in its environment
    --json          JSON, for each of these
    --api URL       as with audit`;

const statusOf: Readonly<Record<string, string>> = {
  ...{ drain: 'DRAINING', pause: 'PAUSED', resume: 'IDLE', retire: 'RETIRED' },
};

type Json = Record<string, unknown>;

export async function agentCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      limit: { type: 'string', default: '25' },
      parameters: { type: 'string', default: parametersDefault },
      deadline: { type: 'string', default: '15' },
      json: { type: 'boolean', default: false },
      api: { type: 'string' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
  });
  const [action = '', ...rest] = positionals;
  if (action === 'conformance') return conformance(rest, values);
  const { config } = readSettings({ file: values.config, set: values.set });
  const url = `${values.api ?? process.env['ORCHESTRATOR_API'] ?? apiOf(config)}/api/v1/agents`;
  const token = process.env['ORCHESTRATOR_TOKEN'] ?? adminToken(config);
  const show = (body: Json): void => {
    process.stdout.write(`${values.json ? JSON.stringify(body) : lineOf(body)}\n`);
  };
  if (action === 'list' && rest.length === 0) {
    const { items = [] } = (await asked(`${url}?limit=${encodeURIComponent(values.limit)}`, token)) as {
      items?: Json[];
    };
    for (const agent of items) show(agent);
    return 0;
  }
  if (action === 'get' && rest.length === 1) {
    const body = await asked(`${url}/${encodeURIComponent(rest[0]!)}`, token);
    process.stdout.write(`${JSON.stringify(body, undefined, values.json ? 0 : 2)}\n`);
    return 0;
  }
  const status = Object.hasOwn(statusOf, action) ? statusOf[action] : undefined;
  if (status === undefined || rest.length === 0)
    throw new UsageError('agent takes list, get ID, drain|pause|resume|retire ID..., or conformance -- CMD...');
  for (const id of rest) show(await asked(`${url}/${encodeURIComponent(id)}`, token, { status }));
  return 0;
}

/** @throws Error with what the server said, and what would be legal */
async function asked(url: string, token: string, body?: Json): Promise<Json> {
  let response: Response;
  try {
    response = await fetch(url, {
      headers: { Authorization: `Bearer ${token}`, ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { method: 'PUT', body: JSON.stringify(body) }),
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new Error(`${url.split('?', 1)[0]} does not answer: ${cause}`, { cause: error });
  }
  const answer = (await response.json()) as Json;
  if (response.ok) return answer;
  const legal = Array.isArray(answer['legal']) ? `; legal now: ${answer['legal'].join(', ') || 'nothing'}` : '';
  const detail = `${String(answer['detail'])}${legal}`;
  throw response.status === 400 ? new UsageError(detail) : new Error(detail);
}

function lineOf(agent: Json): string {
  const cell = (name: string): string => String((agent[name] as string | number | undefined) ?? '');
  const held = agent['slots_in_use'] === undefined ? '' : `${cell('slots_in_use')} of `;
  const reason = cell('reason').replaceAll(/[^\x20-\x7e]/g, '.');
  return `${cell('id')}  ${cell('type')}  ${cell('status')}  ${held}${cell('slots')} slots  ${reason}`.trimEnd();
}

const parametersDefault = JSON.stringify({ text: 'The fishing boats leave the harbour before sunrise.', name: 'kit' });
const heartbeatMs = 1_000;

/** @returns 1 when a MUST is broken or was not seen */
async function conformance(
  command: readonly string[],
  { parameters, deadline, json }: { parameters: string; deadline: string; json: boolean },
): Promise<number> {
  if (command.length === 0) throw new UsageError('agent conformance needs -- and the command that starts the agent');
  if (!parseJson(parameters).ok) throw new UsageError('--parameters is no JSON');
  const seconds = Number(deadline);
  if (!(seconds >= 1 && seconds <= 3_600)) throw new UsageError('--deadline takes seconds, from 1 to 3600');
  const { verdicts, output } = await conduct({
    ...{ command, heartbeatMs, parameters, deadlineMs: seconds * 1_000 },
    cacheDir: join(projectRoot, '.cache', 'redis'),
    ...(!json && { progress: (step: string) => process.stderr.write(`... ${step}\n`) }),
  });
  const missed = verdicts.filter(({ level, outcome }) => level === 'MUST' && outcome !== 'kept');
  const said = output === '' ? [] : ['the last that it said:', ...output.split('\n').slice(-15)];
  const summary = missed.length === 0 ? 'the agent conforms' : `${missed.length} of the MUST are broken or unseen`;
  const text = json
    ? JSON.stringify({ conforms: missed.length === 0, verdicts, output })
    : [...verdicts.map(verdictLine), summary, ...said].join('\n');
  process.stdout.write(`${text}\n`);
  return missed.length === 0 ? 0 : 1;
}

function verdictLine({ rule, level, text, outcome, detail }: Verdict): string {
  const line = `${outcome.padEnd(8)}  ${rule.padEnd(3)}  ${level.padEnd(6)}  ${text}`;
  return detail === undefined ? line : `${line}\n          ${detail}`;
}
