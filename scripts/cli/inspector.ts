/** Sends an actor to an inspector of Stately over a WebSocket: its past, its present, and what it does from now on. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Address } from '../../runtime/protocol/ids.ts';
import type { Chart } from '../../runtime/core/graph.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';
import { UsageError } from './usage.ts';
import { ApiProblem, member, type ApiClient } from './client.ts';
import type { Output } from './output.ts';
import type { Past, Standing } from './standing.ts';
import { StatelyStory, type StatelyEvent } from './stately.ts';

const handshakeMs = 5_000;

export interface Inspected {
  address: Address;
  actor: Standing | undefined;
  history: Past | undefined;
  /** Records of the past that are told. */
  last: number;
}

/** @returns the exit code; 1 where the inspector went away */
export async function tellStately(
  url: string,
  { address, actor, history, last }: Inspected,
  api: ApiClient,
  output: Output,
  signal: AbortSignal,
): Promise<number> {
  const [definition, id] = address.split('/') as [string, string];
  const chart = (await api.call(`/api/v1/machines/${encodeURIComponent(definition)}`)).body as unknown as Chart;
  const socket = await connected(url);
  const closed = new AbortController();
  socket.once('close', () => closed.abort());
  const send = (...events: StatelyEvent[]): void => {
    for (const event of events) socket.send(JSON.stringify(event));
  };
  const story = new StatelyStory(address, chart);
  const applied = (history?.records ?? []).filter(({ outcome }) => outcome === 'applied').slice(-last);
  send(
    story.actor(
      applied[0]?.state ?? actor?.state,
      undefined,
      applied[0]?.at ?? actor?.since ?? new Date().toISOString(),
    ),
  );
  let revision = 0;
  for (const record of applied) {
    send(...story.step(record, record.revision === actor?.revision ? actor.context : undefined));
    revision = record.revision;
  }
  output.line(`${address}: ${applied.length} steps sent to ${url}`);
  try {
    if (actor && actor.legal.length > 0) await follow();
  } finally {
    socket.close();
  }
  if (!closed.signal.aborted || signal.aborted) return 0;
  throw new Error(`${url} went away`);

  async function follow(): Promise<void> {
    const filter = definition === 'task' || definition === 'agent' ? { [definition]: id } : { definition };
    const ended = AbortSignal.any([signal, closed.signal]);
    output.line('what it does is sent until Ctrl-C');
    for await (const { event, data } of api.events('/api/v1/events', { query: filter, signal: ended })) {
      if (event !== 'transition' || member(data, 'actor') !== address || member(data, 'outcome') !== 'applied')
        continue;
      if (Number(data['revision']) <= revision) continue;
      revision = Number(data['revision']);
      const now = await present();
      send(...story.step(stepOf(data), now?.revision === revision ? now.context : undefined));
      if (now?.legal.length === 0) return;
    }
  }

  /** Undefined where it has left. */
  async function present(): Promise<Standing | undefined> {
    try {
      return (await api.call(`/api/v1/actors/${address}`)).body as unknown as Standing;
    } catch (error) {
      if (error instanceof ApiProblem && error.status === 404) return undefined;
      throw error;
    }
  }
}

function stepOf(data: JsonObject) {
  const by = member(data, 'by');
  return {
    ...{ event: member(data, 'event'), state: member(data, 'state') },
    ...{ revision: Number(data['revision']), at: member(data, 'at') },
    ...(by !== '' && { by }),
  };
}

/** @throws UsageError for what is no address of a WebSocket; Error when nobody is there */
async function connected(url: string): Promise<WebSocket> {
  if (!URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol))
    throw new UsageError(`--stately takes an address as ws://localhost:8080, not "${url.slice(0, 60)}"`);
  const socket = new WebSocket(url, { handshakeTimeout: handshakeMs });
  try {
    await once(socket, 'open');
  } catch (error) {
    throw new Error(`${url} cannot be reached: ${(error as Error).message}; is an inspector server up there?`, {
      cause: error,
    });
  }
  socket.on('error', () => socket.terminate());
  return socket;
}
