/** Stream entries of a shard as what they mean: names and values alternate in a fixed order. */
import type { OutboundEntry, SetAside } from '../ports.ts';
import type { StreamEntry } from './stream.ts';

export function setAsideOf(fields: readonly string[]): SetAside {
  const [, source = '', , entry = '', , reason = '', , detail = '', , text = '[]'] = fields;
  return { source, entry, reason, detail, fields: text };
}

export function outboundOf({ id, fields }: StreamEntry): OutboundEntry {
  const [, shard = '', , number = '', , envelope = ''] = fields;
  return { id, shard: Number(shard), number: Number(number), envelope };
}
