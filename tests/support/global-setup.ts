/**
 * One Redis for each fsync policy and one PostgreSQL for the whole run, started when the first test asks: a run of unit
 * tests alone starts none. Tests run in other processes and ask over a loopback socket, one line in, one line out.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../runtime/embedded/postgres.ts';
import { findRedisServer, startRedis } from '../../runtime/embedded/redis.ts';
import { postgresTemplateDir, redisCacheDir, testDataDir } from './folders.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    sharedServersPort: number;
  }
}

export type SharedServer = 'redis-everysec' | 'redis-always' | 'postgres';
export type SharedReply = { url: string; pid: number } | { error: string };

interface Running {
  url: string;
  pid: number;
  stop(): Promise<void>;
}

/** A run that was killed could not remove its folder; its process id in the name tells that it is gone. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(testDataDir)) {
    const pid = Number(name.split('-')[0]);
    try {
      process.kill(pid, 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') continue;
      await rm(join(testDataDir, name), { recursive: true, force: true });
    }
  }
}

async function start(server: SharedServer, folder: string): Promise<Running> {
  const dataDir = join(folder, server);
  switch (server) {
    case 'postgres':
      return startPostgres({
        dataDir,
        fsync: false,
        templateDir: postgresTemplateDir,
        settings: { max_connections: '300' },
      });
    case 'redis-always':
    case 'redis-everysec':
      return startRedis({
        server: await findRedisServer({ cacheDir: redisCacheDir }),
        dataDir,
        appendfsync: server === 'redis-always' ? 'always' : 'everysec',
        password: false,
      });
    default:
      throw new Error(`there is no shared server ${String(server satisfies never)}`);
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await mkdir(testDataDir, { recursive: true });
  await removeLeftovers();
  const folder = join(testDataDir, `${process.pid}-shared`);
  const servers = new Map<SharedServer, Promise<Running>>();
  const sockets = new Set<Socket>();

  const answer = async (name: SharedServer): Promise<SharedReply> => {
    let server = servers.get(name);
    if (server === undefined) servers.set(name, (server = start(name, folder)));
    try {
      const { url, pid } = await server;
      return { url, pid };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  };

  const desk = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A test process that ends in the middle of its question needs no answer.
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket }).on('line', (line) => {
      void answer(line as SharedServer).then((reply) => socket.end(`${JSON.stringify(reply)}\n`));
    });
  });
  await new Promise<void>((resolve, reject) => {
    desk.once('error', reject);
    desk.listen(0, '127.0.0.1', resolve);
  });
  const address = desk.address();
  if (address === null || typeof address === 'string') throw new Error('the desk for shared servers has no port');
  project.provide('sharedServersPort', address.port);

  return async () => {
    for (const socket of sockets) socket.destroy();
    desk.close();
    for (const server of await Promise.allSettled(servers.values())) {
      if (server.status === 'fulfilled') await server.value.stop();
    }
    await rm(folder, { recursive: true, force: true });
  };
}
