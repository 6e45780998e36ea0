/** Schemas of sites for the OpenAPI document. */
import { siteRoles } from '../../actors/site/status.ts';
import { linkStates } from '../../actors/sync/events.ts';

const string = { type: 'string' };
const integer = { type: 'integer', minimum: 0 };

export const siteListComponent = {
  type: 'object',
  properties: {
    sites: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          site: { enum: ['primary', 'secondary'] },
          number: { enum: [1, 2] },
          self: { type: 'boolean', description: 'Whether it is the one that answers.' },
          role: { enum: [...siteRoles, null], description: 'null where the other site does not answer.' },
          epoch: integer,
          mode: { enum: ['manual', 'witness'] },
          reason: string,
          since: { type: 'string', format: 'date-time' },
          api: { ...string, description: 'Where the API of the other site answers.' },
          link: { enum: [...linkStates], description: 'How it follows the other site.' },
          lag_entries: { ...integer, description: 'Journal entries of the other site that a standby lacks.' },
          lag_ms: { ...integer, description: 'Age of the oldest of them.' },
          copy: { type: 'object' },
          refusal: { type: 'object', description: 'Why nothing is taken from the other site, and what mends it.' },
          last_check: {
            type: 'object',
            description: 'The last comparison of both sites: all actors if `full`, or a sample of every shard.',
          },
        },
        required: ['site', 'number', 'self', 'role'],
      },
    },
  },
  required: ['sites'],
};
