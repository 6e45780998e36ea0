/**
 * Counts what is done by the journal, as any follower would: a task counts when the commit that completed it is stored.
 * The text is searched and not parsed, because the cost of following is charged to the side that is measured.
 */
import { Redis } from 'ioredis';
import { positionStart, type Position } from '../../runtime/protocol/journal.ts';

const done = '"state":"succeeded"';

export class JournalProgress {
  readonly #client: Redis;
  readonly #stream: string;
  #after: Position = positionStart;
  #count = 0;

  constructor(url: string, stream: string) {
    this.#client = new Redis(url, { connectionName: 'bench-progress', maxRetriesPerRequest: null });
    this.#stream = stream;
  }

  /**
   * Resolves when `total` tasks have been completed since the journal began.
   * @throws Error when nothing is completed for `stallMs`
   */
  async until(total: number, stallMs = 30_000): Promise<void> {
    while (this.#count < total) {
      const answer = await this.#client.xread('COUNT', 100, 'BLOCK', stallMs, 'STREAMS', this.#stream, this.#after);
      if (!answer) throw new Error(`${this.#count} of ${total} tasks are done, and none was for ${stallMs} ms`);
      for (const [position, fields] of answer[0]![1]) {
        this.#after = position;
        const text = fields[1] ?? '';
        for (let at = text.indexOf(done); at !== -1; at = text.indexOf(done, at + done.length)) this.#count++;
      }
    }
  }

  close(): void {
    this.#client.disconnect();
  }
}
