/** What a command of the command line is: its words, its options, and what it does. One file for each group. */
import type { Scope } from '../../api/token.ts';
import type { Config } from '../../config/schema.ts';
import type { ApiClient } from './client.ts';
import type { Output } from './output.ts';

export interface OptionRule {
  type: 'string' | 'boolean';
  /** May stand several times. */
  multiple?: boolean;
  /** Stands for the value in the help: `ID`, `N`. */
  value?: string;
  describe: string;
}

/** What a command was called with. */
export interface Call {
  /** Words after the command's own; their number was checked. */
  readonly positionals: readonly string[];
  /** The value of an option, undefined where it was not given. */
  text(option: string): string | undefined;
  texts(option: string): readonly string[];
  flag(option: string): boolean;
  /** @throws UsageError when it is no whole number from `min` to `max` */
  whole(option: string, min: number, max: number): number | undefined;
  readonly output: Output;
  /** Fires at Ctrl-C: what watches ends then. */
  readonly signal: AbortSignal;
  /** The configuration, read at the first call. @throws ConfigError */
  settings(): Config;
  /** The REST API with the caller's token. @param scope what a token allows that is made for the call, where none is given */
  api(scope: Scope): ApiClient;
}

export interface Command {
  /** As it is typed: `task get`. */
  words: string;
  /** What follows: `ID`, `ID...`, `[TYPE]`; nothing when absent. */
  positionals?: string;
  summary: string;
  options?: Readonly<Record<string, OptionRule>>;
  /** Without the name of the program. */
  examples?: readonly string[];
  /** @returns the exit code: 0 done, 1 it did not work out, 2 it was asked for wrongly */
  run(call: Call): Promise<number> | number;
}

/** How often a positional may stand: `ID` once, `[ID]` at most once, `ID...` at least once. */
export function positionalRange(positionals = ''): { min: number; max: number } {
  let [min, max] = [0, 0];
  for (const word of positionals.split(' ').filter((part) => part !== '')) {
    if (!word.startsWith('[')) min++;
    max += word.includes('...') ? Infinity : 1;
  }
  return { min, max };
}
