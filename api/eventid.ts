/**
 * Ids of server-sent events: where a stream stands in each shard, `<shard>:<position>,…`. Every shard that the stream
 * follows is in it from the first event on, so that a client that comes back misses nothing of a shard that was quiet.
 */
import { isPosition, type Position } from '../runtime/protocol/journal.ts';
import { Problem } from './problem.ts';

export function eventId(seen: ReadonlyMap<number, Position>): string {
  return [...seen].map(([shard, position]) => `${shard}:${position}`).join(',');
}

/** @throws Problem for a text that is no id of an event */
export function parseEventId(text: string | undefined, shards: number): Map<number, Position> | undefined {
  if (text === undefined || text === '') return undefined;
  const positions = new Map<number, Position>();
  for (const part of text.split(',')) {
    const [shard = '', position = '', ...rest] = part.split(':');
    if (!/^\d{1,4}$/.test(shard) || Number(shard) >= shards || !isPosition(position) || rest.length > 0)
      throw new Problem('invalid-request', 'this is not the id of an event of this stream', { where: 'Last-Event-ID' });
    positions.set(Number(shard), position);
  }
  return positions;
}
