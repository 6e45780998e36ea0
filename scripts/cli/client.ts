/** The REST API as the command line uses it: a token, JSON in, JSON out, refusals as errors that say the remedy. */
import type { JsonObject } from '../../runtime/protocol/json.ts';

/** The server answered with a problem. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly problem: JsonObject;

  constructor(status: number, problem: JsonObject) {
    const text = (name: string): string | undefined =>
      typeof problem[name] === 'string' && problem[name] !== '' ? problem[name] : undefined;
    const parts = [
      text('detail') ?? text('title') ?? `the server answered ${status}`,
      text('remedy'),
      Array.isArray(problem['legal']) && problem['legal'].length > 0
        ? `legal now: ${problem['legal'].map(String).join(', ')}`
        : undefined,
    ];
    super(parts.filter((part) => part !== undefined).join('; '));
    this.status = status;
    this.problem = problem;
  }
}

export interface ApiAnswer {
  status: number;
  body: JsonObject;
  headers: Headers;
}

export interface ApiRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  body?: unknown;
  /** Sent as it is. */
  raw?: { text: string; type: string };
  headers?: Readonly<Record<string, string>>;
  query?: Readonly<Record<string, string | number | undefined>>;
  signal?: AbortSignal;
}

/** A member as text; empty where it is absent or no plain value. */
export function member(object: JsonObject, name: string): string {
  const value = object[name];
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

export class ApiClient {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url.replace(/\/+$/, '');
    this.#token = token;
  }

  /** @throws ApiProblem for what the server refuses; Error when it is not there */
  async call(path: string, request: ApiRequest = {}): Promise<ApiAnswer> {
    const response = await this.#fetch(path, request);
    const text = await response.text();
    let body: unknown = {};
    try {
      if (text !== '') body = JSON.parse(text);
    } catch {
      throw new Error(`${this.#url} is no orchestrator: it answered ${response.status} with no JSON`);
    }
    if (!response.ok) throw new ApiProblem(response.status, body as JsonObject);
    return { status: response.status, body: body as JsonObject, headers: response.headers };
  }

  /** Items of a list, page by page, at most `max`. */
  async list(path: string, query: ApiRequest['query'], max: number): Promise<JsonObject[]> {
    const items: JsonObject[] = [];
    let cursor: string | undefined;
    do {
      const limit = Math.min(100, max - items.length);
      const { body } = await this.call(path, { query: { ...query, limit, cursor } });
      items.push(...((body['items'] ?? []) as JsonObject[]));
      cursor = typeof body['next'] === 'string' ? body['next'] : undefined;
    } while (cursor !== undefined && items.length < max);
    return items;
  }

  /** Server-sent events, one by one, until the server or the signal ends the stream. */
  async *events(
    path: string,
    request: ApiRequest = {},
  ): AsyncGenerator<{ id: string; event: string; data: JsonObject }> {
    const response = await this.#fetch(path, request);
    if (!response.ok) throw new ApiProblem(response.status, (await response.json()) as JsonObject);
    let rest = '';
    const decoder = new TextDecoder();
    const body = response.body as unknown as AsyncIterable<Uint8Array>;
    try {
      for await (const chunk of body) {
        rest += decoder.decode(chunk, { stream: true });
        for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
          const fields = new Map(
            rest
              .slice(0, end)
              .split('\n')
              .filter((line) => !line.startsWith(':'))
              .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()]),
          );
          rest = rest.slice(end + 2);
          const data = fields.get('data');
          if (data !== undefined)
            yield {
              id: fields.get('id') ?? '',
              event: fields.get('event') ?? 'message',
              data: JSON.parse(data) as JsonObject,
            };
        }
      }
    } catch (error) {
      if (request.signal?.aborted !== true) throw error;
    }
  }

  async #fetch(path: string, { method, body, raw, headers, query, signal }: ApiRequest): Promise<Response> {
    const url = new URL(`${this.#url}${path}`);
    for (const [name, value] of Object.entries(query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value));
    const sent = raw ?? (body === undefined ? undefined : { text: JSON.stringify(body), type: 'application/json' });
    try {
      return await fetch(url, {
        method: method ?? (sent ? 'POST' : 'GET'),
        headers: {
          Authorization: `Bearer ${this.#token}`,
          ...(sent && { 'Content-Type': sent.type }),
          ...headers,
        },
        ...(sent && { body: sent.text }),
        ...(signal && { signal }),
      });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      const remedy = /certificate|issuer/iu.test(cause)
        ? 'with a private CA, NODE_EXTRA_CA_CERTS names its file'
        : 'is the server up, and is --url right?';
      throw new Error(`${this.#url} cannot be reached: ${cause}; ${remedy}`, { cause: error });
    }
  }
}
