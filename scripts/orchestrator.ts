/** The command line: `npm run orchestrator -- COMMAND`. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { revoke } from '../api/revocation.ts';
import { ensureSecret, mintToken, rotateSecret, scopes, type Scope } from '../api/token.ts';

import { printConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { isName } from '../runtime/protocol/ids.ts';
import { limits } from '../config/limits.ts';
import { agentCommand, agentUsage } from './commands/agent.ts';
import { commands } from './cli/commands.ts';
import { overview } from './cli/help.ts';
import { runProgram } from './cli/program.ts';
import { auditCommand, auditUsage } from './commands/audit.ts';
import { backupCommand, backupUsage, restoreCommand } from './commands/backup.ts';
import { doctorCommand, doctorUsage } from './commands/doctor.ts';
import { migrateCommand, migrateUsage } from './commands/migrate.ts';
import { pruneCommand, rebuildCommand, rebuildUsage } from './commands/rebuild.ts';
import { UsageError } from './commands/usage.ts';
import { readSettings, revokedFile, secretFile } from './settings.ts';

const usage = `Usage: npm run --silent orchestrator -- COMMAND [OPTIONS]

  token           mints a token for the API and prints it
    --scope S       what it allows; may stand several times (default: read)
                    one of ${scopes.join(' ')}
    --subject NAME  who it is for (default: operator)
    --tenant NAME   limits it to the tasks of one tenant
    --days N        how long it is valid (default: 30)
  token revoke    calls the token on standard input back
  token rotate    makes a new secret that signs; the one before holds until the next rotation
  config print    the configuration in force, without secrets
  config check    says whether the configuration can be used
${agentUsage}
${doctorUsage}
${auditUsage}
${migrateUsage}
${backupUsage}
${rebuildUsage}

Every command takes --config FILE and --set section.key=value.

Examples:
  npm run --silent orchestrator -- token --scope admin
  npm run --silent orchestrator -- token --scope agents:register --subject gpu-box --days 365`;

/** Fires at Ctrl-C, for what watches. */
function stopping(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort());
  return controller.signal;
}

function main(argv: readonly string[]): number | Promise<number> {
  const [command, ...rest] = argv;
  switch (command) {
    case undefined:
    case '--help':
    case 'help':
      process.stdout.write(`${usage}\n\nTasks:\n\n${overview(commands)}\n`);
      return command === undefined ? 2 : 0;
    case 'token':
      return token(rest);
    case 'config':
      return config(rest);
    case 'agent':
      return agentCommand(rest);
    case 'doctor':
      return doctorCommand(rest);
    case 'audit':
      return auditCommand(rest);
    case 'backup':
      return backupCommand(rest);
    case 'restore':
      return restoreCommand(rest);
    case 'migrate':
      return migrateCommand(rest);
    case 'rebuild':
      return rebuildCommand(rest);
    case 'prune':
      return pruneCommand(rest);
    default:
      return runProgram(commands, argv, {
        env: process.env,
        out: (text) => process.stdout.write(text),
        err: (text) => process.stderr.write(text),
        columns: process.stdout.isTTY ? process.stdout.columns : undefined,
        signal: stopping(),
      });
  }
}

function token(argv: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: {
      scope: { type: 'string', multiple: true, default: ['read'] },
      subject: { type: 'string', default: 'operator' },
      tenant: { type: 'string' },
      days: { type: 'string', default: '30' },
      config: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  if (positionals.length > 0) {
    const action = positionals.join(' ');
    if (action !== 'revoke' && action !== 'rotate') throw new UsageError(`token does not take ${action}`);
    const { config: settings } = readSettings({ file: values.config, set: values.set });
    if (action === 'revoke')
      process.stdout.write(`revoked ${revoke(revokedFile(settings), readFileSync(0, 'utf8'))}\n`);
    else {
      requireSecret(settings);
      rotateSecret(secretFile(settings));
      process.stdout.write(`rotated; tokens of the former secret hold until they expire or it is rotated again\n`);
    }
    return 0;
  }
  const wanted = values.scope.flatMap((list) => list.split(/[\s,]+/)).filter((scope) => scope !== '');
  const unknown = wanted.find((scope) => !scopes.includes(scope as Scope));
  if (unknown !== undefined || wanted.length === 0)
    throw new UsageError(`--scope ${unknown ?? ''}: known are ${scopes.join(', ')}`);
  const days = Number(values.days);
  const daysMax = Math.floor(limits.tokenLifetimeSecondsMax / 86_400);
  if (!(days > 0 && days <= daysMax))
    throw new UsageError(`--days takes a number up to ${daysMax}, not ${values.days}`);
  if (values.tenant !== undefined && !isName(values.tenant))
    throw new UsageError(`--tenant ${values.tenant} is no name`);
  if (!/^[A-Za-z0-9][A-Za-z0-9@._:+-]{0,127}$/.test(values.subject))
    throw new UsageError(`--subject ${values.subject}: letters, digits and @ . _ : + -, at most 128`);
  const { config: settings } = readSettings({ file: values.config, set: values.set });
  requireSecret(settings);
  process.stdout.write(
    `${mintToken({
      secret: ensureSecret(secretFile(settings)),
      issuer: settings.auth.issuer,
      audience: settings.auth.audience,
      subject: values.subject,
      scopes: wanted as Scope[],
      ...(values.tenant !== undefined && { tenant: values.tenant }),
      lifetimeSeconds: Math.floor(days * 86_400),
    })}\n`,
  );
  return 0;
}

function requireSecret({ auth }: Config): void {
  if (auth.algorithm !== 'HS256')
    throw new Error(`[auth] algorithm is ${auth.algorithm}: tokens come from the holder of the private key`);
}

function config(argv: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { config: { type: 'string' }, set: { type: 'string', multiple: true, default: [] } },
  });
  const [action] = positionals;
  if (action !== 'print' && action !== 'check') throw new UsageError('config takes print or check');
  const { config: settings } = readSettings({ file: values.config, set: values.set });
  process.stdout.write(action === 'print' ? printConfig(settings) : 'the configuration can be used\n');
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const wrongWords =
    error instanceof UsageError ||
    (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  process.stderr.write(`orchestrator: ${error instanceof Error ? error.message : String(error)}\n`);
  if (wrongWords) process.stderr.write('try: npm run orchestrator -- --help\n');
  process.exitCode = wrongWords ? 2 : 1;
}
