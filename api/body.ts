/**
 * Request bodies: read after authentication, bounded, and taken only when every JSON parser would read them alike. The
 * strictness is on purpose: duplicate members, a byte order mark or a lone surrogate mean different things to different
 * programs, so they are refused where they come in.
 */
import type { Request } from 'express';
import { limits } from '../config/limits.ts';
import { storageProblem } from '../runtime/protocol/json.ts';
import { Problem } from './problem.ts';

export type BodyKind = 'json' | 'ndjson';

/** @throws Problem 413, 415 or 400 */
export async function readBody(request: Request): Promise<{ kind: BodyKind; text: string }> {
  const [type = '', ...parameters] = (request.get('Content-Type') ?? '')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const kind = type === 'application/json' ? 'json' : /^application\/(x-)?ndjson$/.test(type) ? 'ndjson' : undefined;
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice('charset='.length)
    .replaceAll('"', '');
  if (!kind || (charset !== undefined && charset !== 'utf-8'))
    throw new Problem(
      'unsupported-media-type',
      `the body is ${type || 'of no type'}${charset ? ` in ${charset}` : ''}`,
      {
        where: 'Content-Type',
        remedy: 'send application/json or application/x-ndjson in UTF-8',
      },
    );
  if ((request.get('Content-Encoding') ?? 'identity') !== 'identity')
    throw new Problem('unsupported-media-type', 'compressed bodies are not taken', { where: 'Content-Encoding' });
  const declared = Number(request.get('Content-Length') ?? 0);
  if (declared > limits.requestBytesMax) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop must not destroy the request: the connection is still needed for the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.requestBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    return { kind, text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks)) };
  } catch {
    throw new Problem('invalid-json', 'the body is not UTF-8');
  }
}

function tooLarge(): Problem {
  return new Problem('too-large', `a body has at most ${limits.requestBytesMax} bytes`, {
    remedy: 'send fewer tasks in one request, or put large data elsewhere and send its address',
  });
}

/** @throws Problem with the place of what is wrong */
export function parseStrict(text: string): unknown {
  if (text.trim() === '') throw new Problem('invalid-json', 'the body is empty');
  if (text.startsWith('\uFEFF')) throw new Problem('invalid-json', 'the body begins with a byte order mark');
  const bounds = scan(text);
  if (bounds !== undefined) throw new Problem('invalid-json', bounds);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Problem('invalid-json', error instanceof Error ? error.message.slice(0, 200) : 'not JSON');
  }
  if (!Array.isArray(value)) checkStorable(value, '');
  else if (value.length > limits.batchEnvelopesMax)
    throw new Problem(
      'invalid-request',
      `an array has at most ${limits.batchEnvelopesMax} items, this one ${value.length}`,
    );
  else for (const [index, item] of value.entries()) checkStorable(item, `/${index}`);
  return value;
}

function checkStorable(value: unknown, at: string): void {
  const unsafe = storageProblem(value, { depthMax: limits.jsonDepthMax, keysMax: limits.jsonKeysMax });
  if (unsafe === undefined) return;
  const path = /^\/\S*/.exec(unsafe)?.[0] ?? '';
  throw new Problem('invalid-request', `${at}${path === '' && at !== '' ? ': ' : ''}${unsafe}`, {
    where: `${at}${path}` || '/',
  });
}

/** One look at the text before it is parsed: nesting, duplicate members, numbers that would lose digits. */
function scan(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let index = 0;
  let members = 0;
  let expectName = false;
  while (index < text.length) {
    const character = text[index]!;
    if (character === '"') {
      const end = stringEnd(text, index);
      if (end === -1) return undefined;
      const names = open[open.length - 1];
      if (expectName && names) {
        const raw = text.slice(index, end + 1);
        const name = raw.includes('\\') ? unescaped(raw) : raw.slice(1, -1);
        if (name !== undefined) {
          if (names.has(name)) return `the member "${name.slice(0, 40)}" stands twice in one object`;
          names.add(name);
        }
        if (++members > limits.jsonKeysMax) return `there are more than ${limits.jsonKeysMax} members`;
        expectName = false;
      }
      index = end + 1;
      continue;
    }
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : undefined);
      if (open.length > limits.jsonDepthMax) return `it is nested deeper than ${limits.jsonDepthMax} levels`;
      expectName = character === '{';
    } else if (character === '}' || character === ']') {
      open.pop();
      expectName = false;
    } else if (character === ',') {
      // The width is bounded for each item of a bulk submit, not for all of them together.
      if (open.length === 1 && open[0] === undefined) members = 0;
      expectName = open[open.length - 1] !== undefined;
    } else if (character === '-' || (character >= '0' && character <= '9')) {
      const number = /[-+0-9.eE]+/y;
      number.lastIndex = index;
      const digits = number.exec(text)?.[0] ?? character;
      const wrong = numberProblem(digits);
      if (wrong !== undefined) return `the number ${digits.slice(0, 40)} ${wrong}`;
      index += digits.length;
      continue;
    }
    index++;
  }
  return undefined;
}

/** What is no number at all is left to the parser, which says so in its own words. */
function numberProblem(digits: string): string | undefined {
  const value = Number(digits);
  if (Math.abs(value) === Infinity) return 'is too large';
  if (!/^-?\d+$/.test(digits) || Number.isSafeInteger(value) || String(value) === digits) return undefined;
  return BigInt(value) === BigInt(digits) ? undefined : 'would lose digits; send it as a string';
}

function stringEnd(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    if (text[index] === '\\') index++;
    else if (text[index] === '"') return index;
  }
  return -1;
}

function unescaped(raw: string): string | undefined {
  try {
    return JSON.parse(raw) as string;
  } catch {
    // Not JSON at all: the parser says so in its own words.
    return undefined;
  }
}
