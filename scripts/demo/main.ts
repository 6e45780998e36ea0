/**
 * The demo: starts the orchestrator and four agents, submits real work, shows it done.
 *
 *   npm run demo [-- --input DIR] [--pair] [--once] [--json]
 *
 * Without --once it stays up until Ctrl-C. With --once --json it prints one JSON document and exits 0 only if every task
 * succeeded.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../root.ts';
import { play, until } from './acts.ts';
import { startAgents } from './agents.ts';
import { Client } from './client.ts';
import { findDocuments } from './documents.ts';
import { Feed } from './feed.ts';
import { startOrchestrator } from './orchestrator.ts';
import { startSites } from './sites.ts';
import { Stage } from './stage.ts';
import { runWork } from './work.ts';

const usage = `Usage: npm run demo [-- OPTIONS]

  --input DIR   work on the Markdown and text files below DIR (default: this repository's)
  --pair        two sites: places change, and the active one is killed, while
                work goes on; data of the run before are removed
  --once        stop when the work is done
  --json        print one JSON document on standard output
  --help

Example: npm run demo -- --input ~/notes --once --json`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      input: { type: 'string', default: projectRoot },
      pair: { type: 'boolean', default: false },
      once: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const documents = findDocuments(values.input);
  const stage = new Stage(values.json);
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve('interrupted'));
  });
  const stops: (() => Promise<void>)[] = [];
  const pair = async (): Promise<number> => {
    stage.say('starting two sites');
    const sites = await startSites(join(projectRoot, '.data', 'demo-pair'), (words) => stage.say(words));
    stops.push(sites.stop);
    const { primary, secondary, token } = sites;
    await until('the primary is active', primary, ({ role }) => role === 'active');
    await until('the secondary follows', secondary, ({ link }) => link === 'streaming');
    stage.say('starting the agents');
    const agents = await startAgents([primary.api, secondary.api], token, (words) => stage.say(words));
    stops.push(agents.stop);
    const feed = new Feed([primary, secondary], documents);
    stops.push(() => feed.stop());
    const report = await play(primary, secondary, feed, (act) => stage.act(act));
    stage.showPair(report);
    if (!values.once) {
      stage.invitePair(sites);
      await interrupted;
    }
    const { accepted, succeeded } = report.tasks;
    return succeeded === accepted && report.identical ? 0 : 1;
  };
  const single = async (): Promise<number> => {
    stage.say('starting the orchestrator');
    const orchestrator = await startOrchestrator(join(projectRoot, '.data', 'demo'), (words) => stage.say(words));
    stops.push(orchestrator.stop);
    stage.say('starting the agents');
    const agents = await startAgents([orchestrator.api], orchestrator.token, (words) => stage.say(words));
    stops.push(agents.stop);
    const client = new Client(orchestrator.api, orchestrator.token);
    const report = await runWork(client, documents, agents.names, orchestrator.site, (done, of) =>
      stage.progress(done, of),
    );
    stage.show(report, orchestrator);
    if (!values.once) {
      stage.invite(orchestrator, report.results[0]?.task);
      await Promise.race([interrupted, orchestrator.ended]);
    }
    return report.tasks.failed === 0 ? 0 : 1;
  };
  try {
    const outcome = await Promise.race([values.pair ? pair() : single(), interrupted]);
    return outcome === 'interrupted' ? 130 : outcome;
  } finally {
    stage.say('stopping');
    for (const stop of stops.reverse()) await stop();
    stage.clear();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
