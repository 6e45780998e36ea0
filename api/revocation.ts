/**
 * Tokens that were called back, by their `jti`, one a line. The file is looked at again when it has changed, at most once
 * a second, so that a revocation holds in every process of a machine without a restart.
 */
import { appendFileSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import jwt from 'jsonwebtoken';
import { isObject } from '../runtime/protocol/json.ts';

const lookEveryMs = 1_000;

export class Revocations {
  readonly #path: string;
  readonly #monotonicMs: () => number;
  #lookedAtMs = -Infinity;
  #seen = '';
  #ids: ReadonlySet<string> = new Set();

  constructor(path: string, monotonicMs: () => number) {
    this.#path = path;
    this.#monotonicMs = monotonicMs;
  }

  /** @throws Error when the file is there and cannot be read: a token is not taken on a guess */
  has(jti: string): boolean {
    const now = this.#monotonicMs();
    if (now - this.#lookedAtMs >= lookEveryMs) {
      this.#look();
      this.#lookedAtMs = now;
    }
    return this.#ids.has(jti);
  }

  #look(): void {
    const state = statSync(this.#path, { throwIfNoEntry: false });
    const seen = state ? `${state.mtimeMs}/${state.size}/${state.ino}` : '';
    if (seen === this.#seen) return;
    this.#ids = new Set(state ? readFileSync(this.#path, 'utf8').split(/\s+/) : []);
    this.#seen = seen;
  }
}

/** `jti` of a token. @throws Error when the text is no token that can be named */
export function tokenIdOf(token: string): string {
  const payload: unknown = jwt.decode(token.trim());
  const jti = isObject(payload) ? payload['jti'] : undefined;
  if (typeof jti !== 'string' || !/^\S{1,128}$/.test(jti))
    throw new Error('this is no token with a jti; tokens of `orchestrator token` have one');
  return jti;
}

/** Calls the token with this `jti` back. */
export function revoke(path: string, jti: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  appendFileSync(path, `${jti}\n`, { mode: 0o600 });
}
