/** A site with work in every state, made by real agents: what the console is shown with. */
import { createAgent, type Agent } from '../../scripts/agents/client/agent.ts';
import { startApi, type ApiSite } from './apisite.ts';
import { definitions } from './order.ts';

export interface Scenery {
  api: ApiSite;
  /** Ids of tasks by what became of them. */
  tasks: { succeeded: string; parked: string; running: string; queued: string; retrying: string; hostile: string };
  /** Lets the running task end. */
  finish(): void;
  submit(body: object): Promise<string>;
  settled(id: string): Promise<void>;
  stop(): Promise<void>;
}

export const hostileText = '<script>document.title="owned"</script><img src=x onerror="document.title=\'owned\'">';

export async function startScenery(): Promise<Scenery> {
  const api = await startApi({ definitions, shards: 4 });
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const token = api.token('agents:register');
  const agent = (
    type: string,
    id: string,
    slots: number,
    handler: Parameters<typeof createAgent>[0]['handler'],
  ): Agent =>
    createAgent({
      api: api.url,
      token,
      type,
      id,
      slots,
      version: '2.4.1',
      capabilities: ['text'],
      handler,
      stopGraceMs: 200,
    });
  const agents = [
    agent('summarise', 'north', 3, ({ parameters }) => Promise.resolve({ summary: parameters })),
    agent('summarise', 'south', 2, ({ parameters }) => Promise.resolve({ summary: parameters })),
    agent('translate', 'east', 2, () => Promise.reject(new Error('the dictionary is missing'))),
    agent('train', 'gpu-1', 1, async (_task, _signal, report) => {
      report.progress(0.42, 'epoch 5 of 12');
      report.chunk({ epoch: 5, loss: 0.4 });
      await finished;
      return { loss: 0.031 };
    }),
  ];
  for (const one of agents) await one.start();
  const submit = async (body: object): Promise<string> =>
    String((await api.call('/api/v1/tasks', { body })).body['id']);
  const settled = async (id: string): Promise<void> => {
    await api.call(`/api/v1/tasks/${id}`, { headers: { Prefer: 'wait=20' } });
  };
  for (let number = 0; number < 24; number++)
    await submit({
      type: 'summarise',
      parameters: { document: `report-${number}.md`, words: 1_200 + number },
      priority: number % 3,
    });
  const once = { max_attempts: 1 };
  const tasks = {
    succeeded: await submit({ type: 'summarise', parameters: { document: 'annual report.md' } }),
    parked: await submit({ type: 'translate', parameters: { text: 'Guten Tag' }, retry: once, tenant: 'acme' }),
    running: await submit({ type: 'train', parameters: { model: 'small' }, timeouts: { start_to_close_ms: 600_000 } }),
    queued: await submit({ type: 'transcribe', parameters: { audio: 'meeting.ogg' }, priority: 5 }),
    retrying: await submit({ type: 'translate', parameters: { text: 'Hallo' }, retry: { initial_delay_ms: 600_000 } }),
    hostile: await submit({ type: 'translate', parameters: { [hostileText]: hostileText }, retry: once }),
  };
  for (let number = 0; number < 4; number++)
    await submit({ type: 'translate', parameters: { text: `Satz ${number}` }, retry: once });
  await api.call('/api/v1/schedules', {
    body: { name: 'weekly', cron: '0 6 * * MON', timezone: 'Europe/Berlin', task: { type: 'summarise' } },
  });
  await settled(tasks.succeeded);
  await settled(tasks.hostile);
  await settled(tasks.parked);
  await api.projected();
  return {
    api,
    tasks,
    finish,
    submit,
    settled,
    stop: async () => {
      finish();
      for (const one of agents) await one.stop();
      await api.stop();
    },
  };
}
