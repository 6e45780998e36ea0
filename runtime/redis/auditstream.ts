/**
 * Audit records on their way to PostgreSQL. They stand in a stream of the Redis that the actions themselves need, so an
 * action that can be carried out can be noted, whatever PostgreSQL does.
 */
import type { AuditInbox, AuditNotes, Log, System } from '../ports.ts';
import { auditRecordSchema, type AuditRecord } from '../protocol/audit.ts';
import type { Position } from '../protocol/journal.ts';
import type { Keyspace } from '../protocol/keys.ts';
import type { RedisSettings } from './client.ts';
import { Connection } from './connection.ts';

export interface AuditStreamOptions {
  redis: RedisSettings;
  space: Keyspace;
  system: System;
  log: Log;
}

export class RedisAuditStream implements AuditNotes, AuditInbox {
  readonly #key: string;
  readonly #connection: Connection;
  readonly #log: Log;

  constructor({ redis, space, system, log }: AuditStreamOptions) {
    this.#key = space.audit;
    this.#log = log;
    this.#connection = new Connection({ ...redis, name: `${redis.name}-audit` }, system, log);
  }

  close(): void {
    this.#connection.close();
  }

  async note(record: AuditRecord): Promise<void> {
    await this.#connection.run((client) => client.xadd(this.#key, '*', 'record', JSON.stringify(record)));
  }

  async read(count: number): Promise<{ position: Position; record: AuditRecord | undefined }[]> {
    const entries = await this.#connection.run((client) => client.xrange(this.#key, '-', '+', 'COUNT', count));
    return entries.map(([position, fields]) => ({ position, record: this.#parsed(position, fields[1]) }));
  }

  async remove(positions: readonly Position[]): Promise<void> {
    await this.#connection.run((client) => client.xdel(this.#key, ...positions));
  }

  /** Undefined for what no process of ours has written. */
  #parsed(position: Position, text: string | undefined): AuditRecord | undefined {
    try {
      return auditRecordSchema.parse(JSON.parse(text ?? ''));
    } catch (error) {
      this.#log.error(
        { position, error: String(error).slice(0, 500) },
        'an audit record cannot be read; it is dropped',
      );
      return undefined;
    }
  }
}
