/** An agent's row, from its journal records. */
import { stateText } from '../../runtime/protocol/envelope.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import type { Projection } from '../../runtime/protocol/projection.ts';
import { agentStatus } from './status.ts';

export const agentProjection: Projection = {
  definition: 'agent',
  table: 'agents',
  columns: {
    type: 'text',
    status: 'text',
    capabilities: 'jsonb',
    labels: 'jsonb',
    slots: 'integer',
    version: 'text',
    generation: 'counter',
    reason: 'text',
    registered_at: 'timestamptz',
  },
  patch: ({ input, event, state }, at) => {
    const patch: Record<string, unknown> = { status: agentStatus(state) };
    if (input) {
      Object.assign(patch, {
        type: input['type'],
        capabilities: input['capabilities'] ?? [],
        labels: (input['labels'] as JsonObject | undefined) ?? {},
        slots: input['slots'] ?? 1,
        version: input['version'] ?? null,
        registered_at: at,
        reason: null,
        // Each registration is a new generation.
        generation: 1,
      });
    }
    if (event?.type === 'rejected' || event?.type === 'quarantine') patch['reason'] = event['reason'];
    else if (stateText(state).includes('sick')) patch['reason'] = 'consumes_nothing';
    else if (typeof state === 'object') patch['reason'] = null;
    return patch;
  },
  row: ({ state, context }) => ({
    type: context['type'],
    status: agentStatus(state),
    capabilities: context['capabilities'] ?? [],
    labels: context['labels'] ?? {},
    slots: context['slots'],
    version: context['version'],
    generation: context['generation'],
    reason: context['reason'],
    registered_at: context['registeredAt'],
  }),
};
