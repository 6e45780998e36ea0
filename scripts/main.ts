/** The server: `npm start [-- --config FILE] [--set section.key=value]`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { RunningLog } from '../runtime/telemetry/log.ts';
import { secretsOfAddress } from '../runtime/telemetry/redaction.ts';
import { compose } from './compose/compose.ts';
import { projectRoot } from './root.ts';
import { startServers } from './servers.ts';
import { Reload } from './reload.ts';
import {
  agentSecret,
  dataDirectory,
  openLog,
  readSettings,
  auditFolderOf,
  revokedFile,
  tokenKeys,
} from './settings.ts';
import { feedWatchdog, serviceManager } from './systemd.ts';

const usage = `Usage: npm start [-- OPTIONS]

  --config FILE              default: config/orchestrator.toml
  --set section.key=value    overrides a setting; may stand several times
  --help

Example: npm start -- --set primary_server.port=8001 --set logging.level=DEBUG`;

/** Undefined until the configuration has been read. */
let log: RunningLog | undefined;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const { config } = readSettings({ file: values.config, set: values.set });
  log = openLog(config);
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const manager = serviceManager(process.env, process.pid, log);
  // A terminal that goes away ends what was started on it; a service is asked to reload by the same signal.
  const onTerminal = process.stdin.isTTY || process.stderr.isTTY;
  const ending = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', ...(onTerminal ? (['SIGHUP'] as const) : [])] as const)
      process.on(signal, () => {
        resolve(signal);
      });
  });
  const reload = new Reload({ config, read: () => readSettings({ file: values.config, set: values.set }).config, log });
  if (!onTerminal) process.on('SIGHUP', () => void reload.ask(manager));
  const servers = await startServers(config, dataDirectory(config), log);
  log.hide(...[servers.redisUrl, servers.postgresUrl].flatMap(secretsOfAddress));
  try {
    const running = await compose({
      config,
      servers,
      keys: tokenKeys(config, { log, monotonicMs: () => performance.now() }),
      agentSecret: agentSecret(config),
      revokedFile: revokedFile(config),
      auditFolder: auditFolderOf(config),
      version,
      log,
    });
    log.info({ api: running.apiUrl, metrics: running.metricsUrl, site: config.orchestrator.site }, 'ready');
    process.send?.({ ready: true, api: running.apiUrl, metrics: running.metricsUrl });
    reload.serve(running);
    await manager.tell('READY=1', `STATUS=serves ${running.apiUrl ?? 'shards'}`);
    const stopFeeding = feedWatchdog({ manager, readAgeMs: () => running.readAgeMs(), log });
    log.info({ signal: await ending }, 'stopping');
    void manager.tell('STOPPING=1', 'STATUS=finishes what is under way');
    await running.stop();
    stopFeeding();
  } finally {
    await servers.stop();
  }
  log.info({}, 'stopped');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  log?.error({ error: reason }, 'ended by an error');
  process.stderr.write(`orchestrator: ${log?.redacted(reason) ?? reason}\n`);
  process.exitCode = 1;
}
// Embedded servers and connections are closed; nothing may keep the process alive.
process.exit();
