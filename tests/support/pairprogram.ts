/** Two whole sites of a pair as the composition root puts them together, on servers of their own. */
import { configSchema, type Config } from '../../config/schema.ts';
import { freePort } from './freeport.ts';
import { startProgram, type ProgramSite } from './program-site.ts';
import { createDatabase, startPrivateRedis, type PrivateServer } from './servers.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';

export type SiteView = Record<string, unknown> & { site: string; role: string | null; epoch?: number };

export interface PairProgram {
  readonly name: 'primary' | 'secondary';
  readonly config: Config;
  readonly redis: PrivateServer<RunningRedis>;
  /** Undefined while it is stopped. */
  running: ProgramSite | undefined;
  start(): Promise<ProgramSite>;
  stop(): Promise<void>;
  /** How it sees itself. */
  self(): Promise<SiteView>;
}

export interface PairProgramOptions {
  shards?: number;
  peer?: Record<string, unknown>;
  witness?: Record<string, unknown>;
  /** Other settings of the secondary's [peer]. */
  second?: Record<string, unknown>;
}

export async function preparePair(options: PairProgramOptions = {}): Promise<{
  one: PairProgram;
  two: PairProgram;
  dispose(): Promise<void>;
}> {
  const redis = await Promise.all([startPrivateRedis(), startPrivateRedis()]);
  const databases = await Promise.all([createDatabase('pair-one'), createDatabase('pair-two')]);
  const ports = [await freePort(), await freePort()] as const;
  const programs = (['primary', 'secondary'] as const).map((name, index): PairProgram => {
    const other = 1 - index;
    const config = configSchema.parse({
      primary_server: { host: '127.0.0.1', port: ports[0] },
      secondary_server: { host: '127.0.0.1', port: ports[1] },
      metrics: { host: '127.0.0.1', port: 0 },
      orchestrator: { shards: options.shards ?? 2, site: name },
      redis: { url: redis[index]!.url },
      postgres: { url: databases[index] },
      peer: {
        redis: redis[other]!.url,
        api: `http://127.0.0.1:${ports[other as 0 | 1]}`,
        deployment: 'test',
        resume_after: 2,
        ...options.peer,
        ...(index === 1 && options.second),
      },
      ...(options.witness && { witness: options.witness }),
    });
    const program: PairProgram = {
      ...{ name, config, redis: redis[index]! },
      running: undefined,
      start: async () => (program.running = await startProgram(config)),
      stop: async () => {
        await program.running?.stop();
        program.running = undefined;
      },
      self: async () => {
        const { sites } = (await program.running!.call('/sites')) as { sites: SiteView[] };
        return sites.find(({ self }) => self === true)!;
      },
    };
    return program;
  });
  const [one, two] = programs as [PairProgram, PairProgram];
  return {
    one,
    two,
    dispose: async () => {
      await Promise.all(programs.map((program) => program.stop()));
      await Promise.all(redis.map((server) => server.dispose()));
    },
  };
}

/** Waits until a site has the role, as it says itself. */
export async function untilRole(program: PairProgram, role: string, deadlineMs = 40_000): Promise<SiteView> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const self = await program.self();
    if (self.role === role) return self;
    if (performance.now() > end) {
      const lines = program.running?.log.lines.slice(-8);
      throw new Error(`${program.name} is not ${role}: ${JSON.stringify(self)} ${JSON.stringify(lines)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
