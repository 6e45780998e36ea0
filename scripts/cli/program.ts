/** Finds the command that was asked for, reads its options, runs it, and says what went wrong. */
import { parseArgs } from 'node:util';
import { nearest } from '../../config/nearest.ts';
import { readSettings } from '../settings.ts';
import { bearer, serverUrl } from './access.ts';
import { ApiClient, ApiProblem } from './client.ts';
import { UsageError } from './usage.ts';
import { positionalRange, type Call, type Command } from './command.ts';
import { commonOptions, helpOf, overview } from './help.ts';
import { Output } from './output.ts';

/** Where a command runs: the process, or a test. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  out: (text: string) => void;
  err: (text: string) => void;
  /** Width of the terminal; undefined where there is none. */
  columns: number | undefined;
  signal: AbortSignal;
}

/** @returns the exit code */
export async function runProgram(
  commands: readonly Command[],
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<number> {
  const { out, err } = surroundings;
  try {
    if (argv.length === 0 || argv[0] === '--help' || argv[0] === '-h' || (argv[0] === 'help' && argv.length === 1)) {
      out(`${overview(commands)}\n`);
      return argv.length === 0 ? 2 : 0;
    }
    const { command, rest } = find(commands, argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv);
    return await run(command, rest, surroundings);
  } catch (error) {
    if (surroundings.signal.aborted) return 130;
    const wrongWords =
      error instanceof UsageError ||
      (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
    if (error instanceof ApiProblem && argv.includes('--json')) out(`${JSON.stringify({ error: error.problem })}\n`);
    err(`orchestrator: ${error instanceof Error ? error.message : String(error)}\n`);
    if (wrongWords) err('try: orchestrator --help\n');
    return wrongWords || (error instanceof ApiProblem && error.status === 400) ? 2 : 1;
  }
}

/** The command with the most words that match. @throws UsageError with the nearest ones */
function find(commands: readonly Command[], argv: readonly string[]): { command: Command; rest: string[] } {
  const matching = commands
    .map((command) => ({ command, words: command.words.split(' ') }))
    .filter(({ words }) => words.every((word, at) => argv[at] === word))
    .sort((left, right) => right.words.length - left.words.length)[0];
  if (matching) return { command: matching.command, rest: argv.slice(matching.words.length) };
  const group = commands.filter(({ words }) => words.startsWith(`${argv[0] ?? ''} `));
  if (group.length > 0)
    throw new UsageError(`${argv[0]} takes one of:\n  ${group.map(({ words }) => words).join('\n  ')}`);
  const firstWords = [...new Set(commands.map(({ words }) => words.split(' ')[0]!))];
  const best = nearest(argv[0] ?? '', firstWords);
  throw new UsageError(
    `there is no command "${(argv[0] ?? '').slice(0, 40)}"${best === undefined ? '' : `; did you mean "${best}"?`}`,
  );
}

async function run(command: Command, args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { env, out, columns, signal } = surroundings;
  const rules = { ...command.options, ...commonOptions };
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(rules).map(([name, { type, multiple = false }]) => [name, { type, multiple }]),
    ),
  });
  if (values['help'] === true) {
    out(`${helpOf(command)}\n`);
    return 0;
  }
  const { min, max } = positionalRange(command.positionals);
  if (positionals.length < min) throw new UsageError(`${command.words} needs ${command.positionals}`);
  if (positionals.length > max)
    throw new UsageError(`${command.words} does not take "${positionals.slice(max).join(' ').slice(0, 60)}"`);
  const text = (option: string): string | undefined => values[option] as string | undefined;
  const texts = (option: string): readonly string[] => (values[option] ?? []) as readonly string[];
  let settings: ReturnType<typeof readSettings> | undefined;
  const readOnce = () => (settings ??= readSettings({ file: text('config'), set: texts('set') })).config;
  const call: Call = {
    positionals,
    text,
    texts,
    flag: (option) => values[option] === true,
    whole: (option, from, to) => {
      const given = text(option);
      if (given === undefined) return undefined;
      if (!/^-?\d{1,15}$/.test(given) || Number(given) < from || Number(given) > to)
        throw new UsageError(`--${option} takes a whole number from ${from} to ${to}, not "${given.slice(0, 40)}"`);
      return Number(given);
    },
    output: new Output({
      json: values['json'] === true,
      // https://no-color.org: present and not empty.
      colours: columns !== undefined && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
      columns: columns ?? Infinity,
      write: out,
    }),
    signal,
    settings: readOnce,
    api: (scope) =>
      new ApiClient(serverUrl(text('url'), env, readOnce), bearer(text('token-file'), env, readOnce, scope)),
  };
  return command.run(call);
}
