/** An agent by hand: registered over REST, then one message and one report at a time. */
import { expect } from 'vitest';
import type { ApiSite } from './apisite.ts';
import { patienceMs } from './patience.ts';

export interface HandAgent {
  id: string;
  generation: number;
  /** The next inbox message of a kind; others before it are dropped. */
  next(kind: string, deadlineMs?: number): Promise<Record<string, string>>;
  report(fields: Record<string, string>): Promise<void>;
}

export async function registered(api: ApiSite, body: object): Promise<HandAgent> {
  const answer = await api.call('/api/v1/agents', { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  const { inbox, outbox, group } = answer.body['redis'] as { inbox: string; outbox: string; group: string };
  const id = String(answer.body['id']);
  const { redis } = api.site;
  return {
    id,
    generation: Number(answer.body['generation']),
    next: async (kind, deadlineMs = patienceMs) => {
      const end = performance.now() + deadlineMs;
      while (performance.now() < end) {
        const read = (await redis.xreadgroup('GROUP', group, 'hand', 'COUNT', 1, 'STREAMS', inbox, '>')) as
          [string, [string, string[]][]][] | null;
        const fields = read?.[0]?.[1][0]?.[1] ?? [];
        const message: Record<string, string> = {};
        for (let at = 0; at + 1 < fields.length; at += 2) message[fields[at]!] = fields[at + 1]!;
        if (message['kind'] === kind) return message;
        if (fields.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      throw new Error(`${id} got no ${kind} within ${deadlineMs} ms`);
    },
    report: async (fields) => {
      await redis.xadd(outbox, '*', ...Object.entries({ agent: id, ...fields }).flat());
    },
  };
}

/** Takes the next assignment and reports its end. */
export async function completeNext(api: ApiSite, agent: HandAgent, result: unknown): Promise<string> {
  const { task = '', token = '' } = await agent.next('assign');
  await agent.report({ kind: 'started', task, token });
  await agent.report({ kind: 'completed', task, token, result: JSON.stringify(result) });
  await api.site.until(`task/${task}`, ({ state }) => state === 'succeeded');
  return task;
}
