/** Cron patterns: what is wrong with one, field by field, and the next time that one names. Time comes from the caller. */
import { Cron } from 'croner';
import { limits } from '../../config/limits.ts';

const fields = ['second', 'minute', 'hour', 'day of month', 'month', 'day of week'] as const;

function parse(pattern: string, timezone: string): Cron {
  // Without a function and paused, it never starts a timer. Fixed times are those of cron(8): no wildcard, no step.
  return new Cron(pattern, { timezone, paused: true, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard' });
}

/** Parsed patterns: parsing costs more than looking for the next time. */
const parsed = new Map<string, Cron>();

/** The first time after `afterMs`; undefined when none comes any more. Milliseconds since 1970. */
export function nextOfPattern(pattern: string, timezone: string, afterMs: number): number | undefined {
  const key = `${timezone} ${pattern}`;
  let cron = parsed.get(key);
  if (!cron) {
    if (parsed.size >= limits.cronPatternsMax) parsed.clear();
    parsed.set(key, (cron = parse(pattern, timezone)));
  }
  return cron.nextRun(new Date(afterMs))?.getTime();
}

/** What is wrong with a pattern, and where; undefined when nothing is. */
export function patternProblem(pattern: string): string | undefined {
  const text = pattern.trim();
  // "?" means "*", and elsewhere something else; a pattern should say what it means.
  if (text.includes('?')) return 'has "?"; write "*"';
  const parts = text.split(/\s+/);
  const nickname = text.startsWith('@');
  if (!nickname && parts.length !== 5 && parts.length !== 6)
    return `has ${text === '' ? 0 : parts.length} fields; a cron pattern has five (minute, hour, day of month, month, day of week), or six with the second first`;
  if (!nickname) {
    const names = fields.slice(fields.length - parts.length);
    for (const [index, part] of parts.entries()) {
      const alone = parts.map((_, other) => (other === index ? part : '*')).join(' ');
      const problem = failure(alone);
      if (problem !== undefined) return `field ${index + 1} (${names[index]}) "${part.slice(0, 40)}": ${problem}`;
    }
  }
  const problem = failure(text);
  if (problem !== undefined) return problem;
  // Every weekday meets every day of a year within 28 years.
  return nextOfPattern(text, 'UTC', Date.UTC(2000, 0, 1)) === undefined
    ? 'never comes: there is no such day'
    : undefined;
}

function failure(pattern: string): string | undefined {
  try {
    parse(pattern, 'UTC');
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // A day of month or a month is counted from 0 in there.
    if (/Invalid value for (?:day|month)/.test(message)) return 'is out of range';
    return message.replace(/^CronPattern: /, '').slice(0, 200);
  }
}
