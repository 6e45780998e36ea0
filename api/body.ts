/**
 * Request bodies: read after authentication, bounded, and taken only when every JSON parser would read them alike. The
 * strictness is on purpose: duplicate members, a byte order mark or a lone surrogate mean different things to different
 * programs, so they are refused where they come in.
 */
import type { Request } from 'express';
import { limits } from '../config/limits.ts';
import { storageProblem } from '../runtime/protocol/json.ts';
import { Problem } from './problem.ts';

const bodyBeginningLength = 1_024;
const beginnings = new WeakMap<Request, string>();

/** The first characters of a body that was read; undefined when none was. */
export function bodyBeginningOf(request: Request): string | undefined {
  return beginnings.get(request);
}

export type BodyKind = 'json' | 'ndjson';

/** @throws Problem 413, 415 or 400 */
export async function readBody(request: Request): Promise<{ kind: BodyKind; text: string }> {
  const [type = '', ...parameters] = (request.headersDistinct['content-type'] ?? [])
    .join()
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
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
    beginnings.set(request, text.slice(0, bodyBeginningLength));
    return { kind, text };
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

const quote = 0x22;
const comma = 0x2c;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const openList = 0x5b;
const backslash = 0x5c;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/** One look at the text before it is parsed: nesting, width, duplicate members, numbers that would lose digits. */
function scan(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let index = 0;
  let members = 0;
  let items = 0;
  let expectName = false;
  while (index < text.length) {
    const character = text.charCodeAt(index);
    if (character === quote) {
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
    if (character === openObject || character === openList) {
      open.push(character === openObject ? new Set() : undefined);
      if (open.length > limits.jsonDepthMax) return `it is nested deeper than ${limits.jsonDepthMax} levels`;
      expectName = character === openObject;
    } else if (character === closeObject || character === closeList) {
      open.pop();
      expectName = false;
    } else if (character === comma) {
      expectName = open[open.length - 1] !== undefined;
      // The width is bounded for each item of a bulk submit, not for all of them together.
      if (open.length === 1 && !expectName) members = items = 0;
      else if (!expectName && ++items > limits.jsonKeysMax) return `there are more than ${limits.jsonKeysMax} items`;
    } else if (character === minus || (character >= zero && character <= nine)) {
      const end = numberEnd(text, index);
      // So few characters hold neither too many digits nor an exponent that is too large.
      const wrong = end - index > 4 ? numberProblem(text.slice(index, end)) : undefined;
      if (wrong !== undefined) return `the number ${text.slice(index, Math.min(end, index + 40))} ${wrong}`;
      index = end;
      continue;
    }
    index++;
  }
  return undefined;
}

function numberEnd(text: string, start: number): number {
  let index = start + 1;
  for (; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (character >= zero && character <= nine) continue;
    // + - . e E
    if (character !== 0x2b && character !== minus && character !== 0x2e && (character | 0x20) !== 0x65) break;
  }
  return index;
}

/** What is no number at all is left to the parser, which says so in its own words. */
function numberProblem(digits: string): string | undefined {
  const value = Number(digits);
  if (Math.abs(value) === Infinity) return 'is too large';
  if (Number.isSafeInteger(value) || String(value) === digits || !/^-?\d+$/.test(digits)) return undefined;
  return BigInt(value) === BigInt(digits) ? undefined : 'would lose digits; send it as a string';
}

function stringEnd(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (character === backslash) index++;
    else if (character === quote) return index;
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
