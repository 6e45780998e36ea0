/**
 * Names of actors and the shard that each of them lives in.
 *
 * An id is `<prefix>-<shard>-<unique>`, for example `t-3-01JD2Q8Z0G5M6N7P8Q9RSTVWXY`: it carries its shard, so a read by
 * id needs no index. An address is `<definition>/<id>`. The alphabet has no `{ } : *`, so an id can never change the
 * Redis hash tag of a key it is part of.
 */
export type Address = `${string}/${string}`;

const idPattern = /^[a-z]{1,8}-(0|[1-9]\d{0,3})-[0-9A-Za-z._~-]{1,100}$/;
const uniquePattern = /^[0-9A-Za-z._~-]{1,100}$/;
const namePattern = /^[A-Za-z][A-Za-z0-9._-]{0,127}$/;

export function makeId(prefix: string, shard: number, unique: string): string {
  return `${prefix}-${shard}-${unique}`;
}

/** The shard that an id names, or undefined when the text is no id. */
export function shardOfId(id: string): number | undefined {
  if (!idPattern.test(id)) return undefined;
  const from = id.indexOf('-') + 1;
  return Number(id.slice(from, id.indexOf('-', from)));
}

export function isId(id: string): boolean {
  return idPattern.test(id);
}

/** Whether a caller's own name may stand as the last part of an id. */
export function isUnique(text: string): boolean {
  return uniquePattern.test(text);
}

/** Whether a text may name a task type, a definition, a tenant or a capability. */
export function isName(text: string): boolean {
  return namePattern.test(text);
}

export function address(definition: string, id: string): Address {
  return `${definition}/${id}`;
}

export interface AddressParts {
  definition: string;
  id: string;
  shard: number;
}

export function parseAddress(text: string): AddressParts | undefined {
  const slash = text.indexOf('/');
  if (slash < 1) return undefined;
  const definition = text.slice(0, slash);
  const id = text.slice(slash + 1);
  const shard = shardOfId(id);
  return shard === undefined || !isName(definition) ? undefined : { definition, id, shard };
}

/** 32-bit FNV-1a over UTF-16 units: stable across processes and releases, because ids on disk depend on it. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash ^= text.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** The shard of lane `lane` of a task type: where the tasks of the type and the agents that serve it live together. */
export function shardOfLane(type: string, lane: number, shards: number): number {
  return hash32(`${type}#${lane}`) % shards;
}

/** The data shards of a site: 0 to one below their number. */
export function dataShards(count: number): number[] {
  return Array.from({ length: count }, (_, shard) => shard);
}

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/**
 * A ULID: 48 bits of time, 80 bits of chance; 26 characters that sort by time.
 * @param nowMs wall clock in milliseconds
 * @param random 16 random bytes
 */
export function ulid(nowMs: number, random: Uint8Array): string {
  let time = '';
  for (let rest = nowMs, digit = 0; digit < 10; digit++) {
    time = crockford[rest % 32]! + time;
    rest = Math.floor(rest / 32);
  }
  let chance = '';
  for (let digit = 0; digit < 16; digit++) chance += crockford[random[digit]! & 31]!;
  return time + chance;
}
