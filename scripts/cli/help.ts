/** Help texts, made from the commands themselves; within 80 columns. */
import { wrap } from './wrap.ts';
import { positionalRange, type Command, type OptionRule } from './command.ts';

export const commonOptions: Readonly<Record<string, OptionRule>> = {
  url: { type: 'string', value: 'URL', describe: 'the server; else ORCHESTRATOR_URL, else the configuration' },
  'token-file': { type: 'string', value: 'FILE', describe: 'a token, "-" reads it; else ORCHESTRATOR_TOKEN' },
  json: { type: 'boolean', describe: 'prints JSON' },
  config: { type: 'string', value: 'FILE', describe: 'the configuration' },
  set: { type: 'string', multiple: true, value: 'section.key=value', describe: 'overrides a setting' },
  help: { type: 'boolean', describe: 'this text' },
};

const width = 80;

export function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ words, positionals, summary }): [string, string] => [
    [words, positionals].filter(Boolean).join(' '),
    summary,
  ]);
  return [
    'Usage: orchestrator COMMAND [OPTIONS]',
    '',
    ...list(rows),
    '',
    'Every command takes --help, --json, --config FILE and --set section.key=value.',
    'Those that ask the server take --url and --token-file, or ORCHESTRATOR_URL and',
    'ORCHESTRATOR_TOKEN. On the machine of the server neither is needed.',
    '',
    'Exit code: 0 done, 1 it did not work out, 2 it was asked for wrongly.',
    '',
    'Examples:',
    '  npm run --silent orchestrator -- submit echo --parameters \'{"a":1}\' --wait',
    '  npm run --silent orchestrator -- task list --status parked',
  ].join('\n');
}

export function helpOf({ words, positionals, summary, options = {}, examples = [] }: Command): string {
  const lines = [
    `Usage: orchestrator ${[words, positionals, '[OPTIONS]'].filter(Boolean).join(' ')}`,
    '',
    ...wrap(summary, width),
  ];
  if (positionalRange(positionals).max === Infinity) lines.push('Several may be given.');
  lines.push(
    '',
    ...list(optionRows(options)),
    ...(Object.keys(options).length > 0 ? [''] : []),
    ...list(optionRows(commonOptions)),
  );
  if (examples.length > 0) lines.push('', 'Examples:', ...examples.map((example) => `  orchestrator ${example}`));
  return lines.join('\n');
}

function optionRows(options: Readonly<Record<string, OptionRule>>): [string, string][] {
  return Object.entries(options).map(([name, { value, describe, multiple }]) => [
    [`--${name}`, value].filter(Boolean).join(' '),
    multiple ? `${describe}; may stand several times` : describe,
  ]);
}

function list(rows: readonly [string, string][]): string[] {
  const column = Math.min(28, Math.max(0, ...rows.map(([left]) => left.length)) + 2);
  return rows.flatMap(([left, right]) => {
    const [first = '', ...more] = wrap(right, width - column - 2);
    const head =
      left.length > column - 2
        ? [`  ${left}`, `${' '.repeat(column + 2)}${first}`]
        : [`  ${left.padEnd(column)}${first}`];
    return [...head, ...more.map((line) => ' '.repeat(column + 2) + line)];
  });
}
