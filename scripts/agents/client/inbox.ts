import type { Redis } from 'ioredis';
import { openConnection, pause, within, type ClientCertificate } from './connection.ts';
import { parseEntry, type InboxMessage } from './message.ts';
import type { AgentLog } from './log.ts';
import type { Route } from './route.ts';

const blockMs = 1_000;
/** Beyond BLOCK: a link that is half open keeps a blocking read for ever, and looks healthy. */
const watchdogMarginMs = 1_500;
const callDeadlineMs = 5_000;
const reconnectAfterMs = 250;
const entriesPerRead = 100;

type ReadReply = [stream: string, entries: [id: string, fields: string[] | null][]][] | null;

export interface InboxOptions {
  route: Route;
  certificate?: ClientCertificate | undefined;
  inbox: string;
  group: string;
  consumer: string;
  log: AgentLog;
  /** Takes a message over. When it returns, the entry is acknowledged. */
  receive(message: InboxMessage): void;
  /** The inbox or the rights to it are gone: only a new registration helps. */
  lost(reason: string): void;
}

/**
 * Reads until the signal fires. Each fresh connection first reads what was delivered before but not acknowledged (id 0),
 * because the reply that carried it may have been lost with the connection before.
 */
export async function readInbox(options: InboxOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // A connection that Redis refuses fails as "closed"; why, only its event says.
    let event: Error | undefined;
    const { url, left } = options.route;
    const onError = (error: Error): void => {
      event = error;
      options.log.debug({ error: error.message }, 'inbox connection');
    };
    const connection = openConnection({ url, name: 'agent-inbox', certificate: options.certificate, onError });
    const cut = () => connection.disconnect();
    signal.addEventListener('abort', cut);
    left.addEventListener('abort', cut);
    try {
      await within(callDeadlineMs, connection.connect());
      await readConnection(connection, options, signal);
    } catch (error) {
      if (!signal.aborted && !left.aborted) {
        const reason = reasonOf(error, event);
        options.route.failed(reason);
        options.log.warn({ reason }, 'the inbox cannot be read; the connection is replaced');
        if (/^(?:NOGROUP|NOPERM|WRONGPASS|NOAUTH|WRONGTYPE)/u.test(reason)) options.lost(reason);
        await pause(reconnectAfterMs, signal);
      }
    } finally {
      signal.removeEventListener('abort', cut);
      left.removeEventListener('abort', cut);
      connection.disconnect();
    }
  }
}

function reasonOf(error: unknown, event: Error | undefined): string {
  const message = error instanceof Error ? error.message : String(error);
  return event && message.includes('closed') ? event.message : message;
}

async function readConnection(connection: Redis, options: InboxOptions, signal: AbortSignal): Promise<void> {
  let pendingRead = false;
  let position = '0';
  while (!signal.aborted) {
    const entries = await read(connection, options, pendingRead ? '>' : position);
    if (!pendingRead && entries.length === 0) pendingRead = true;
    if (entries.length === 0) continue;
    position = entries.at(-1)![0];
    for (const [id, fields] of entries) {
      // Null fields: the entry was deleted after its delivery.
      for (const message of fields ? parseEntry(fields) : [])
        if (message.kind !== 'unreadable') options.receive(message);
        else options.log.warn({ entry: id, problem: message.problem }, 'an inbox message is passed over');
    }
    const ids = entries.map(([id]) => id);
    await within(callDeadlineMs, connection.xack(options.inbox, options.group, ...ids));
  }
}

async function read(connection: Redis, { inbox, group, consumer }: InboxOptions, from: string) {
  const call = connection.call(
    'XREADGROUP',
    ...['GROUP', group, consumer, 'COUNT', String(entriesPerRead), 'BLOCK', String(blockMs), 'STREAMS', inbox, from],
  );
  const reply = (await within(blockMs + watchdogMarginMs, call)) as ReadReply;
  return reply?.[0]?.[1] ?? [];
}
