/**
 * Load on a service that is stopped, upgraded and killed meanwhile: an agent, and a client that repeats a submit under the
 * same key until it is accepted. Prints `running`, then, when stdin ends, what became of every accepted task.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAgent } from '../../scripts/agents/client/agent.ts';

const settleMs = 90_000;
const { API = '', TOKEN: token = '' } = process.env;
/** Of a pair both; which one takes writes is found out. */
const sites = API.split(',');
let site = 0;
const api = (): string => sites[site % sites.length]!;
const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };

const agent = createAgent({ api: sites, token, type: 'echo', slots: 8, handler: async (task) => task.parameters });
await agent.start();

let ending = false;
process.stdin.on('end', () => (ending = true)).resume();
const accepted: string[] = [];
const refused: number[] = [];
let repeats = 0;

async function submit(): Promise<void> {
  const key = randomUUID();
  const request = {
    method: 'POST',
    headers: { ...headers, 'Idempotency-Key': key },
    body: JSON.stringify({ type: 'echo', parameters: { number: accepted.length } }),
  };
  for (;;) {
    // Undefined: the service stops or restarts. What was cut is said again under the same key.
    const answer = await fetch(`${api()}/api/v1/tasks`, request)
      .then(async (response) => ({ status: response.status, body: (await response.json()) as { id: string } }))
      .catch(() => undefined);
    if (answer !== undefined && answer.status < 300) return void accepted.push(answer.body.id);
    if (answer !== undefined && answer.status < 500) return void refused.push(answer.status);
    repeats++;
    site++;
    await sleep(50);
  }
}

async function statusOf(id: string): Promise<string> {
  const answer = await fetch(`${api()}/api/v1/tasks/${id}`, { headers }).catch(() => undefined);
  return answer?.ok ? ((await answer.json()) as { status: string }).status : `HTTP ${answer?.status ?? 'none'}`;
}

process.stdout.write('running\n');
while (!ending) {
  await Promise.all([submit(), submit()]);
  await sleep(20);
}

const deadline = performance.now() + settleMs;
const open = new Map(accepted.map((id) => [id, 'unknown']));
while (open.size > 0 && performance.now() < deadline) {
  for (const id of [...open.keys()]) {
    const status = await statusOf(id);
    if (status === 'succeeded') open.delete(id);
    else open.set(id, status);
  }
  if (open.size > 0) await sleep(200);
}
/** For a failed test: what the first one waits for, as the site that takes writes says, and who is there to take it. */
async function whyOpen(): Promise<unknown> {
  const [id] = open.keys();
  if (id === undefined) return undefined;
  const paths = [`/tasks/${id}`, `/tasks/${id}/history`, '/agents', '/sites'];
  return Promise.all(
    sites.flatMap((url) =>
      paths.map((path) =>
        fetch(`${url}/api/v1${path}`, { headers })
          .then((answer) => answer.text())
          .catch(String),
      ),
    ),
  );
}
const why = await whyOpen();
await agent.stop();
process.stdout.write(
  `${JSON.stringify({ accepted: accepted.length, distinct: new Set(accepted).size, refused, repeats, open: [...open], why })}\n`,
);
process.exit();
