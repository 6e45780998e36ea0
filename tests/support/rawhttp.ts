/** HTTP as bytes: what no client library would send. */
import { connect } from 'node:net';

export interface RawAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
  /** Parsed when it is JSON. */
  problem: { code?: string; status?: number };
}

export interface RawOptions {
  /** Sent one after the other with a pause, instead of at once. */
  pauseMs?: number;
  deadlineMs?: number;
}

/** Sends the parts and reads until the server closes or the deadline is over. */
export async function rawExchange(
  port: number,
  parts: readonly (string | Buffer)[],
  options: RawOptions = {},
): Promise<RawAnswer[]> {
  const { pauseMs = 0, deadlineMs = 3_000 } = options;
  const socket = connect({ port, host: '127.0.0.1' });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
    // A server that closes early resets what is still being sent; what it said before counts.
    socket.on('error', () => resolve());
  });
  const late = new Promise<void>((resolve) => setTimeout(resolve, deadlineMs));
  void (async () => {
    for (const part of parts) {
      if (!socket.writable) return;
      socket.write(part);
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  })();
  await Promise.race([closed, late]);
  socket.destroy();
  return parseAnswers(Buffer.concat(chunks).toString('utf8'));
}

function parseAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  for (let match = /^HTTP\/1\.1 (\d{3})/.exec(rest); match; match = /^HTTP\/1\.1 (\d{3})/.exec(rest)) {
    const end = rest.indexOf('\r\n\r\n');
    if (end === -1) break;
    const headers = new Map<string, string>();
    for (const line of rest.slice(0, end).split('\r\n').slice(1)) {
      const colon = line.indexOf(':');
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    const length = Number(headers.get('content-length') ?? 0);
    const body = rest.slice(end + 4, end + 4 + length);
    const isJson = headers.get('content-type')?.includes('json') === true && body !== '';
    answers.push({
      status: Number(match[1]),
      headers,
      body,
      problem: isJson ? (JSON.parse(body) as RawAnswer['problem']) : {},
    });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}
