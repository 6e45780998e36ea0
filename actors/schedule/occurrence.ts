/**
 * When a schedule is due. Pure: from a given time on and never from the clock, so that a replay finds the same. Nominal
 * times are those that pattern or interval name; jitter comes on top and is a hash of them.
 */
import { limits } from '../../config/limits.ts';
import { hash32 } from '../../runtime/protocol/ids.ts';
import { nextOfPattern } from './pattern.ts';

export type CatchUp = 'none' | 'last' | 'all';

/** Milliseconds everywhere; points in time since 1970. */
export interface Timing {
  readonly cron?: string | undefined;
  readonly intervalMs?: number | undefined;
  readonly timezone: string;
  /** Nothing before it; intervals are counted from it. */
  readonly startAt?: number | undefined;
  /** Nothing at it or after it. */
  readonly endAt?: number | undefined;
  readonly jitterMs?: number | undefined;
  readonly catchUp: CatchUp;
  /** How many of the missed occurrences `all` makes up. */
  readonly catchUpMax: number;
  /** Older ones are never made up. */
  readonly catchUpWindowMs: number;
  /** Where intervals are counted from when there is no start. */
  readonly createdAt: number;
}

/** The first nominal time after `afterMs`. */
export function nextNominal(timing: Timing, afterMs: number): number | undefined {
  const { startAt, endAt } = timing;
  const after = Math.max(afterMs, (startAt ?? -Infinity) - 1);
  const next =
    timing.intervalMs === undefined ? ofPattern(timing, after) : ofInterval(timing, timing.intervalMs, after);
  return next === undefined || next >= (endAt ?? Infinity) ? undefined : next;
}

function ofPattern({ cron = '', timezone }: Timing, after: number): number | undefined {
  return nextOfPattern(cron, timezone, after);
}

function ofInterval({ startAt, createdAt }: Timing, intervalMs: number, after: number): number {
  const first = startAt ?? createdAt + intervalMs;
  return after < first ? first : first + (Math.floor((after - first) / intervalMs) + 1) * intervalMs;
}

/** When an occurrence is acted on. */
export function dueAt({ jitterMs = 0 }: Timing, self: string, nominal: number): number {
  return nominal + (jitterMs === 0 ? 0 : hash32(`${self} ${nominal}`) % (jitterMs + 1));
}

export interface Due {
  /** Nominal times to act on, oldest first. */
  readonly act: readonly number[];
  /** Occurrences that are left out because their time went by. */
  readonly missed: number;
  /** The nominal time to wait for next. */
  readonly next: number | undefined;
}

/**
 * What to act on at `now`.
 * @param nominal the occurrence that the clock was set to, due not after `now`
 */
export function dueNow(timing: Timing, self: string, nominal: number, now: number): Due {
  const { found, passed, next } = between(timing, self, nominal, now);
  const recent = found.filter((time) => now - dueAt(timing, self, time) <= timing.catchUpWindowMs);
  const latest = recent.slice(-1);
  const act =
    timing.catchUp === 'all'
      ? recent.slice(-timing.catchUpMax)
      : timing.catchUp === 'last'
        ? latest
        : latest.filter((time) => now - dueAt(timing, self, time) <= limits.schedulePunctualMs);
  return { act, missed: passed - act.length, next };
}

/** Occurrences from `nominal` on that are due by `now`: the latest of them, how many, and the one after. */
function between(
  timing: Timing,
  self: string,
  nominal: number,
  now: number,
): { found: number[]; passed: number; next: number | undefined } {
  const found = [nominal];
  let passed = 1;
  let next = nextNominal(timing, nominal);
  while (next !== undefined && dueAt(timing, self, next) <= now) {
    found.push(next);
    passed++;
    if (found.length > limits.scheduleCatchUpMax) found.shift();
    // A shard must not count the seconds of a month: of a long absence only the end matters.
    next = nextNominal(timing, passed === limits.scheduleScanMax ? lateStart(timing, next, now) : next);
  }
  return { found, passed, next };
}

/** A time from which on there are as many occurrences until `now` as may be made up, or the given one. */
function lateStart(timing: Timing, from: number, now: number): number {
  for (let spanMs = 60_000; now - spanMs > from; spanMs *= 4) {
    let count = 0;
    let time = nextNominal(timing, now - spanMs);
    while (time !== undefined && time <= now && count < limits.scheduleCatchUpMax) {
      count++;
      time = nextNominal(timing, time);
    }
    if (count >= limits.scheduleCatchUpMax) return now - spanMs;
  }
  return from;
}
