/** How many actors of each definition stand in each state, in all shards: their owners are asked, in whichever process. */
import type { ApiContext } from '../context.ts';

export interface Census {
  /** Definition -> state text -> number of live actors. */
  counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Shards whose owner did not answer: their actors are not counted. */
  silentShards: number[];
}

export async function siteCensus({ commands, site }: Pick<ApiContext, 'commands' | 'site'>): Promise<Census> {
  const shards = Array.from({ length: site.shards }, (_, shard) => shard);
  const answers = await Promise.all(shards.map((shard) => commands.ask(shard, { ask: 'census' })));
  const counts = new Map<string, Map<string, number>>();
  for (const answer of answers) {
    for (const [key, count] of Object.entries((answer?.['census'] ?? {}) as Record<string, number>)) {
      const space = key.indexOf(' ');
      const definition = key.slice(0, space);
      const states = counts.get(definition) ?? new Map<string, number>();
      const state = key.slice(space + 1);
      counts.set(definition, states.set(state, (states.get(state) ?? 0) + count));
    }
  }
  return { counts, silentShards: shards.filter((shard) => answers[shard] === undefined) };
}
