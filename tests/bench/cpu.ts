/** CPU time of servers: user and system, in microseconds, since they were started. */
import { readdirSync, readFileSync } from 'node:fs';
import type { Client } from '../../runtime/redis/client.ts';

/** Linux counts in hundredths of a second. */
const tickUs = 10_000;

export async function redisCpuUs(redis: Pick<Client, 'info'>): Promise<number> {
  const text = await redis.info('cpu');
  const seconds = (field: string): number => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(text)?.[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

/** Of a process and its children, those that ended included; 0 where there is no such process. */
export function familyCpuUs(root: number | undefined): number {
  if (root === undefined) return 0;
  let ticks = 0;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = statOf(name);
    if (text === undefined) continue;
    const [, parent, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user = 0, system = 0, childUser = 0, childSystem = 0] = rest.slice(9, 13).map(Number);
    if (Number(name) === root) ticks += user + system + childUser + childSystem;
    else if (Number(parent) === root) ticks += user + system;
  }
  return ticks * tickUs;
}

function statOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // It ended meanwhile, and is in the sum of its parent.
    return undefined;
  }
}
