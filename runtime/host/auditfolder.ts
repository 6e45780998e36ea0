/**
 * What the command line does without the API, on its way to PostgreSQL: a folder with a file per record. It takes neither
 * Redis nor PostgreSQL to note something there, so a rebuild of either is noted too.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditInbox, AuditNotes, Log } from '../ports.ts';
import { auditRecordSchema, type AuditRecord } from '../protocol/audit.ts';

const recordName = /^[0-9A-HJKMNP-TV-Z]{26}\.(?:begun|ended)\.json$/;

export class AuditFolder implements AuditNotes, AuditInbox {
  readonly #folder: string;
  readonly #log: Log;

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /**
   * The file appears whole, and the outcome in one of its own: nobody reads half a record, or removes what is newer than what
   * was read. @throws Error when the folder cannot be written
   */
  async note(record: AuditRecord): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, `${record.id}.${record.status === undefined ? 'begun' : 'ended'}.json`);
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  async read(count: number): Promise<{ position: string; record: AuditRecord | undefined }[]> {
    const names = await readdir(this.#folder).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
      throw error;
    });
    const oldest = names.filter((name) => recordName.test(name)).sort();
    const reading = oldest.slice(0, count).map(async (name) => ({ position: name, record: await this.#record(name) }));
    return Promise.all(reading);
  }

  async remove(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => rm(join(this.#folder, name), { force: true })));
  }

  async #record(name: string): Promise<AuditRecord | undefined> {
    const text = await readFile(join(this.#folder, name), 'utf8');
    try {
      return auditRecordSchema.parse(JSON.parse(text));
    } catch (error) {
      this.#log.error({ name, error: String(error).slice(0, 500) }, 'an audit record cannot be read; it is dropped');
      return undefined;
    }
  }
}
