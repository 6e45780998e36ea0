/** The server: `npm start [-- --config FILE] [--set section.key=value]`. */
import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureSecret } from '../api/token.ts';
import { ConfigError, loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { EmbeddedServerError } from '../runtime/embedded/error.ts';
import { createLog } from '../runtime/telemetry/log.ts';
import { compose } from './compose.ts';
import { projectRoot } from './root.ts';
import { startServers } from './servers.ts';

const usage = `Usage: npm start [-- OPTIONS]

  --config FILE              default: config/orchestrator.toml
  --set section.key=value    overrides a setting; may stand several times
  --help

Example: npm start -- --set primary_server.port=8001 --set logging.level=DEBUG`;

/** Settings of the command line and of the file, for every program that needs them. */
export function readSettings(argv: readonly string[]): { config: Config; rest: string[]; help: boolean } {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
  });
  const config = loadConfig({
    ...(values.config !== undefined && { file: values.config }),
    defaultFile: join(projectRoot, 'config', 'orchestrator.toml'),
    env: process.env,
    set: values.set,
  });
  return { config, rest: positionals, help: values.help };
}

export function dataDirectory(config: Config): string {
  const { directory } = config.data;
  return isAbsolute(directory) ? directory : join(projectRoot, directory);
}

export function secretFile(config: Config): string {
  return config.auth.secret_file ?? join(dataDirectory(config), 'secret');
}

async function main(): Promise<number> {
  const { config, help } = readSettings(process.argv.slice(2));
  if (help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const log = createLog({ level: config.logging.level, format: config.logging.format });
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const ending = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        resolve(signal);
      });
  });
  const servers = await startServers(config, dataDirectory(config), log);
  try {
    const running = await compose({ config, servers, secret: ensureSecret(secretFile(config)), version, log });
    log.info({ api: running.apiUrl, metrics: running.metricsUrl, site: config.orchestrator.site }, 'ready');
    process.send?.({ ready: true, api: running.apiUrl, metrics: running.metricsUrl });
    log.info({ signal: await ending }, 'stopping');
    await running.stop();
  } finally {
    await servers.stop();
  }
  log.info({}, 'stopped');
  return 0;
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) {
  try {
    process.exitCode = await main();
  } catch (error) {
    const expected = error instanceof ConfigError || error instanceof EmbeddedServerError;
    const message = error instanceof Error ? (expected ? error.message : error.message) : String(error);
    process.stderr.write(`orchestrator: ${message}\n`);
    process.exitCode = 1;
  }
  // Embedded servers and connections are closed; nothing may keep the process alive.
  process.exit();
}
