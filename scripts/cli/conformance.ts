/** `agent conformance`: the kit for those who write an agent. */
import { join } from 'node:path';
import { parseJson } from '../../runtime/protocol/json.ts';
import type { Verdict } from '../conformance/rules.ts';
import { conduct } from '../conformance/trial.ts';
import { projectRoot } from '../root.ts';
import type { Call, Command } from './command.ts';
import type { Output } from './output.ts';
import { UsageError } from './usage.ts';

const parametersDefault = JSON.stringify({ text: 'The fishing boats leave the harbour before sunrise.', name: 'kit' });
const deadlineSecondsDefault = 15;
const heartbeatMs = 1_000;

export const conformanceCommand: Command = {
  words: 'agent conformance',
  positionals: 'CMD...',
  summary:
    'plays the server against an agent and says which rules of its protocol it breaks; CMD, behind --, starts the agent and finds ORCHESTRATOR_API and ORCHESTRATOR_TOKEN in its environment',
  options: {
    parameters: { type: 'string', value: 'JSON', describe: 'of the tasks that it is given' },
    deadline: { type: 'string', value: 'N', describe: `seconds for a step; else ${deadlineSecondsDefault}` },
  },
  examples: ['agent conformance -- python3 scripts/agents/python/agent.py --slots 2'],
  run: conform,
};

/** @returns 1 when a MUST is broken or was not seen */
async function conform({ positionals: command, text, whole, output }: Call): Promise<number> {
  const parameters = text('parameters') ?? parametersDefault;
  if (!parseJson(parameters).ok) throw new UsageError('--parameters is no JSON');
  const seconds = whole('deadline', 1, 3_600) ?? deadlineSecondsDefault;
  const { verdicts, output: said } = await conduct({
    ...{ command, heartbeatMs, parameters, deadlineMs: seconds * 1_000 },
    cacheDir: join(projectRoot, '.cache', 'redis'),
    ...(!output.json && { progress: (step: string) => process.stderr.write(`... ${step}\n`) }),
  });
  const missed = verdicts.filter(({ level, outcome }) => level === 'MUST' && outcome !== 'kept').length;
  output.show({ conforms: missed === 0, verdicts, output: said }, () => {
    for (const verdict of verdicts) show(output, verdict);
    output.line(missed === 0 ? 'the agent conforms' : `${missed} of the MUST are broken or unseen`);
    if (said === '') return;
    output.line('the last that it said:');
    for (const line of said.split('\n').slice(-15)) output.line(line);
  });
  return missed === 0 ? 0 : 1;
}

const toneOf = { kept: 'good', broken: 'bad' } as const;

function show(output: Output, { rule, level, text, outcome, detail }: Verdict): void {
  const tone = toneOf[outcome as keyof typeof toneOf];
  output.line(`${output.paint(outcome.padEnd(8), tone)}  ${rule.padEnd(3)}  ${level.padEnd(6)}  ${text}`);
  if (detail !== undefined) output.line(`          ${detail}`);
}
