/**
 * Loads the configuration: file < environment < flags. An unknown or wrong key is an error that names the place and the
 * nearest known key; nothing is guessed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import * as z from 'zod';
import { nearest } from './nearest.ts';
import { configSchema, secretKeys, type Config } from './schema.ts';

export class ConfigError extends Error {
  constructor(problems: readonly string[]) {
    super(`the configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

export interface ConfigSources {
  /** Path of the TOML file; when it is not given and the default does not exist, the defaults hold. */
  file?: string;
  defaultFile: string;
  env: Readonly<Record<string, string | undefined>>;
  /** `section.key=value` settings of the command line. */
  set: readonly string[];
}

const envPrefix = 'ORCHESTRATOR_';
/** Variables of the programs themselves, which are no configuration keys. */
const otherVariables = new Set([
  'ORCHESTRATOR_TOKEN',
  'ORCHESTRATOR_API',
  'ORCHESTRATOR_REDIS_URL',
  'ORCHESTRATOR_CONFIG',
]);

type Tree = Record<string, Record<string, unknown>>;

/** @throws ConfigError with every problem that was found */
export function loadConfig({ file, defaultFile, env, set }: ConfigSources): Config {
  const problems: string[] = [];
  const origin = new Map<string, string>();
  // Without prototypes: a section may be called anything, `constructor` too.
  const tree = Object.create(null) as Tree;
  const put = (section: string, key: string, value: unknown, from: string): void => {
    const name = `${section}.${key}`;
    (tree[section] ??= Object.create(null) as Tree[string])[key] = value;
    origin.set(name, from);
  };

  const path = file ?? env['ORCHESTRATOR_CONFIG'];
  const text = readFile(path ?? defaultFile, path !== undefined);
  for (const [section, table] of Object.entries(parseToml(text, path ?? defaultFile))) {
    if (typeof table !== 'object' || table === null || Array.isArray(table) || table instanceof Date) {
      problems.push(
        `${path ?? defaultFile}: "${section}" is a table, as [${section}]${suggestion(section, sections())}`,
      );
      continue;
    }
    if (!sections().includes(section)) {
      problems.push(`${path ?? defaultFile}: [${section}] is not known${suggestion(section, sections())}`);
      continue;
    }
    for (const [key, value] of Object.entries(table)) put(section, key, value, `${path ?? defaultFile}`);
  }

  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(envPrefix) || value === undefined || otherVariables.has(name)) continue;
    const [section = '', named, ...rest] = name.slice(envPrefix.length).toLowerCase().split('__');
    if (named === undefined || rest.length > 0) {
      problems.push(`environment: ${name} is no setting; they are named like ORCHESTRATOR_REDIS__URL`);
      continue;
    }
    // Some settings are called like this themselves: auth.secret_file.
    const fromFile = named.endsWith('_file') && keysOf(section)?.includes(named) !== true;
    const key = fromFile ? named.slice(0, -'_file'.length) : named;
    const from = `environment ${name}`;
    const other = origin.get(`${section}.${key}`);
    if (other?.startsWith('environment ')) problems.push(`${from}: ${other.slice(12)} is set as well; set one of them`);
    put(section, key, scalar(section, key, fromFile ? readFile(value, true, from).trim() : value), from);
  }
  // systemd's LoadCredential: files named like the settings they hold.
  if (env['CREDENTIALS_DIRECTORY'])
    for (const name of secretKeys) {
      const credential = readFile(join(env['CREDENTIALS_DIRECTORY'], name), false).trim();
      const [section = '', key = ''] = name.split('.');
      if (credential) put(section, key, scalar(section, key, credential), `credential ${name}`);
    }

  for (const setting of set) {
    const match = /^([a-z_]+)\.([a-z_]+)=(.*)$/s.exec(setting);
    if (!match) problems.push(`--set ${setting.split('=')[0]}: settings look like --set orchestrator.max_agents=20`);
    else put(match[1]!, match[2]!, scalar(match[1]!, match[2]!, match[3]!), `--set ${match[1]}.${match[2]}`);
  }

  for (const [name, from] of origin) {
    const [section = '', key = ''] = name.split('.');
    const known = keysOf(section);
    if (!known) problems.push(`${from}: there is no section "${section}"${suggestion(section, sections())}`);
    else if (!known.includes(key)) problems.push(`${from}: [${section}] has no key "${key}"${suggestion(key, known)}`);
  }
  if (problems.length > 0) throw new ConfigError(problems);

  const parsed = configSchema.safeParse(tree);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    parsed.error.issues.map((issue) => {
      const name = issue.path.slice(0, 2).map(String).join('.');
      return `${origin.get(name) ?? 'configuration'}: ${name}: ${issue.message}`;
    }),
  );
}

/** The configuration as TOML, without secrets. */
export function printConfig(config: Config): string {
  const lines: string[] = [];
  for (const [section, table] of Object.entries(config)) {
    lines.push(`[${section}]`);
    for (const [key, value] of Object.entries(table)) {
      if (value === undefined) continue;
      lines.push(`${key} = ${JSON.stringify(secretKeys.includes(`${section}.${key}`) ? shown(value) : value)}`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

function shown(value: unknown): string | string[] {
  return Array.isArray(value) ? value.map((one) => redacted(String(one))) : redacted(String(value));
}

/** Keeps what helps (scheme, host) and drops user and passwords, also where these are badly encoded. */
function redacted(url: string): string {
  return url
    .replace(/\/\/.*@/s, '//[redacted]@')
    .replaceAll(/([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*/gi, '$1[redacted]');
}

/** @param from what names the file, for the message */
function readFile(path: string, required: boolean, from?: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!required && error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([`${from === undefined ? '' : `${from}: `}${path} cannot be read: ${reason}`]);
  }
}

function parseToml(text: string, path: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new ConfigError([`${path}:${error.line}:${error.column}: ${error.message.split('\n')[0] ?? ''}`]);
  }
}

/** A setting that came as text, as the type that its key wants. */
function scalar(section: string, key: string, text: string): unknown {
  const shape = fieldOf(section, key);
  if (shape instanceof z.ZodNumber) return /^-?\d+$/.test(text) ? Number(text) : text;
  if (shape instanceof z.ZodBoolean) return text === 'true' ? true : text === 'false' ? false : text;
  if (shape instanceof z.ZodArray) return text.split(',').map((part) => part.trim());
  return text;
}

function fieldOf(section: string, key: string): unknown {
  const shape: Record<string, unknown> = tableOf(section)?.shape ?? {};
  let field = Object.hasOwn(shape, key) ? shape[key] : undefined;
  while (field instanceof z.ZodDefault || field instanceof z.ZodOptional) field = field.unwrap();
  return field;
}

function tableOf(section: string): z.ZodObject | undefined {
  const { shape } = configSchema;
  return Object.hasOwn(shape, section) ? shape[section as keyof typeof shape].unwrap() : undefined;
}

function sections(): string[] {
  return Object.keys(configSchema.shape);
}

function keysOf(section: string): string[] | undefined {
  const table = tableOf(section);
  return table && Object.keys(table.shape);
}

function suggestion(wrong: string, known: readonly string[]): string {
  const best = nearest(wrong, known);
  return best === undefined ? `; known: ${known.join(', ')}` : `; did you mean "${best}"?`;
}
