/** The log: JSON lines on stderr, readable text on a terminal. Secrets are cut out by name, and passwords out of URLs. */
import { pino, type DestinationStream, type LevelWithSilent } from 'pino';
import { build as pinoPretty } from 'pino-pretty';
import type { Log } from '../ports.ts';

export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

const levels: Record<LogLevel, LevelWithSilent> = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' };

const secretNames = ['password', 'token', 'secret', 'authorization', 'cookie', 'ticket'];

export interface LogOptions {
  level: LogLevel;
  /** `json` lines, `pretty` text, or `auto`: pretty on a terminal. */
  format: 'auto' | 'json' | 'pretty';
  destination?: DestinationStream;
}

export interface RunningLog extends Log {
  setLevel(level: LogLevel): void;
}

export function createLog({ level, format, destination }: LogOptions): RunningLog {
  const logger = pino(
    {
      level: levels[level],
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
    },
    destination ?? stderrStream(format),
  );
  const write =
    (at: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void =>
      logger[at](withoutPasswords(fields), message);
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    setLevel: (next) => {
      logger.level = levels[next];
    },
  };
}

function stderrStream(format: LogOptions['format']): DestinationStream {
  const wanted = format === 'pretty' || (format === 'auto' && process.stderr.isTTY);
  return wanted
    ? pinoPretty({
        colorize: process.stderr.isTTY && !process.env['NO_COLOR'],
        ignore: 'pid,hostname',
        translateTime: 'SYS:HH:MM:ss.l',
        destination: 2,
        sync: true,
      })
    : pino.destination({ dest: 2, sync: true });
}

const urlPassword = /(\w+:\/\/[^:@/\s]*:)[^@/\s]+@/g;

function withoutPasswords(fields: object): object {
  let clean: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== 'string' || !value.includes('://')) continue;
    clean ??= { ...fields };
    clean[name] = value.replace(urlPassword, '$1[redacted]@');
  }
  return clean ?? fields;
}
