/** All commands, in the order of the help. A group of commands is a file of its own. */
import { agentCommands } from './agent.ts';
import { auditCommand } from './audit.ts';
import { backupCommands } from './backup.ts';
import { bulkCommands } from './bulk.ts';
import type { Command } from './command.ts';
import { configCommands } from './config.ts';
import { conformanceCommand } from './conformance.ts';
import { conflictCommands } from './conflict.ts';
import { deadLetterCommands } from './deadletter.ts';
import { doctorCommand } from './doctor.ts';
import { inspectCommands } from './inspect.ts';
import { machineCommands } from './machine.ts';
import { migrateCommands } from './migrate.ts';
import { queueCommands } from './queue.ts';
import { rebuildCommands } from './rebuild.ts';
import { scheduleCommands } from './schedule.ts';
import { siteCommands } from './site.ts';
import { taskCommands } from './task.ts';
import { tokenCommands } from './token.ts';

export const commands: readonly Command[] = [
  ...taskCommands,
  ...bulkCommands,
  ...deadLetterCommands,
  ...queueCommands,
  ...agentCommands,
  conformanceCommand,
  ...scheduleCommands,
  ...siteCommands,
  ...conflictCommands,
  ...inspectCommands,
  ...machineCommands,
  auditCommand,
  ...tokenCommands,
  ...configCommands,
  doctorCommand,
  ...migrateCommands,
  ...backupCommands,
  ...rebuildCommands,
];
