/** The demo's orchestrator: the real server as a child process, on the usual ports or, when they are taken, free ones. */
import { mkdirSync } from 'node:fs';
import type { Say } from './process.ts';
import { demoToken, launch, portOr, type DemoToken, type Server } from './server.ts';

export interface Orchestrator extends Server, DemoToken {
  site: string;
}

export async function startOrchestrator(dataDirectory: string, say: Say): Promise<Orchestrator> {
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  const free = (): number => 0;
  const server = await launch([
    `data.directory=${dataDirectory}`,
    `primary_server.port=${await portOr(8000, 'API', say, free)}`,
    `metrics.port=${await portOr(9090, 'metrics', say, free)}`,
    'primary_server.host=127.0.0.1',
    'metrics.host=127.0.0.1',
  ]);
  return { ...server, ...demoToken(dataDirectory), site: 'primary' };
}
