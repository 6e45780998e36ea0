/** The store of the bench: it counts what is done. A task counts when the commit that completed it is stored. */
import type { Commit, CommitOutcome, Lease, Passage } from '../../runtime/ports.ts';
import { RedisShardStore } from '../../runtime/redis/shardstore.ts';

const done = '"state":"succeeded"';

export class CountingStore extends RedisShardStore {
  #count = 0;
  #waiting: { total: number; resolve: () => void } | undefined;

  override async commit(lease: Lease, sequence: number, commit: Commit, passage?: Passage): Promise<CommitOutcome> {
    const outcome = await super.commit(lease, sequence, commit, passage);
    const text = commit.journal ?? '';
    for (let at = text.indexOf(done); at !== -1; at = text.indexOf(done, at + done.length)) this.#count++;
    const { total = Infinity, resolve } = this.#waiting ?? {};
    if (this.#count >= total) resolve?.();
    return outcome;
  }

  /**
   * Resolves when `total` tasks have been completed since the store was opened.
   * @throws Error when nothing is completed for `stallMs`
   */
  until(total: number, stallMs = 30_000): Promise<void> {
    return new Promise((resolve, reject) => {
      let seen = -1;
      const watch = setInterval(() => {
        if (this.#count === seen)
          reject(new Error(`${seen} of ${total} tasks are done, and none was for ${stallMs} ms`));
        seen = this.#count;
      }, stallMs);
      this.#waiting = {
        total,
        resolve: () => {
          clearInterval(watch);
          this.#waiting = undefined;
          resolve();
        },
      };
    });
  }
}
