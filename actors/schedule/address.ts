/**
 * Where schedules live. All schedules of a tenant share a shard with the roster that counts them, so that a name is the
 * tenant's whatever task type it is for, and a create is decided in one commit.
 */
import { address, hash32, makeId, shardOfId, type Address } from '../../runtime/protocol/ids.ts';

/** Two hashes from different beginnings, because tenants should not meet; a "~" stands in no name. */
function mark(tenant: string): string {
  return `~${hash32(tenant).toString(36)}${hash32(`~${tenant}`).toString(36)}`;
}

export function scheduleId(name: string, tenant: string | undefined, shards: number): string {
  const shard = hash32(`schedules~${tenant ?? ''}`) % shards;
  return makeId('s', shard, tenant === undefined ? name : `${name}${mark(tenant)}`);
}

export function scheduleAddress(id: string): Address {
  return address('schedule', id);
}

export function rosterAddress(schedule: string, tenant: string | undefined): Address {
  return address('roster', makeId('r', shardOfId(schedule) ?? 0, tenant === undefined ? '~' : `${mark(tenant)}`));
}

/** What follows the shard in the id of a schedule. */
function uniqueOf(schedule: string): string {
  return schedule.replace(/^s-\d+-/, '');
}

/**
 * The task of one occurrence. It follows from the schedule and the time that the pattern names, so an occurrence that
 * would be acted on twice, by whomever, meets the task that is there.
 * @param shard of the tasks
 * @param nominalMs the time that the pattern names, before jitter
 */
export function taskOfOccurrence(schedule: string, shard: number, nominalMs: number): string {
  return makeId('t', shard, `${uniqueOf(schedule)}~${nominalMs.toString(36)}`);
}

/** The task of a run that was asked for by hand: the nth of the schedule that was made then. */
export function taskOfTrigger(schedule: string, shard: number, madeMs: number, number: number): string {
  return makeId('t', shard, `${uniqueOf(schedule)}~${madeMs.toString(36)}m${number.toString(36)}`);
}
