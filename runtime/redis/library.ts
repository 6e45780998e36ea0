/** The Redis Functions library: its text, its names, and how it comes onto a server. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

const source = readFileSync(new URL('./functions.lua', import.meta.url), 'utf8');
const version = createHash('sha256').update(source).digest('hex').slice(0, 10);
const library = `#!lua name=orchestrator_${version}\n${source.replaceAll('@VERSION@', version)}`;

export type FunctionName = 'acquire' | 'renew' | 'release' | 'groups' | 'commit';

export function functionName(name: FunctionName): string {
  return `orchestrator_${name}_${version}`;
}

/** Loads the library where it is missing. Two processes may do so at once; the second finds it there. */
export async function loadLibrary(client: Redis): Promise<void> {
  try {
    await client.call('FUNCTION', 'LOAD', library);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('already exists')) throw error;
  }
}

/** Functions are per server: a fail-over or a FUNCTION FLUSH leaves a server without them. */
export function isMissingFunction(error: unknown): boolean {
  return error instanceof Error && error.message.includes('Function not found');
}
