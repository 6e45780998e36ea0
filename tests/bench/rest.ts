/**
 * Single submits over HTTP: the whole API (Express, token, validation, limits, append), or a bare handler of Express that
 * checks the token and appends to a stream. The load comes from a process of its own over connections that stay open.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import express from 'express';
import { expressjwt } from 'express-jwt';
import { Redis } from 'ioredis';
import { secretKeys } from '../../api/keys.ts';
import { mintToken } from '../../api/token.ts';
import { configSchema } from '../../config/schema.ts';
import { compose } from '../../scripts/compose/compose.ts';
import { MemoryLog } from '../support/site.ts';

const secret = 'bench-only-bench-only-bench-only-bench-only';
const connections = 50;
const { values } = parseArgs({
  options: {
    redis: { type: 'string' },
    postgres: { type: 'string' },
    'postgres-pid': { type: 'string' },
    requests: { type: 'string', default: '20000' },
    /** A bare handler instead of the API. */
    bare: { type: 'boolean', default: false },
    /** Set in the process that makes the load. */
    load: { type: 'string' },
    token: { type: 'string' },
  },
});

function post(url: URL, token: string, agent: Agent): Promise<void> {
  const body = JSON.stringify({ type: 'text_processing', parameters: { text: 'hello' }, priority: 1 });
  const headers = {
    Authorization: `Bearer ${token}`,
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    Prefer: 'respond-async',
  };
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'POST', agent, headers }, (response) => {
      if (response.statusCode !== 202) reject(new Error(`answered ${response.statusCode}`));
      response.resume().on('end', resolve);
    });
    call.on('error', reject).end(body);
  });
}

async function load(address: string, token: string, requests: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const url = new URL(address);
  const run = async (count: number): Promise<number> => {
    let left = count;
    const begunMs = performance.now();
    await Promise.all(
      Array.from({ length: connections }, async () => {
        while (left-- > 0) await post(url, token, agent);
      }),
    );
    return (performance.now() - begunMs) / 1000;
  };
  await run(Math.ceil(requests / 10));
  process.send!('warm');
  await once(process, 'message');
  process.send!(await run(requests));
  agent.destroy();
}

async function bare(): Promise<string> {
  const redis = new Redis(values.redis!);
  const app = express();
  app.use(expressjwt({ secret, algorithms: ['HS256'] }), express.json());
  app.post('/', (incoming, response) => {
    void redis.xadd('bare', '*', 'task', JSON.stringify(incoming.body)).then((id) => response.status(202).json({ id }));
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function whole(): Promise<string> {
  const config = configSchema.parse({
    primary_server: { host: '127.0.0.1', port: 0 },
    metrics: { enabled: false },
    orchestrator: { roles: ['api'] },
    redis: { url: values.redis },
    postgres: { url: values.postgres },
    rate_limits: { subject_per_minute: 1_000_000_000, address_per_minute: 1_000_000_000 },
  });
  const { apiUrl } = await compose({
    config,
    servers: { redisUrl: values.redis!, postgresUrl: values.postgres!, stop: () => Promise.resolve() },
    keys: secretKeys([secret]),
    agentSecret: secret,
    revokedFile: '/nonexistent/revoked',
    auditFolder: '/nonexistent/audit',
    version: '0.0.0',
    log: new MemoryLog(),
  });
  return `${apiUrl}/api/v1/tasks`;
}

async function main(): Promise<void> {
  const { issuer, audience } = configSchema.parse({}).auth;
  const token = mintToken({ secret, issuer, audience, subject: 'bench', scopes: ['admin'], lifetimeSeconds: 3_600 });
  const url = values.bare ? await bare() : await whole();
  const requests = Number(values.requests);
  const child = fork(fileURLToPath(import.meta.url), ['--load', url, '--token', token, '--requests', `${requests}`]);
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the load ended with ${String(code)}`);
  });
  failed.catch(() => undefined);
  await Promise.race([once(child, 'message'), failed]);
  const before = process.cpuUsage();
  child.send('go');
  const [seconds] = (await Promise.race([once(child, 'message'), failed])) as [number];
  const { user, system } = process.cpuUsage(before);
  console.log(
    JSON.stringify({ figures: { requestsPerSecond: requests / seconds, serverUs: (user + system) / requests } }),
  );
  process.exit(0);
}

if (values.load !== undefined) {
  await load(values.load, values.token!, Number(values.requests));
  process.exit(0);
} else await main();
