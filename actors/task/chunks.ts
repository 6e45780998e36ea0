/**
 * Partial results of an attempt, numbered from 1. The task keeps how many there were and how large; the chunks themselves
 * stand in the journal, in order, and go from there to whoever listens and to the history. Pure.
 */
import { limits } from '../../config/limits.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import { utf8Bytes } from '../../runtime/protocol/json.ts';

/** Of the attempt under way, or of the last one. */
export interface Chunks {
  readonly count: number;
  /** As JSON. */
  readonly bytes: number;
}

export interface Chunk {
  attempt: number;
  /** From 1, without gaps. */
  number: number;
  chunk?: unknown;
}

/** What a task knows of the attempt. */
interface Streaming {
  attempt: number;
  token?: string | undefined;
  chunks?: Chunks | undefined;
}

const none: Chunks = { count: 0, bytes: 0 };

function sizeOf({ chunk }: Chunk): number {
  return utf8Bytes(JSON.stringify(chunk));
}

export function streamed({ chunks = none }: Pick<Streaming, 'chunks'>, chunk: Chunk): Chunks {
  return { count: chunk.number, bytes: chunks.bytes + sizeOf(chunk) };
}

/** Whether it is the next one of the attempt, and there is room for it. */
export function mayStream({ attempt, chunks = none }: Streaming, chunk: Chunk): boolean {
  return (
    chunk.attempt === attempt &&
    chunk.number === chunks.count + 1 &&
    chunk.number <= limits.chunksPerAttemptMax &&
    chunks.bytes + sizeOf(chunk) <= limits.chunkBytesPerAttemptMax
  );
}

/** A chunk that was taken before: a lost reply made the agent send it again. */
export function isRepeated(context: Streaming, event: MachineEvent): boolean {
  return (
    event.type === 'chunk' &&
    event['token'] === context.token &&
    event['attempt'] === context.attempt &&
    Number(event['number']) >= 1 &&
    Number(event['number']) <= (context.chunks?.count ?? 0)
  );
}

/** Why a chunk with the right token was not taken. */
export function chunkRefusal({ attempt, chunks = none }: Streaming, event: MachineEvent): string | undefined {
  if (event['attempt'] !== attempt) return 'stale-attempt';
  if (event['number'] !== chunks.count + 1) return 'chunk-gap';
  return 'chunks-full';
}
