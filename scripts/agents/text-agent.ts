/**
 * A runnable agent that reads texts: `text_processing` gives the report of one text, `corpus_report` puts reports
 * together. Usage: text-agent --api http://127.0.0.1:8000[,http://other:8010] --token TOKEN [--type text_processing] [--slots 2] [--id NAME]
 * [--certificate FILE --key FILE]; the last two for a Redis that asks its clients for a certificate.
 */
import { realpathSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { z } from 'zod';
import { createAgent, type Task } from './client/agent.ts';
import { assembleCorpus } from './text/corpus.ts';
import { processText } from './text/process.ts';

const textParameters = z.object({ text: z.string(), name: z.string().optional() });

const count = z.number().int().nonnegative();
const report = z.object({
  words: count,
  sentences: count,
  characters: count.default(0),
  language: z.object({ code: z.string(), confidence: z.number() }),
  keyphrases: z.array(z.object({ phrase: z.string(), score: z.number() })),
  summary: z.array(z.string()),
});
const corpusParameters = z.object({ reports: z.array(z.object({ name: z.string(), report })) });

/** Wrong parameters stay wrong however often they are tried. */
class ParametersError extends Error {
  readonly code = 'bad_parameters';
  readonly retryable = false;
}

function parsed<Output>(schema: z.ZodType<Output>, parameters: unknown): Output {
  const outcome = schema.safeParse(parameters);
  if (outcome.success) return outcome.data;
  throw new ParametersError(`the parameters do not fit: ${z.prettifyError(outcome.error)}`);
}

export function handleTextTask(task: Pick<Task, 'type' | 'parameters'>): unknown {
  switch (task.type) {
    case 'text_processing': {
      const { text, name } = parsed(textParameters, task.parameters);
      return { ...(name === undefined ? {} : { name }), ...processText(text) };
    }
    case 'corpus_report':
      return assembleCorpus(parsed(corpusParameters, task.parameters).reports);
    default:
      throw new ParametersError(`this agent serves text_processing and corpus_report, not ${task.type}`);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      api: { type: 'string', default: process.env.ORCHESTRATOR_API ?? 'http://127.0.0.1:8000' },
      token: { type: 'string' },
      type: { type: 'string', default: 'text_processing' },
      slots: { type: 'string', default: '1' },
      id: { type: 'string' },
      redis: { type: 'string' },
      certificate: { type: 'string' },
      key: { type: 'string' },
    },
  });
  const token = values.token ?? process.env.ORCHESTRATOR_TOKEN;
  const slots = Number(values.slots);
  if (!token) throw new Error('no token: pass --token or set ORCHESTRATOR_TOKEN');
  if (!Number.isInteger(slots) || slots < 1)
    throw new Error(`--slots takes a whole number from 1, not ${values.slots}`);
  const { certificate: certificateFile, key: keyFile } = values;
  if (!certificateFile !== !keyFile) throw new Error('--certificate and --key go together');
  const redisUrl = values.redis ?? process.env.ORCHESTRATOR_REDIS_URL;
  const agent = createAgent({
    ...{ api: values.api.split(','), token, type: values.type, slots, handler: handleTextTask, version: '1' },
    capabilities: ['en', 'de', 'fr', 'es', 'it', 'pt', 'nl', 'sv', 'pl', 'ru', 'zh', 'ja', 'ar'].map(
      (code) => `language-${code}`,
    ),
    labels: { runtime: 'node' },
    logger: pino({ level: process.env.LOG_LEVEL ?? 'info' }, pino.destination({ dest: 2, sync: true })),
    ...(values.id ? { id: values.id } : {}),
    ...(redisUrl ? { redisUrl } : {}),
    ...(certificateFile && keyFile ? { redisCertificate: { certificateFile, keyFile } } : {}),
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void agent.stop());
  await agent.start();
  await agent.stopped;
}

if (process.argv[1] && import.meta.filename === realpathSync(process.argv[1])) {
  await main().catch((error: unknown) => {
    process.stderr.write(`text-agent: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
