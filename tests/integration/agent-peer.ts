/** Plays the server against an agent: registration over HTTP, an inbox and an outbox stream on a real Redis. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';

export interface PeerReport {
  kind: string;
  agent: string;
  generation: number;
  task?: string;
  token?: string;
  result?: unknown;
  chunk?: unknown;
  number?: string;
  attempt?: string;
  error?: { message: string; code?: string };
  retryable?: boolean;
  attempts?: { task: string; token: string }[];
  progress?: number;
  reason?: string;
}

export interface Peer {
  api: string;
  redis: Redis;
  registrations: Record<string, unknown>[];
  /** Everything that came, in order. */
  reports: PeerReport[];
  /** Entries that came, each one report or one batch. */
  entries: Record<string, string>[];
  /** Answers registrations with this status until it is undefined again. */
  refuseWith: number | undefined;
  post(fields: Record<string, string | number>): Promise<void>;
  assign(task: string, parameters: unknown, more?: Record<string, string | number>): Promise<void>;
  /** The first report that fits; rejects after 10 s with all that came. */
  report(fits: (report: PeerReport) => boolean): Promise<PeerReport>;
  pending(): Promise<number>;
  close(): Promise<void>;
}

export async function startPeer(redisUrl: string, name: string, slots = 2, heartbeatMs = 300): Promise<Peer> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  redis.on('error', () => undefined);
  const inbox = `${name}:inbox`;
  const outbox = `${name}:outbox`;
  const open = async () => {
    await redis.xgroup('CREATE', inbox, 'agent', '0', 'MKSTREAM').catch((error: Error) => {
      if (!error.message.startsWith('BUSYGROUP')) throw error;
    });
  };
  let position = '0';
  let generation = 0;

  const server: Server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const answer = (status: number, body: unknown) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      const body = JSON.parse(text) as Record<string, unknown>;
      peer.registrations.push({ ...body, authorization: request.headers.authorization });
      if (peer.refuseWith)
        return answer(peer.refuseWith, { title: 'refused', status: peer.refuseWith, detail: 'by the test' });
      void open().then(() => {
        generation += 1;
        const id = typeof body.id === 'string' ? body.id : 'a-0-peer';
        answer(201, {
          ...{ id, generation, status: 'IDLE', shard: 0, slots: body.slots ?? slots },
          redis: { url: redisUrl, inbox, group: 'agent', outbox },
          heartbeat_interval_ms: heartbeatMs,
          links: {},
        });
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  async function readOutbox(): Promise<void> {
    const entries = await redis.xrange(outbox, position === '0' ? '-' : `(${position}`, '+');
    for (const [id, flat] of entries) {
      position = id;
      const fields: Record<string, string> = {};
      for (let index = 0; index < flat.length; index += 2) fields[flat[index]!] = flat[index + 1]!;
      peer.entries.push(fields);
      const sender = { agent: fields.agent!, generation: Number(fields.generation) };
      if (fields.batch) {
        for (const report of JSON.parse(fields.batch) as PeerReport[]) peer.reports.push({ ...report, ...sender });
        continue;
      }
      const json = (name: string) =>
        fields[name] === undefined ? {} : { [name]: JSON.parse(fields[name]) as unknown };
      peer.reports.push({
        ...(fields as unknown as PeerReport),
        ...sender,
        ...json('result'),
        ...json('chunk'),
        ...json('error'),
        ...json('attempts'),
        ...json('retryable'),
        ...json('progress'),
      });
    }
  }

  const peer: Peer = {
    api: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    redis,
    registrations: [],
    reports: [],
    entries: [],
    refuseWith: undefined,
    async post(fields) {
      await redis.xadd(inbox, '*', ...Object.entries(fields).flatMap(([name, value]) => [name, String(value)]));
    },
    assign: (task, parameters, more = {}) =>
      peer.post({
        ...{ kind: 'assign', task, type: 'echo', attempt: 1, token: `token-${task}`, epoch: 1 },
        parameters: JSON.stringify(parameters),
        ...more,
      }),
    async report(fits) {
      const until = Date.now() + 30_000;
      while (Date.now() < until) {
        await readOutbox();
        const found = peer.reports.find(fits);
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      throw new Error(`no such report within 30 s; these came: ${JSON.stringify(peer.reports).slice(0, 4_000)}`);
    },
    async pending() {
      const summary = (await redis.xpending(inbox, 'agent')) as [number];
      return summary[0];
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      redis.disconnect();
    },
  };
  return peer;
}
