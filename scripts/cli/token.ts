/** `token`: mints tokens with the secret of the site, calls them back, and changes the secret. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { revoke, tokenIdOf } from '../../api/revocation.ts';
import { ensureSecret, mintToken, rotateSecret, scopes, type Scope } from '../../api/token.ts';
import { limits } from '../../config/limits.ts';
import type { Config } from '../../config/schema.ts';
import { isName } from '../../runtime/protocol/ids.ts';
import { revokedFile, secretFile } from '../settings.ts';
import type { Call, Command } from './command.ts';
import { noted } from './noted.ts';
import { UsageError } from './usage.ts';

const daysDefault = 30;

export const tokenCommands: readonly Command[] = [
  {
    words: 'token',
    summary: 'mints a token for the API and prints it',
    options: {
      scope: {
        type: 'string',
        multiple: true,
        value: 'S',
        describe: `what it allows, else read; of ${scopes.join(' ')}`,
      },
      subject: { type: 'string', value: 'NAME', describe: 'who it is for; else operator' },
      tenant: { type: 'string', value: 'NAME', describe: 'limits it to the tasks of one tenant' },
      days: { type: 'string', value: 'N', describe: `how long it is valid; else ${daysDefault}` },
    },
    examples: ['token --scope admin', 'token --scope agents:register --subject gpu-box --days 365'],
    run: mint,
  },
  {
    words: 'token revoke',
    summary: 'calls the token on standard input back',
    examples: ['token revoke < token.txt'],
    run: async ({ settings, output }) => {
      const config = settings();
      const id = tokenIdOf(readFileSync(0, 'utf8'));
      await noted(config, { action: 'token revoke', target: id }, () => revoke(revokedFile(config), id));
      output.show({ revoked: id }, () => output.line(`revoked ${id}`));
      return 0;
    },
  },
  {
    words: 'token rotate',
    summary: 'makes a new secret that signs; the one before holds until the next rotation',
    run: async ({ settings, output }) => {
      const config = settings();
      requireSecret(config);
      const file = secretFile(config);
      await noted(config, { action: 'token rotate', target: file }, () => rotateSecret(file));
      output.show({ rotated: true }, () =>
        output.paragraph('rotated; tokens of the former secret hold until they expire or it is rotated again'),
      );
      return 0;
    },
  },
];

async function mint({ text, texts, settings, output }: Call): Promise<number> {
  const given = texts('scope')
    .flatMap((list) => list.split(/[\s,]+/))
    .filter((scope) => scope !== '');
  const wanted = texts('scope').length === 0 ? ['read'] : given;
  const unknown = wanted.find((scope) => !scopes.includes(scope as Scope));
  if (unknown !== undefined || wanted.length === 0)
    throw new UsageError(`--scope ${unknown ?? ''}: known are ${scopes.join(', ')}`);
  const days = Number(text('days') ?? daysDefault);
  const daysMax = Math.floor(limits.tokenLifetimeSecondsMax / 86_400);
  if (!(days > 0 && days <= daysMax))
    throw new UsageError(`--days takes a number up to ${daysMax}, not ${text('days')}`);
  const tenant = text('tenant');
  if (tenant !== undefined && !isName(tenant)) throw new UsageError(`--tenant ${tenant} is no name`);
  const subject = text('subject') ?? 'operator';
  if (!/^[A-Za-z0-9][A-Za-z0-9@._:+-]{0,127}$/.test(subject))
    throw new UsageError(`--subject ${subject}: letters, digits and @ . _ : + -, at most 128`);
  const config = settings();
  requireSecret(config);
  const id = randomUUID();
  const granted = { scopes: wanted as Scope[], ...(tenant !== undefined && { tenant }) };
  const token = await noted(config, { action: 'token', target: subject, detail: { id, ...granted, days } }, () =>
    mintToken({
      ...{ id, subject, ...granted, secret: ensureSecret(secretFile(config)) },
      ...{ issuer: config.auth.issuer, audience: config.auth.audience },
      lifetimeSeconds: Math.floor(days * 86_400),
    }),
  );
  output.show({ token, id }, () => output.line(token));
  return 0;
}

function requireSecret({ auth }: Config): void {
  if (auth.algorithm !== 'HS256')
    throw new Error(`[auth] algorithm is ${auth.algorithm}: tokens come from the holder of the private key`);
}
