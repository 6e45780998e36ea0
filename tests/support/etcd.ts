/** A real etcd of one member, on free ports of loopback and with a folder of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { findTool } from './debiantool.ts';
import { freshFolder } from './folders.ts';
import { freePort } from './freeport.ts';

export interface RunningEtcd {
  url: string;
  /** Nobody is answered until `go`. */
  freeze(): void;
  go(): void;
  stop(): Promise<void>;
}

/** @throws Error saying why there is none on this machine */
export async function startEtcd(): Promise<RunningEtcd> {
  const tool = await findTool({ program: 'etcd', package: 'etcd-server', cache: 'etcd' });
  if ('missing' in tool) throw new Error(`no etcd: ${tool.missing}`);
  const [client, peer] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  const folder = await freshFolder('etcd');
  const child = spawn(
    tool.path,
    [
      ...['--name', 'one', '--data-dir', folder, '--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `one=${peerUrl}`],
    ],
    { stdio: 'ignore' },
  );
  const end = performance.now() + 20_000;
  while (!(await isHealthy(url))) {
    if (performance.now() > end || child.exitCode !== null) {
      child.kill('SIGKILL');
      throw new Error('etcd did not come up within 20 s');
    }
    await pause(50);
  }
  return {
    url,
    freeze: () => void child.kill('SIGSTOP'),
    go: () => void child.kill('SIGCONT'),
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function isHealthy(url: string): Promise<boolean> {
  return fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) }).then(
    async (response) => response.ok && ((await response.json()) as { health?: unknown }).health === 'true',
    () => false,
  );
}
