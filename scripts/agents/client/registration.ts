export interface RegistrationRequest {
  type: string;
  slots: number;
  capabilities?: readonly string[];
  labels?: Readonly<Record<string, string | number>>;
  version?: string;
  /** Several assignments may come in one inbox entry. */
  batch?: boolean;
  /** A stable id: registering it again starts a new generation, and the old one is dead. */
  id?: string;
}

export interface Registration {
  id: string;
  generation: number;
  redisUrl: string;
  /** Addresses of nodes, where it is a Redis Cluster. */
  redisNodes: readonly string[];
  inbox: string;
  group: string;
  outbox: string;
  heartbeatIntervalMs: number;
  slots: number;
}

export type RegistrationOutcome =
  | { outcome: 'registered'; registration: Registration }
  /** Trying again may help: the server is away, busy, or full. */
  | { outcome: 'unavailable'; reason: string }
  /** Trying again will not help: the request or the token is wrong. */
  | { outcome: 'refused'; reason: string };

const requestDeadlineMs = 10_000;

/** @param api base address of the server, for example `http://127.0.0.1:8000` */
export function register(api: string, token: string, request: RegistrationRequest): Promise<RegistrationOutcome> {
  return ask(api, 'api/v1/agents', token, request);
}

/**
 * Asks a site of a pair for the present registration of an agent. Only the active site gives it; nothing changes by it.
 * @returns `unavailable` for a site that is away or a standby, `refused` where the registration does not hold any more
 */
export function registrationAt(api: string, token: string, id: string): Promise<RegistrationOutcome> {
  return ask(api, `api/v1/agents/${id}/registration`, token);
}

async function ask(
  api: string,
  path: string,
  token: string,
  request?: RegistrationRequest,
): Promise<RegistrationOutcome> {
  const url = new URL(path, api.endsWith('/') ? api : `${api}/`);
  let status: number;
  let body: unknown;
  try {
    const response = await fetch(url, {
      method: request ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json' },
      ...(request && { body: JSON.stringify(request) }),
      signal: AbortSignal.timeout(requestDeadlineMs),
    });
    status = response.status;
    body = await response.json().catch(() => undefined);
  } catch (error) {
    return { outcome: 'unavailable', reason: `${url.href} cannot be reached: ${reasonOf(error)}` };
  }
  if (status >= 200 && status < 300) return readAnswer(body);
  const reason = `${url.href} answered ${status}${problemText(body)}`;
  // 409 is a full server (max_agents) or an agent in a state that passes.
  const passing =
    status >= 500 || status === 408 || (status === 409 && request !== undefined) || status === 425 || status === 429;
  return { outcome: passing ? 'unavailable' : 'refused', reason };
}

function readAnswer(body: unknown): RegistrationOutcome {
  const answer = isRecord(body) ? body : {};
  const redis = isRecord(answer.redis) ? answer.redis : {};
  const { id, generation, heartbeat_interval_ms: heartbeatIntervalMs, slots } = answer;
  const { url, nodes, inbox, group, outbox } = redis;
  if (
    typeof id !== 'string' ||
    typeof generation !== 'number' ||
    typeof url !== 'string' ||
    typeof inbox !== 'string' ||
    typeof outbox !== 'string'
  ) {
    return { outcome: 'refused', reason: 'the answer to the registration names no id, generation or redis streams' };
  }
  return {
    outcome: 'registered',
    registration: {
      id,
      generation,
      redisUrl: url,
      redisNodes: Array.isArray(nodes) ? nodes.filter((node) => typeof node === 'string') : [],
      inbox,
      outbox,
      group: typeof group === 'string' ? group : 'agent',
      heartbeatIntervalMs: typeof heartbeatIntervalMs === 'number' ? heartbeatIntervalMs : 5_000,
      slots: typeof slots === 'number' ? slots : 1,
    },
  };
}

function problemText(body: unknown): string {
  if (!isRecord(body)) return '';
  return [body.title, body.detail]
    .filter((part) => typeof part === 'string')
    .reduce((text, part) => `${text}: ${part}`, '');
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
