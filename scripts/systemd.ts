/**
 * What the service manager is told: ready, reloading, stopping, one line of status, and the pings of its watchdog. Node
 * cannot write to the datagram socket that systemd listens on, so its own `systemd-notify` does; without `NOTIFY_SOCKET`
 * nothing is told and nothing is started.
 */
import { execFile } from 'node:child_process';
import { limits } from '../config/limits.ts';
import type { Log } from '../runtime/ports.ts';

export type Assignment = 'READY=1' | 'RELOADING=1' | 'STOPPING=1' | 'WATCHDOG=1' | `STATUS=${string}`;

export interface ServiceManager {
  /** Resolves when the message was taken. Never rejects: a service goes on although nobody listens. */
  tell(...assignments: Assignment[]): Promise<void>;
  /** How often the watchdog wants a ping, in milliseconds; undefined when there is none. */
  watchdogMs: number | undefined;
}

export function serviceManager(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
  log: Log,
): ServiceManager {
  if (!env['NOTIFY_SOCKET']) return { tell: async () => undefined, watchdogMs: undefined };
  // In order: READY=1 that overtakes RELOADING=1 would leave the unit reloading for ever.
  let last: Promise<void> = Promise.resolve();
  const send = (assignments: readonly Assignment[]): Promise<void> =>
    new Promise((resolve) => {
      execFile('systemd-notify', [...assignments], { timeout: limits.notifyTimeoutMs }, (error) => {
        if (error) log.warn({ told: assignments.join(' '), error: error.message }, 'systemd could not be told');
        resolve();
      });
    });
  return {
    tell: (...assignments) => (last = last.then(() => send(assignments))),
    watchdogMs: watchdogMs(env, pid),
  };
}

/** A child of the service inherits the variables, but the watchdog waits for the main process alone. */
function watchdogMs(env: Readonly<Record<string, string | undefined>>, pid: number): number | undefined {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: wanted } = env;
  if (wanted !== undefined && Number(wanted) !== pid) return undefined;
  return Number(usec) > 0 ? Number(usec) / 1000 : undefined;
}

export interface Pulse {
  manager: ServiceManager;
  /** The longest time that a shard held here has not come round, in milliseconds. */
  readAgeMs: () => number;
  log: Log;
}

/**
 * Pings the watchdog three times in its interval, as long as every shard comes round: a process whose loops hang is started
 * again, although its event loop still turns. While Redis is away shards are given up when their leases run out, so an
 * outage does not look like a hang.
 * @returns what ends it
 */
export function feedWatchdog({ manager, readAgeMs, log }: Pulse): () => void {
  if (manager.watchdogMs === undefined) return () => undefined;
  let starving = false;
  const beat = (): void => {
    const age = readAgeMs();
    if (age <= limits.watchdogReadAgeMs) void manager.tell('WATCHDOG=1');
    else if (!starving) {
      log.error({ read_age_ms: Math.round(age) }, 'a shard does not come round: the watchdog is not fed any more');
      void manager.tell('STATUS=a shard does not come round');
    }
    starving = age > limits.watchdogReadAgeMs;
  };
  const timer = setInterval(beat, manager.watchdogMs / 3);
  beat();
  return () => clearInterval(timer);
}
