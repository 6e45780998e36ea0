/** `orchestrator inspect`: one actor as the console shows it, in a terminal. */
import { parseArgs } from 'node:util';
import { parseAddress } from '../../runtime/protocol/ids.ts';
import { readSettings } from '../settings.ts';
import { adminToken, apiOf } from './audit.ts';
import { UsageError } from './usage.ts';

export const inspectUsage = `  inspect ID      a task, an agent, or DEFINITION/ID: where it stands, what it takes, its history
    --json          the same as JSON
    --api URL       default: ORCHESTRATOR_API, or the address in the configuration
                    the token is ORCHESTRATOR_TOKEN, or one of the site's secret`;

interface Standing {
  state: string;
  revision: number;
  since: string;
  lit: string[];
  legal: { event: string; scope: string }[];
  timers: Record<string, string>;
  context: Record<string, unknown>;
}

interface Past {
  records: {
    event: string;
    outcome: string;
    state: string;
    at: string;
    by?: string;
    origin: string;
    reason?: string;
  }[];
  divergence: { at: number; detail: string } | null;
}

export async function inspectCommand(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: {
      json: { type: 'boolean', default: false },
      api: { type: 'string' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
    },
    allowPositionals: true,
  });
  const [name, ...rest] = positionals;
  if (name === undefined || rest.length > 0) throw new UsageError('inspect takes one id');
  const address = addressOf(name);
  const { config } = readSettings({ file: values.config, set: values.set });
  const base = values.api ?? process.env['ORCHESTRATOR_API'] ?? apiOf(config);
  const token = process.env['ORCHESTRATOR_TOKEN'] ?? adminToken(config);
  const ask = async <T>(path: string): Promise<T | undefined> => {
    const url = `${base}/api/v1/actors/${address}${path}`;
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } }).catch((error: unknown) => {
      throw new Error(`${base} does not answer; is the server up? (${String(error)})`, { cause: error });
    });
    if (answer.status === 404) return undefined;
    const body = (await answer.json()) as T & { detail?: string };
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${body.detail ?? ''}`);
    return body;
  };
  const [actor, past] = [await ask<Standing>(''), await ask<Past>('/replay')];
  if (!actor && !past) throw new Error(`there is no ${address}`);
  process.stdout.write(
    values.json ? `${JSON.stringify({ address, actor, history: past }, undefined, 2)}\n` : shown(address, actor, past),
  );
  return 0;
}

/** Ids say what they are: `t-` is a task, `a-` an agent; others come with their definition. */
function addressOf(name: string): string {
  const whole = name.includes('/') ? name : `${name.startsWith('a-') ? 'agent' : 'task'}/${name}`;
  if (!parseAddress(whole)) throw new UsageError(`"${name}" is no id; ids look like t-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY`);
  return whole;
}

function shown(address: string, actor: Standing | undefined, past: Past | undefined): string {
  const lines = [address];
  if (actor) {
    lines.push(`state     ${actor.state}  (revision ${actor.revision}, since ${actor.since})`);
    lines.push(`takes     ${actor.legal.map(({ event, scope }) => `${event} (${scope})`).join(', ') || 'no command'}`);
    for (const [timer, due] of Object.entries(actor.timers)) lines.push(`timer     ${eventName(timer)} at ${due}`);
    lines.push('context');
    for (const [member, value] of Object.entries(actor.context))
      lines.push(`  ${member.padEnd(12)} ${printable(JSON.stringify(value), 160)}`);
  } else lines.push('over: only its history is left');
  lines.push('history');
  for (const { at, event, outcome, state, by, origin, reason } of past?.records ?? []) {
    const what = outcome === 'applied' ? state : `${outcome}${reason === undefined ? '' : ` (${reason})`}`;
    lines.push(`  ${at}  ${eventName(event).padEnd(22)} ${what.padEnd(24)} ${printable(by ?? origin, 60)}`);
  }
  if (past?.divergence) lines.push(`replays up to record ${past.divergence.at}: ${past.divergence.detail}`);
  return `${lines.join('\n')}\n`;
}

function eventName(type: string): string {
  const timer = /^xstate\.after\.([^.]+)\./.exec(type);
  return printable(timer ? `after ${timer[1]}` : type, 60);
}

/** What others sent may hold what a terminal would obey. */
function printable(text: string, lengthMax: number): string {
  const plain = text.replaceAll(/\p{C}/gu, '.');
  return plain.length > lengthMax ? `${plain.slice(0, lengthMax - 1)}…` : plain;
}
