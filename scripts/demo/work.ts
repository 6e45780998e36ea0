/** The demo's work: one `text_processing` task per document, then one `corpus_report` over their results. */
import type { TextReport } from '../agents/text/process.ts';
import type { Client, TaskBody } from './client.ts';
import type { Document } from './documents.ts';

export interface DocumentResult {
  name: string;
  task: string;
  status: string;
  agent: string | undefined;
  cut: boolean;
  result: TextReport | undefined;
  error: string | undefined;
}

export interface DemoReport {
  site: string;
  agents: string[];
  tasks: { submitted: number; succeeded: number; failed: number };
  seconds: number;
  tasks_per_s: number;
  /** From submit to the end of a task. */
  latency_ms: { p50: number; p99: number };
  results: DocumentResult[];
  corpus: { task: string; status: string; documents: number; result: unknown };
}

/** Settled for the demo: nothing more will happen without an operator. */
const settled = new Set(['succeeded', 'cancelled', 'expired', 'parked']);
/** Parameters of the corpus task must stay below 256 KiB. */
const corpusBytesMax = 240 * 1024;

export async function runWork(
  client: Client,
  documents: readonly Document[],
  agents: string[],
  site: string,
  progress: (done: number, of: number) => void,
): Promise<DemoReport> {
  const started = performance.now();
  const ids = await client.submit(
    documents.map(({ name, text }) => ({ type: 'text_processing', parameters: { name, text } })),
  );
  let done = 0;
  progress(0, ids.length);
  const finish = async (id: string): Promise<TaskBody> => {
    for (;;) {
      const body = await client.task(id, 30);
      if (!settled.has(body.status)) continue;
      progress(++done, ids.length);
      return body;
    }
  };
  const bodies: TaskBody[] = [];
  // A few waits at a time: the tasks settle in about the order in which they were submitted.
  for (let from = 0; from < ids.length; from += 16)
    bodies.push(...(await Promise.all(ids.slice(from, from + 16).map(finish))));
  const seconds = (performance.now() - started) / 1000;
  const results = bodies.map((body, index) => resultOf(documents[index]!, body));
  const corpus = await assemble(client, results);
  const all = [...bodies.map((body) => body.status), corpus.status];
  const succeeded = all.filter((status) => status === 'succeeded').length;
  const latencies = bodies.map(latencyMs).sort((left, right) => left - right);
  return {
    site,
    agents,
    tasks: { submitted: all.length, succeeded, failed: all.length - succeeded },
    seconds: round(seconds),
    tasks_per_s: round(ids.length / seconds),
    latency_ms: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) },
    results,
    corpus,
  };
}

async function assemble(client: Client, results: readonly DocumentResult[]): Promise<DemoReport['corpus']> {
  const reports: object[] = [];
  let bytes = 0;
  for (const { name, result } of results) {
    if (!result) continue;
    const report = { name, report: result };
    bytes += Buffer.byteLength(JSON.stringify(report)) + 1;
    if (bytes > corpusBytesMax) break;
    reports.push(report);
  }
  const [id = ''] = await client.submit([{ type: 'corpus_report', parameters: { reports } }]);
  for (;;) {
    const body = await client.task(id, 30);
    if (settled.has(body.status))
      return { task: id, status: body.status, documents: reports.length, result: body.result };
  }
}

function resultOf(document: Document, body: TaskBody): DocumentResult {
  return {
    name: document.name,
    task: body.id,
    status: body.status,
    agent: body.agent,
    cut: document.cut,
    result: body.result as TextReport | undefined,
    error: body.error?.message,
  };
}

function latencyMs(body: TaskBody): number {
  return body.finished_at ? Date.parse(body.finished_at) - Date.parse(body.created_at) : 0;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
