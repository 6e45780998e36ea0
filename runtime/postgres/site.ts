/** Which site a database belongs to, and the right to bring it back, which one process has at a time. */
import { limits } from '../../config/limits.ts';
import type { SiteIdentity, SiteRegister, System } from '../ports.ts';
import type { Pool } from './pool.ts';

/** Any number that other programs in this database do not use. */
const advisoryLock = 728_413_906;

export class PostgresSiteRegister implements SiteRegister {
  readonly #pool: Pool;
  readonly #system: System;

  constructor(pool: Pool, system: System) {
    this.#pool = pool;
    this.#system = system;
  }

  async site(): Promise<SiteIdentity | undefined> {
    const [row] = await this.#pool.query<SiteIdentity>('SELECT incarnation, shards FROM site');
    return row;
  }

  async claimSite({ incarnation, shards }: SiteIdentity): Promise<SiteIdentity> {
    await this.#pool.query('INSERT INTO site (incarnation, shards) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      incarnation,
      shards,
    ]);
    return (await this.site()) ?? { incarnation, shards };
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    // The lock is the connection's: it ends with it, whatever becomes of this process.
    return this.#pool.withClient(async (client) => {
      for (;;) {
        const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_lock($1) AS mine', [
          advisoryLock,
        ]);
        if (rows[0]?.mine) break;
        await this.#system.sleep(limits.lockRetryMs);
      }
      const result = await work();
      await client.query('SELECT pg_advisory_unlock($1)', [advisoryLock]);
      return result;
    });
  }
}
