/**
 * An agent on raw streams, as an agent in any language would be that wants throughput: it takes its assignments in
 * batches, and acknowledges, reports and asks for more in one round trip, with all its reports in one `batch` field.
 */
import { Redis } from 'ioredis';
import { agentGroup } from '../../runtime/protocol/keys.ts';

type RawStreams = [stream: string, entries: [id: string, fields: string[]][]][] | null;

export interface BenchAgentOptions {
  url: string;
  id: string;
  inbox: string;
  outbox: string;
  slots: number;
  /** Told of each task that came. */
  started?: (task: string) => void;
}

export class BenchAgent {
  readonly #options: BenchAgentOptions;
  readonly #client: Redis;
  #stopping = false;
  #running: Promise<void> | undefined;

  constructor(options: BenchAgentOptions) {
    this.#options = options;
    this.#client = new Redis(options.url, { connectionName: options.id, maxRetriesPerRequest: null });
  }

  /** @param failed is told why the agent ended, when it did not end by `stop` */
  start(failed: (error: unknown) => void): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stopping) failed(error);
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#client.disconnect();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { id, inbox, outbox, slots, started } = this.#options;
    let taken: string[] = [];
    let reports: object[] = [];
    while (!this.#stopping) {
      const calls = this.#client.pipeline();
      if (taken.length > 0) calls.xack(inbox, agentGroup, ...taken);
      if (reports.length > 0) calls.xadd(outbox, '*', 'agent', id, 'batch', JSON.stringify(reports));
      calls.xreadgroup('GROUP', agentGroup, id, 'COUNT', slots, 'BLOCK', 1_000, 'STREAMS', inbox, '>');
      const answers = (await calls.exec()) ?? [];
      for (const [error] of answers) if (error) throw error;
      const entries = (answers[answers.length - 1]?.[1] as RawStreams)?.[0]?.[1] ?? [];
      taken = [];
      reports = [];
      for (const [entry, fields] of entries) {
        taken.push(entry);
        const batch = fields.indexOf('batch');
        if (batch === -1) throw new Error(`${id} was told something that is no work: ${fields.join(' ')}`);
        for (const { task, token } of JSON.parse(fields[batch + 1]!) as { task: string; token: string }[]) {
          started?.(task);
          reports.push({ kind: 'completed', task, token, result: { ok: 1 } });
        }
      }
    }
  }
}
