/**
 * The log: JSON lines on stderr (readable text on a terminal), and in two files where a directory is given:
 * `orchestrator.log` has everything, `orchestrator.error.log` the errors. Secrets are cut out of every line.
 */
import { join } from 'node:path';
import { pino, type DestinationStream, type LevelWithSilent } from 'pino';
import { build as pinoPretty } from 'pino-pretty';
import type { Log } from '../ports.ts';
import { Redaction } from './redaction.ts';

export type LogLevel = 'DEBUG' | 'INFO' | 'WARNING' | 'ERROR';

const levels: Record<LogLevel, LevelWithSilent> = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' };

const secretNames = ['password', 'token', 'secret', 'authorization', 'cookie', 'ticket'];

/** What waits in memory while a disk is full; what is more is lost, on stderr it stands all the same. */
const heldBytesMax = 1024 * 1024;

export interface LogOptions {
  level: LogLevel;
  /** `json` lines, `pretty` text, or `auto`: pretty on a terminal. Files are JSON always. */
  format: 'auto' | 'json' | 'pretty';
  /** Where the files are; undefined: none. */
  directory?: string | undefined;
  destination?: DestinationStream;
}

export interface RunningLog extends Log {
  setLevel(level: LogLevel): void;
  /** No line shows these from now on. */
  hide(...secrets: readonly string[]): void;
  /** Without what is hidden: for what is said elsewhere than in the log. */
  redacted(text: string): string;
  /** Goes on in new files, after the old ones were renamed. */
  reopen(): void;
}

/** @throws Error when the directory cannot be written to */
export function createLog({ level, format, directory, destination }: LogOptions): RunningLog {
  const redaction = new Redaction();
  const files = directory === undefined ? [] : logFiles(directory);
  const logger = pino(
    {
      level: levels[level],
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: '[redacted]' },
      hooks: { streamWrite: (line) => redaction.apply(line) },
    },
    pino.multistream([{ level: 'debug', stream: destination ?? stderrStream(format) }, ...files]),
  );
  const write =
    (at: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void =>
      logger[at](fields, message);
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    get verbose() {
      return logger.isLevelEnabled('debug');
    },
    setLevel: (next) => {
      logger.level = levels[next];
    },
    hide: (...secrets) => redaction.hide(...secrets),
    redacted: (text) => redaction.apply(text),
    reopen: () => {
      for (const { stream } of files) stream.reopen();
    },
  };
}

type FileStream = ReturnType<typeof pino.destination>;

function logFiles(directory: string): { level: 'debug' | 'error'; stream: FileStream }[] {
  const open = (name: string): FileStream => {
    const path = join(directory, name);
    const stream = pino.destination({ dest: path, mkdir: true, mode: 0o644, sync: true, maxLength: heldBytesMax });
    let said = '';
    // The log goes on where it can; what it cannot do it says there.
    stream.on('error', (error: Error) => {
      if (error.message === said) return;
      said = error.message;
      process.stderr.write(`${JSON.stringify({ level: 'error', path, error: said, msg: 'log file not written' })}\n`);
    });
    return stream;
  };
  return [
    { level: 'debug', stream: open('orchestrator.log') },
    { level: 'error', stream: open('orchestrator.error.log') },
  ];
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
