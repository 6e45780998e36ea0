/** The reference of every setting, from the schema itself. */
import * as z from 'zod';
import { configSchema, secretKeys } from './schema.ts';

interface Described {
  description?: string;
  default?: unknown;
  type?: string;
  enum?: readonly string[];
  items?: { enum?: readonly string[] };
  anyOf?: readonly Described[];
}

/** A Markdown table per section. */
export function configReference(): string {
  const document = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as {
    properties: Record<string, { properties: Record<string, Described> }>;
  };
  return Object.entries(document.properties)
    .map(([section, { properties }]) => {
      const rows = Object.entries(properties).map(([key, field]) => {
        const variable = `ORCHESTRATOR_${section}__${key}`.toUpperCase();
        const standard = field.default === undefined ? '-' : `\`${JSON.stringify(field.default)}\``;
        const secret = secretKeys.includes(`${section}.${key}`)
          ? ' Secret: also as a file, `' + variable + '_FILE`.'
          : '';
        return `| \`${key}\` | ${standard} | ${field.description ?? ''}${secret} |`;
      });
      return [`### [${section}]`, '', '| key | default | meaning |', '|---|---|---|', ...rows].join('\n');
    })
    .join('\n\n');
}
