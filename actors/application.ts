/** What the product's actors bring to the generic runtime: their definitions, their ingress, their dispatcher. */
import type { Definition } from '../runtime/core/definition.ts';
import { Registry } from '../runtime/core/definition.ts';
import type { Application } from '../runtime/ports.ts';
import { agentDefinition } from './agent/machine.ts';
import { answerRefusal, translateReport } from './agent/reports.ts';
import { bulkDefinition } from './bulk/machine.ts';
import { LaneDispatcher } from './dispatch/dispatcher.ts';
import { fleetDefinition } from './fleet/machine.ts';
import { allotmentDefinition } from './limit/allotment.ts';
import { limitDefinition } from './limit/machine.ts';
import { queueDefinition } from './queue/machine.ts';
import { rosterDefinition } from './roster/machine.ts';
import { scheduleDefinition } from './schedule/machine.ts';
import { siteDefinition } from './site/machine.ts';
import { syncDefinition } from './sync/machine.ts';
import { taskDefinition } from './task/definition.ts';
import { uniqueDefinition } from './unique/machine.ts';

export const builtInDefinitions: readonly Definition[] = [
  taskDefinition,
  agentDefinition,
  fleetDefinition,
  queueDefinition,
  limitDefinition,
  allotmentDefinition,
  scheduleDefinition,
  rosterDefinition,
  uniqueDefinition,
  bulkDefinition,
  siteDefinition,
  syncDefinition,
];

/** @param more definitions of the user, beside the built-in ones */
export function createRegistry(more: readonly Definition[] = []): Registry {
  return new Registry([...builtInDefinitions, ...more]);
}

export const application: Application = {
  report: translateReport,
  refusal: answerRefusal,
  dispatcher: (shard) => new LaneDispatcher(shard),
};
