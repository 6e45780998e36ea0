/** A reader of server-sent events, as a client without a library would be. */
import { patienceMs } from './patience.ts';

export interface ServerEvent {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

export interface EventReader {
  status: number;
  contentType: string;
  /** The next event that fits; events before it are dropped. Undefined when the stream ended. */
  next(fits?: (event: ServerEvent) => boolean, deadlineMs?: number): Promise<ServerEvent | undefined>;
  /** Everything up to the end of the stream. */
  rest(): Promise<ServerEvent[]>;
  close(): void;
}

export async function openEvents(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
  const over = new AbortController();
  const response = await fetch(url, { headers, signal: over.signal });
  const events = parse(response);
  return {
    status: response.status,
    contentType: response.headers.get('Content-Type') ?? '',
    next: async (fits = () => true, deadlineMs = patienceMs) => {
      const late = new Promise<never>((_, reject) =>
        setTimeout(() => reject(new Error(`no such event within ${deadlineMs} ms`)), deadlineMs).unref(),
      );
      for (;;) {
        const { value, done } = await Promise.race([events.next(), late]);
        if (done) return undefined;
        if (fits(value)) return value;
      }
    },
    rest: async () => {
      const all: ServerEvent[] = [];
      for await (const event of events) all.push(event);
      return all;
    },
    close: () => over.abort(),
  };
}

async function* parse(response: Response): AsyncGenerator<ServerEvent, undefined> {
  if (!response.body) return;
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      const fields = new Map<string, string>();
      for (const line of block.split('\n')) {
        const colon = line.indexOf(': ');
        if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
      }
      if (fields.has('data'))
        yield {
          id: fields.get('id') ?? '',
          event: fields.get('event') ?? '',
          data: JSON.parse(fields.get('data')!) as Record<string, unknown>,
        };
    }
  }
}
