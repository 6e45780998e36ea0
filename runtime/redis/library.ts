/** The Redis Functions library: its text, its names, and how it comes onto a server. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { serversOf, type Client } from './client.ts';

const source = readFileSync(new URL('./functions.lua', import.meta.url), 'utf8');
const version = createHash('sha256').update(source).digest('hex').slice(0, 10);
const library = `#!lua name=orchestrator_${version}\n${source.replaceAll('@VERSION@', version)}`;

export type FunctionName = 'acquire' | 'renew' | 'release' | 'groups' | 'gate' | 'commit';

export function functionName(name: FunctionName): string {
  return `orchestrator_${name}_${version}`;
}

/**
 * Loads the library on every master that answers: replicas get it from theirs.
 * @returns the first error, of a master that may not be the one that matters
 */
export async function loadLibrary(client: Client): Promise<unknown> {
  const loads = await Promise.allSettled(serversOf(client, 'master').map(load));
  return loads.find((one) => one.status === 'rejected')?.reason;
}

/** Two processes may do so at once; the second finds it there. */
async function load(server: Redis): Promise<void> {
  try {
    await server.call('FUNCTION', 'LOAD', library);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('already exists')) throw error;
  }
}

/** Functions are per server: a fail-over or a FUNCTION FLUSH leaves a server without them. */
export function isMissingFunction(error: unknown): boolean {
  return error instanceof Error && error.message.includes('Function not found');
}
