/** TLS on every wire, with real certificates: what is right works, what is wrong is refused, renewal cuts nobody off. */
import { copyFileSync, readFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { Agent, request as tlsRequest } from 'node:https';
import { connect as tcpConnect } from 'node:net';
import { join } from 'node:path';
import { connect as tlsConnect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { secretKeys } from '../../api/keys.ts';
import { mintToken } from '../../api/token.ts';
import { loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import { freePort } from '../../runtime/embedded/ports.ts';
import type { RunningPostgres } from '../../runtime/embedded/postgres.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';
import { createSystem } from '../../runtime/host/system.ts';
import { Pool } from '../../runtime/postgres/pool.ts';
import { Connection } from '../../runtime/redis/connection.ts';
import { compose, type Process } from '../../scripts/compose/compose.ts';
import { Transport } from '../../scripts/transport.ts';
import { Authority, type Issued } from '../support/certificates.ts';
import { freshFolder } from '../support/folders.ts';
import { startPrivatePostgres, startPrivateRedis, type PrivateServer } from '../support/servers.ts';
import { MemoryLog } from '../support/site.ts';

const secret = 'a secret of at least thirty-two characters';
const log = new MemoryLog();

let folder: string;
let own: Authority;
let foreign: Authority;
let server: Issued;
let client: Issued;
let redis: PrivateServer<RunningRedis>;
let postgres: PrivateServer<RunningPostgres>;
let redisPort: number;
let config: Config;
let running: Process;

beforeAll(async () => {
  folder = await freshFolder('tls');
  own = new Authority(folder, 'own');
  foreign = new Authority(folder, 'foreign');
  server = own.issue('server');
  client = own.issue('client', { names: ['DNS:orchestrator'] });
  own.issue('redis');
  own.issue('postgres');
  redisPort = await freePort();
  const redisFiles = ['--tls-cert-file', join(folder, 'redis.crt'), '--tls-key-file', join(folder, 'redis.key')];
  redis = await startPrivateRedis({
    extraArgs: ['--tls-port', String(redisPort), ...redisFiles, '--tls-ca-cert-file', own.certificateFile],
  });
  postgres = await startPrivatePostgres({
    settings: {
      ssl: 'on',
      ssl_cert_file: join(folder, 'postgres.crt'),
      ssl_key_file: join(folder, 'postgres.key'),
      ssl_ca_file: own.certificateFile,
    },
  });
  config = configWith();
  running = await compose({
    config,
    servers: { redisUrl: config.redis.url!, postgresUrl: config.postgres.url!, stop: () => Promise.resolve() },
    keys: secretKeys([secret]),
    agentSecret: secret,
    revokedFile: join(folder, 'revoked'),
    auditFolder: join(folder, 'audit'),
    version: '1.2.3',
    log,
  });
}, 60_000);
afterAll(async () => {
  await running?.stop();
  await redis?.dispose();
  await postgres?.dispose();
});

function configWith(...more: string[]): Config {
  const set = [
    'orchestrator.shards=2',
    'primary_server.port=0',
    'primary_server.host=127.0.0.1',
    'metrics.port=0',
    'metrics.host=127.0.0.1',
    `tls.certificate_file=${server.certificateFile}`,
    `tls.key_file=${server.keyFile}`,
    `redis.url=rediss://127.0.0.1:${redisPort}`,
    `postgres.url=${postgres.url}?sslmode=verify-full`,
  ];
  for (const section of ['redis', 'postgres'])
    set.push(
      `${section}.ca_file=${own.certificateFile}`,
      `${section}.certificate_file=${client.certificateFile}`,
      `${section}.key_file=${client.keyFile}`,
    );
  return loadConfig({ defaultFile: join(folder, 'absent.toml'), env: {}, set: [...set, ...more] });
}

const token = (): string =>
  mintToken({
    secret,
    issuer: 'supreme-ai-orchestrator',
    audience: 'orchestrator-api',
    subject: 'tester',
    scopes: ['admin'],
    lifetimeSeconds: 600,
  });

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
  /** Serial number of the certificate that the server showed. */
  serial: string;
}

function ask(url: string, { agent, ca, body }: { agent?: Agent; ca?: string; body?: object } = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = tlsRequest(
      url,
      {
        method: body ? 'POST' : 'GET',
        ca: ca ?? readFileSync(own.certificateFile),
        agent: agent ?? false,
        headers: { Authorization: `Bearer ${token()}`, 'Content-Type': 'application/json' },
      },
      (response) => {
        let text = '';
        const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text, serial: serialNumber }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body && JSON.stringify(body));
  });
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

describe('the API', () => {
  test('serves over HTTPS, on encrypted links to Redis and PostgreSQL', async () => {
    const submitted = await ask(`${running.apiUrl}/api/v1/tasks`, { body: { type: 'echo' } });
    expect([submitted.status, submitted.headers['strict-transport-security']]).toEqual([202, 'max-age=31536000']);
    const { id } = JSON.parse(submitted.body) as { id: string };
    expect(JSON.parse((await ask(`${running.apiUrl}/api/v1/tasks/${id}`)).body)).toMatchObject({ status: 'queued' });
    const status = JSON.parse((await ask(`${running.apiUrl}/api/v1/status`)).body) as { health: object };
    expect(status.health).toMatchObject({ redis: 'up', postgres: 'up' });
    const pool = new Pool({ url: postgres.url, log });
    try {
      const sessions = await pool.query<{ ssl: boolean; client: string | null }>(
        `SELECT ssl, client_dn AS client FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'orchestrator' AND pid <> pg_backend_pid()`,
      );
      expect(sessions.length).toBeGreaterThan(0);
      for (const session of sessions) expect(session).toEqual({ ssl: true, client: '/CN=client' });
    } finally {
      await pool.close();
    }
  });

  test('so does the metrics port', async () => {
    const { status, body } = await ask(running.metricsUrl!);
    expect(status).toBe(200);
    expect(body).toContain('orchestrator_info');
  });

  test('no other CA and no other host name is taken for it', async () => {
    const wrongCa = await ask(`${running.apiUrl}/healthz`, { ca: readFileSync(foreign.certificateFile, 'utf8') }).catch(
      codeOf,
    );
    expect(wrongCa).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    const { port } = new URL(running.apiUrl!);
    const elsewhere = { host: '127.0.0.1', port: Number(port), servername: 'elsewhere.test', ca: caOf(own) };
    expect(await handshake(elsewhere)).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test.each(['API', 'metrics'])(
    'the plaintext port of the %s is closed: not a byte of HTTP comes back',
    async (name) => {
      const { port } = new URL((name === 'API' ? running.apiUrl : running.metricsUrl)!);
      const refused = await new Promise((resolve) => {
        const sent = plainRequest({ host: '127.0.0.1', port, path: '/healthz' }, resolve);
        sent.on('error', (error) => resolve(codeOf(error)));
        sent.end();
      });
      expect(refused).toMatch(/^(ECONNRESET|HPE_)/);
      const received = await new Promise<string>((resolve) => {
        const socket = tcpConnect(Number(port), '127.0.0.1', () =>
          socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
        );
        let text = '';
        socket.on('data', (chunk) => (text += chunk.toString('latin1')));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(text));
      });
      expect(received).not.toContain('HTTP/');
    },
  );

  test.each(['TLSv1', 'TLSv1.1'] as const)('%s is not spoken', async (version) => {
    const { port } = new URL(running.apiUrl!);
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    const outcome = await handshake({ host: '127.0.0.1', port: Number(port), ca: caOf(own), ...old });
    expect(outcome).toMatch(/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|ECONNRESET/);
  });

  test('a certificate is renewed under load, and no request fails', async () => {
    const keeping = new Agent({ keepAlive: true, maxSockets: 4 });
    const serials = new Set<string>();
    let stop = false;
    let answered = 0;
    const client = async (agent: Agent | undefined): Promise<void> => {
      while (!stop) {
        const body = { type: 'load', parameters: 'x'.repeat(2_000) };
        const { status, serial } = await ask(`${running.apiUrl}/api/v1/tasks`, { ...(agent && { agent }), body });
        expect(status).toBe(202);
        if (serial) serials.add(serial);
        answered++;
      }
    };
    const clients = [undefined, undefined, keeping, keeping].map(client);
    const answers = async (more: number): Promise<void> => {
      const wanted = answered + more;
      while (answered < wanted) await Promise.race([new Promise((resolve) => setTimeout(resolve, 5)), ...clients]);
    };
    for (let round = 1; round <= 4; round++) {
      await answers(20);
      own.issue('server');
      own.issue('client', { names: ['DNS:orchestrator'] });
      await running.reload(config);
      await answers(20);
      expect(serials.size).toBeGreaterThan(round);
    }
    stop = true;
    await Promise.all(clients);
    keeping.destroy();
  });

  test('what cannot be used is refused as a whole, and what stood goes on', async () => {
    const { serial } = await ask(`${running.apiUrl}/healthz`);
    const [certificate, key] = [readFileSync(server.certificateFile), join(folder, 'former.key')];
    copyFileSync(server.keyFile, key);
    own.issue('server');
    copyFileSync(key, server.keyFile);
    await expect(running.reload(config)).rejects.toThrow(/server\.crt.*key values mismatch/);
    expect((await ask(`${running.apiUrl}/healthz`)).serial).toBe(serial);
    expect(certificate.equals(readFileSync(server.certificateFile))).toBe(false);
    own.issue('server');
    await running.reload(config);
    expect((await ask(`${running.apiUrl}/healthz`)).serial).not.toBe(serial);
  });
});

const caOf = (authority: Authority): string => readFileSync(authority.certificateFile, 'utf8');

/** How a handshake ends: `ok`, or the code of the error. */
function handshake(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = tlsConnect(options, () => {
      socket.destroy();
      resolve('ok');
    });
    socket.on('error', (error) => resolve(codeOf(error)));
  });
}

/** What servers may show, and how the clients of this product answer to it. */
const shown: [name: string, issue: (name: 'redis' | 'postgres') => void, reason: RegExp][] = [
  ['a certificate of another CA', (name) => foreign.issue(name), /unable to verify|self-signed/],
  [
    'a certificate of another host',
    (name) => own.issue(name, { names: ['DNS:elsewhere.test', 'IP:127.0.0.2'] }),
    /does not match certificate/,
  ],
  ['an expired certificate', (name) => own.issue(name, { days: -1 }), /expired/],
];

describe('the link to Redis', () => {
  /** Resolves to the reason for which the connection does not come about, or `ok`. */
  async function link(set: readonly string[] = [], url = config.redis.url!): Promise<string> {
    const { redis: tls } = new Transport(configWith(...set));
    const connection = new Connection({ url, name: 'probe', ...(tls && { tls }) }, createSystem(), new MemoryLog());
    try {
      await connection.ready(1_500);
      return 'ok';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      connection.close();
    }
  }

  async function show(issue: (name: 'redis') => void): Promise<void> {
    issue('redis');
    const plain = new Connection({ url: redis.url, name: 'admin' }, createSystem(), log);
    await plain.run((client) => client.config('SET', 'tls-cert-file', join(folder, 'redis.crt')));
    plain.close();
  }

  test('stands with the right certificates', async () => {
    expect(await link()).toBe('ok');
  });

  test.each(shown)('%s is refused', async (_name, issue, reason) => {
    try {
      await show(issue);
      expect(await link()).toMatch(reason);
    } finally {
      await show((name) => own.issue(name));
    }
    expect(await link()).toBe('ok');
  });

  test('a client without a certificate, or with one of another CA, does not get in', async () => {
    const { certificateFile, keyFile } = foreign.issue('intruder');
    const intruder = [`redis.certificate_file=${certificateFile}`, `redis.key_file=${keyFile}`];
    expect(await link(intruder)).toMatch(/alert|closed|ECONNRESET/i);
    const bare = new Connection(
      { url: config.redis.url!, name: 'bare', tls: { ca: caOf(own) } },
      createSystem(),
      new MemoryLog(),
    );
    await expect(bare.ready(1_500)).rejects.toThrow(/alert|closed|ECONNRESET/i);
    bare.close();
  });

  test('plaintext gets nothing from the encrypted port', async () => {
    const url = `redis://127.0.0.1:${redisPort}`;
    const connection = new Connection({ url, name: 'plain' }, createSystem(), new MemoryLog());
    await expect(connection.ready(1_500)).rejects.toThrow('redis');
    connection.close();
  });
});

describe('the link to PostgreSQL', () => {
  async function link(url = config.postgres.url!): Promise<string> {
    const { postgres: tls } = new Transport(configWith());
    const pool = new Pool({ url, tls, log: new MemoryLog() });
    try {
      await pool.query('SELECT 1');
      return 'ok';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      await pool.close();
    }
  }

  async function show(issue: (name: 'postgres') => void): Promise<void> {
    issue('postgres');
    const { fingerprint256 } = new (await import('node:crypto')).X509Certificate(
      readFileSync(join(folder, 'postgres.crt')),
    );
    await postgres.current.kill('SIGHUP');
    // It takes the new files some time later.
    for (let tries = 0; (await shownBy(postgres.port)) !== fingerprint256; tries++) {
      if (tries > 200) throw new Error('PostgreSQL did not take its new certificate');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Fingerprint of the certificate that PostgreSQL shows now. */
  function shownBy(port: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const raw = tcpConnect(port, '127.0.0.1', () => raw.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])));
      raw.once('error', reject);
      raw.once('data', () => {
        // Looks at what is shown; that is why it does not check it.
        const socket = tlsConnect({ socket: raw, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().fingerprint256);
          socket.destroy();
        });
        socket.once('error', reject);
      });
    });
  }

  test('stands with the right certificates', async () => {
    expect(await link()).toBe('ok');
  });

  test.each(shown)('%s is refused', async (_name, issue, reason) => {
    try {
      await show(issue);
      expect(await link()).toMatch(reason);
    } finally {
      await show((name) => own.issue(name));
    }
    expect(await link()).toBe('ok');
  });

  test('parameters of the address do not weaken what was decided', async () => {
    try {
      await show((name) => foreign.issue(name));
      for (const mode of ['no-verify', 'require', 'disable'])
        expect(await link(`${postgres.url}?sslmode=${mode}&ssl=0`)).toMatch(/unable to verify|self-signed/);
    } finally {
      await show((name) => own.issue(name));
    }
  });
});

test('nothing of this was an error of the server', () => {
  expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
});
