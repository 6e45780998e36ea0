/** The task as the runtime knows it: its machine, its schemas, and what is said where the machine alone would say too little. */
import type { Definition } from '../../runtime/core/definition.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import type { Json } from '../../runtime/protocol/json.ts';
import { taskDefaults, type TaskContext } from './attempt.ts';
import { chunkRefusal, isRepeated } from './chunks.ts';
import * as schemas from './events.ts';
import { taskMachine } from './machine.ts';
import { parentNews } from './start.ts';
import { taskStatus, type TaskStatus } from './status.ts';

export const taskDefinition: Definition = {
  id: 'task',
  version: 1,
  machine: taskMachine,
  input: schemas.inputSchema as never,
  events: schemas.events as never,
  reports: schemas.reports,
  retentionMs: (context) => (context as unknown as TaskContext).keepMs ?? taskDefaults.retentionMs,
  passOver: (context, event) => isRepeated(context as unknown as TaskContext, event),
  recreate: (actor, input) =>
    actor.context['fingerprint'] === input['fingerprint']
      ? { kind: 'duplicate' }
      : { kind: 'conflict', detail: 'the Idempotency-Key was used before with another body' },
  unheard: (id, actor, event) => {
    if (event.type !== 'await') return [];
    const status: TaskStatus | undefined = actor && taskStatus(actor.state);
    const ended = status === 'succeeded' || status === 'cancelled' || status === 'expired' ? status : undefined;
    const ending = ended ?? (actor ? 'crowded' : 'unknown');
    const result = actor?.context['result'] as Json | undefined;
    return [parentNews(event['child'] as string, id, ending, ended === 'succeeded' ? result : undefined)];
  },
  refusal: (actor, event: MachineEvent) => {
    if (schemas.reports.includes(event.type as never) && event['token'] !== actor.context['token'])
      return 'stale-token';
    if (event.type === 'chunk') return chunkRefusal(actor.context as unknown as TaskContext, event);
    return undefined;
  },
};
