/** `config`: the configuration as it is in force. */
import { printConfig } from '../../config/load.ts';
import type { Command } from './command.ts';

export const configCommands: readonly Command[] = [
  {
    words: 'config print',
    summary: 'the configuration in force, without secrets',
    run: ({ settings, output }) => {
      const text = printConfig(settings());
      output.show({ toml: text }, () => output.line(text.trimEnd()));
      return 0;
    },
  },
  {
    words: 'config check',
    summary: 'says whether the configuration can be used',
    run: ({ settings, output }) => {
      settings();
      output.show({ usable: true }, () => output.line('the configuration can be used'));
      return 0;
    },
  },
];
