/** Commands that ask the API, in the order of the help. A group of commands is a file of its own. */
import { bulkCommands } from './bulk.ts';
import type { Command } from './command.ts';
import { conflictCommands } from './conflict.ts';
import { deadLetterCommands } from './deadletter.ts';
import { inspectCommands } from './inspect.ts';
import { machineCommands } from './machine.ts';
import { queueCommands } from './queue.ts';
import { scheduleCommands } from './schedule.ts';
import { siteCommands } from './site.ts';
import { taskCommands } from './task.ts';

export const commands: readonly Command[] = [
  ...taskCommands,
  ...bulkCommands,
  ...deadLetterCommands,
  ...queueCommands,
  ...scheduleCommands,
  ...siteCommands,
  ...conflictCommands,
  ...inspectCommands,
  ...machineCommands,
];
