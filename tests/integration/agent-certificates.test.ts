/** A Redis that asks its clients for a certificate: every sample shows its own, and without one none gets in. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../runtime/embedded/ports.ts';
import type { RunningRedis } from '../../runtime/embedded/redis.ts';
import { Authority, type Issued } from '../support/certificates.ts';
import { freshFolder } from '../support/folders.ts';
import { startPrivateRedis, type PrivateServer } from '../support/servers.ts';
import { about, launch, pythonAgent, shellAgent, started, typescriptAgent, type Program } from './agent-sample.ts';

let redis: PrivateServer<RunningRedis>;
let tlsUrl: string;
let authority: Authority;
let own: Issued;
let foreign: Issued;

beforeAll(async () => {
  const folder = await freshFolder('agent-certificates');
  authority = new Authority(folder, 'own');
  const server = authority.issue('redis');
  own = authority.issue('agent', { names: ['DNS:agent'] });
  foreign = new Authority(folder, 'foreign').issue('intruder', { names: ['DNS:agent'] });
  const port = await freePort();
  redis = await startPrivateRedis({
    extraArgs: [
      ...['--tls-port', String(port), '--tls-auth-clients', 'yes', '--tls-ca-cert-file', authority.certificateFile],
      ...['--tls-cert-file', server.certificateFile, '--tls-key-file', join(folder, 'redis.key')],
    ],
  });
  tlsUrl = `rediss://127.0.0.1:${port}`;
}, 60_000);
afterAll(() => redis?.dispose());

/** The samples that can run on this machine, and how each is told which CA to trust. */
const samples: [name: string, program: Program | undefined, trusted: (ca: string) => Partial<Program>][] = [
  ['TypeScript', typescriptAgent, (ca) => ({ env: { NODE_EXTRA_CA_CERTS: ca } })],
  ['Python', pythonAgent, (ca) => ({ env: { ...pythonAgent!.env, SSL_CERT_FILE: ca } })],
  ['shell', shellAgent, (ca) => ({ args: [...shellAgent!.args, '--ca', ca] })],
];

describe.each(samples.filter(([, program]) => program !== undefined))('the %s sample', (_name, program, trusted) => {
  const start = (...args: string[]) => {
    const trusting = { ...program!, ...trusted(authority.certificateFile) };
    return launch({ ...trusting, args: [...trusting.args, '--redis', tlsUrl, ...args] }, redis.url);
  };

  test('works with its certificate', async () => {
    const sample = await start('--certificate', own.certificateFile, '--key', own.keyFile);
    try {
      await started(sample);
      await sample.peer.assign(
        't1',
        { text: 'The fishing boats leave the harbour before sunrise.' },
        { type: 'text_processing' },
      );
      await sample.peer.report(about('completed', 't1'));
    } finally {
      await sample.stop();
    }
  });

  test('without one, or with one of another CA, gets nowhere and says so', async () => {
    for (const args of [[], ['--certificate', foreign.certificateFile, '--key', foreign.keyFile]]) {
      const sample = await start(...args);
      try {
        await expect.poll(sample.said).toMatch(/trying again|the connection is replaced/u);
        expect(sample.peer.reports).toEqual([]);
      } finally {
        await sample.stop();
      }
    }
  });

  test('refuses a certificate without its key', async () => {
    const sample = await start('--certificate', own.certificateFile);
    try {
      expect(await sample.exit).toBeGreaterThan(0);
      expect(sample.said()).toContain('--certificate and --key go together');
    } finally {
      await sample.stop();
    }
  });
});
