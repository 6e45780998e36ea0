/** What a running process may take over from a configuration that has changed, and what waits for the next start. */
import type { Config } from './schema.ts';

/** Keys that hold from the moment of a reload. Files that other keys name (keys, certificates) are read again as well. */
export const reloadableKeys: ReadonlySet<string> = new Set([
  'logging.level',
  'orchestrator.max_agents',
  'orchestrator.task_timeout',
  'rate_limits.subject_per_minute',
  'rate_limits.address_per_minute',
  'rate_limits.refusals_per_minute',
  'retention.audit_days',
  'retention.finished_task_minutes',
  'retention.history_days',
  'retention.task_days',
  'tls.minimum_version',
  ...['tls', 'redis', 'postgres'].flatMap((table) => [`${table}.certificate_file`, `${table}.key_file`]),
  'redis.ca_file',
  'postgres.ca_file',
]);

export interface ConfigChange {
  /** Keys whose new value holds now. */
  applied: string[];
  /** Keys whose new value holds after a restart. */
  waiting: string[];
}

/** Names only: values may be secret. */
export function configChange(before: Config, after: Config): ConfigChange {
  const old = flat(before);
  const next = flat(after);
  const changed = [...new Set([...old.keys(), ...next.keys()])].filter((key) => old.get(key) !== next.get(key)).sort();
  return {
    applied: changed.filter((key) => reloadableKeys.has(key)),
    waiting: changed.filter((key) => !reloadableKeys.has(key)),
  };
}

function flat(config: Config): Map<string, string> {
  return new Map(
    Object.entries(config).flatMap(([section, table]) =>
      Object.entries(table).map(([key, value]) => [`${section}.${key}`, JSON.stringify(value)] as const),
    ),
  );
}
