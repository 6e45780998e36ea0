/** The four agents of the demo: two TypeScript and one Python for texts, one TypeScript for the corpus report. */
import { join } from 'node:path';
import { findPython } from '../agents/python/find.ts';
import { buildRoot, projectRoot } from '../root.ts';
import { run, type Running, type Say } from './process.ts';
import { Client } from './client.ts';

const readyDeadlineMs = 20_000;

/** @param apis of a pair of sites both, the active one first */
export async function startAgents(
  apis: readonly string[],
  token: string,
  say: Say,
): Promise<{ names: string[]; stop: () => Promise<void> }> {
  const env = { ORCHESTRATOR_TOKEN: token, ORCHESTRATOR_API: apis.join(','), LOG_LEVEL: 'warn' };
  const program = join(buildRoot, 'scripts/agents/text-agent.js');
  const node = (id: string, type: string): Running =>
    run(process.execPath, [program, '--type', type, '--id', id, '--slots', '2'], env);
  const running: Running[] = [
    node('demo-text-1', 'text_processing'),
    node('demo-text-2', 'text_processing'),
    node('demo-corpus', 'corpus_report'),
  ];
  const python = await findPython({ cacheDir: join(projectRoot, '.cache'), allowDownload: false });
  if (python)
    running.push(
      run(
        python.python,
        [
          join(projectRoot, 'scripts/agents/python/agent.py'),
          '--type',
          'text_processing',
          '--id',
          'demo-python',
          '--slots',
          '1',
        ],
        { ...env, ...python.env },
      ),
    );
  else say('no Python with redis-py here (Debian: apt install python3-redis): going on with three agents');
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((agent) => agent.stop()));
  };
  try {
    return { names: await allReady(new Client(apis[0]!, token), running), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function allReady(client: Client, running: readonly Running[]): Promise<string[]> {
  const end = performance.now() + readyDeadlineMs;
  for (;;) {
    const dead = running.find(({ child }) => child.exitCode !== null);
    if (dead) throw new Error(`an agent ended with code ${dead.child.exitCode}:\n${dead.lastWords()}`);
    const { items } = await client.agents();
    const ready = items.filter(({ id, status }) => id.includes('demo-') && (status === 'IDLE' || status === 'BUSY'));
    if (ready.length === running.length) return ready.map(({ id }) => id).sort();
    if (performance.now() > end)
      throw new Error(`only ${ready.length} of ${running.length} agents registered within ${readyDeadlineMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
