/** What tasks of the bench ask for beyond their type, and what its agents are for that. */
import type { JsonObject } from '../../runtime/protocol/json.ts';

/** Ten tenants with ten keys each, of which none ever waits, and a label that every agent has. */
export function demandsOf(number: number): JsonObject {
  return {
    tenant: `tenant-${number % 10}`,
    concurrency: { key: `key-${Math.floor(number / 10) % 10}`, limit: 500 },
    requires: { labels: [{ label: 'region', value: 'north' }] },
  };
}

export function labelsOf(agent: number): JsonObject {
  return { region: 'north', number: agent };
}
