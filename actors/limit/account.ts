/** The arithmetic of a limit: so many units in each window, windows aligned to the clock. Pure. */
export interface Account {
  /** Undefined until somebody sets it. */
  units?: number | undefined;
  windowMs?: number | undefined;
  /** Start of the window that `used` is about, in milliseconds since 1970. */
  windowAt: number;
  /** Units handed out in the window; above `units` where attempts cost more than they had said. */
  used: number;
  /** Shards that were denied, and hear when there is more. */
  waiting: Readonly<Record<string, 1>>;
}

export interface Draw {
  shard: number;
  /** Less than this is of no use. */
  least: number;
  /** As much as this can be used now. */
  units: number;
}

export type Answer =
  | { type: 'grant'; units: number; untilMs: number; ofUnits: number }
  /** `left` may do for a cheaper task; without `untilMs` nothing changes until the limit does. */
  | { type: 'deny'; reason: 'spent' | 'unknown' | 'too_large'; left: number; untilMs?: number; ofUnits?: number };

/** The account in the window of `at`. What was overspent is paid back from the windows that follow. */
export function rolled(account: Account, at: number): Account {
  const { units, windowMs } = account;
  if (units === undefined || windowMs === undefined) return account;
  const windowAt = Math.floor(at / windowMs) * windowMs;
  if (windowAt <= account.windowAt) return account;
  const windows = Math.round((windowAt - account.windowAt) / windowMs);
  return { ...account, windowAt, used: Math.max(0, account.used - units * windows) };
}

export function drawn(before: Account, draw: Draw, at: number): { account: Account; answer: Answer } {
  const account = rolled(before, at);
  const { units, windowMs, used } = account;
  const denied = { ...account, waiting: { ...account.waiting, [draw.shard]: 1 as const } };
  if (units === undefined || windowMs === undefined)
    return { account: denied, answer: { type: 'deny', reason: 'unknown', left: 0 } };
  const left = Math.max(0, units - used);
  const untilMs = account.windowAt + windowMs;
  if (draw.least > units) {
    // What is left now is more in the next window, for others than the one that is too large.
    const answer: Answer = { type: 'deny', reason: 'too_large', left, ofUnits: units };
    return { account: denied, answer: left < units ? { ...answer, untilMs } : answer };
  }
  if (draw.least > left)
    return { account: denied, answer: { type: 'deny', reason: 'spent', left, untilMs, ofUnits: units } };
  const granted = Math.min(draw.units, left);
  return {
    account: { ...account, used: used + granted },
    answer: { type: 'grant', units: granted, untilMs, ofUnits: units },
  };
}

/** An attempt cost `delta` more than was charged. A refund counts in the window of the charge only. */
export function corrected(before: Account, delta: number, chargedAt: number, at: number): Account {
  const account = rolled(before, at);
  if (delta < 0 && chargedAt < account.windowAt) return account;
  return { ...account, used: Math.max(0, account.used + delta) };
}

export function reset(before: Account, units: number, windowMs: number, at: number): Account {
  if (before.windowMs === windowMs) return { ...rolled(before, at), units };
  // Units of another window cannot be compared; what is handed out already counts against the new one.
  const windowAt = Math.floor(at / windowMs) * windowMs;
  return { ...before, units, windowMs, windowAt, used: rolled(before, at).used };
}
