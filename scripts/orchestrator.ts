/** The command line: `npm run orchestrator -- COMMAND`. */
import { commands } from './cli/commands.ts';
import { runProgram } from './cli/program.ts';

const interrupted = new AbortController();
const arguments_ = process.argv.slice(2);
process.exitCode = await runProgram(commands, arguments_, {
  env: process.env,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  columns: process.stdout.isTTY ? process.stdout.columns : undefined,
  signal: stopping(interrupted),
});

/** Fires at Ctrl-C, for what watches. */
function stopping(controller: AbortController): AbortSignal {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}
