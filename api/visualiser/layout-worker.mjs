// Lays graphs out beside the event loop: a chart of forty states takes longer than a shard may wait.
import { parentPort } from 'node:worker_threads';
import ELK from 'elkjs/lib/elk.bundled.js';

const elk = new ELK();

parentPort.on('message', async ({ number, graph }) => {
  try {
    parentPort.postMessage({ number, laid: await elk.layout(graph) });
  } catch (error) {
    parentPort.postMessage({ number, problem: error instanceof Error ? error.message : String(error) });
  }
});
