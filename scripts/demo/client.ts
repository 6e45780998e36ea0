/** The demo's use of the REST API: nothing but fetch, as a user would write it. */
export interface TaskBody {
  id: string;
  status: string;
  result?: unknown;
  error?: { message?: string };
  created_at: string;
  started_at?: string;
  finished_at?: string;
  agent?: string;
}

export class Client {
  readonly #api: string;
  readonly #token: string;

  constructor(api: string, token: string) {
    this.#api = api;
    this.#token = token;
  }

  /** Submits up to 1,000 tasks in one request; the ids come in their order. */
  async submit(tasks: readonly object[]): Promise<string[]> {
    const ids: string[] = [];
    for (let from = 0; from < tasks.length; from += 20) {
      const answer = (await this.#call('POST', '/api/v1/tasks', tasks.slice(from, from + 20))) as {
        items: { id?: string; error?: { detail?: string } }[];
      };
      for (const item of answer.items) {
        if (!item.id) throw new Error(`a task was refused: ${item.error?.detail ?? 'no reason given'}`);
        ids.push(item.id);
      }
    }
    return ids;
  }

  /** The task once it is settled, or as it is after `waitSeconds`. */
  async task(id: string, waitSeconds = 0): Promise<TaskBody> {
    const prefer = waitSeconds > 0 ? { Prefer: `wait=${waitSeconds}` } : {};
    return (await this.#call('GET', `/api/v1/tasks/${id}`, undefined, prefer)) as TaskBody;
  }

  async agents(): Promise<{ items: { id: string; type: string; status: string }[] }> {
    return (await this.#call('GET', '/api/v1/agents?limit=100')) as {
      items: { id: string; type: string; status: string }[];
    };
  }

  async #call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<unknown> {
    const response = await fetch(`${this.#api}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok && response.status !== 207)
      throw new Error(`${method} ${path} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  }
}
