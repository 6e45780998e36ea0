/** Nothing is spoken in the open beyond the machine, and no check of a certificate is skipped, unless it was asked for. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import { isLocal, postgresSpeaksTls, transportProblems } from '../../config/transport.ts';
import { Transport } from '../../scripts/transport.ts';
import { Authority } from '../support/certificates.ts';

const folder = mkdtempSync(join(tmpdir(), 'transport-'));
afterAll(() => rmSync(folder, { recursive: true }));

const load = (...set: string[]): Config => loadConfig({ defaultFile: join(folder, 'absent.toml'), env: {}, set });
const problems = (...set: string[]): string[] => transportProblems(load(...set), {});
const certificate = ['tls.certificate_file=c', 'tls.key_file=k'];

describe('refused', () => {
  test.each<[string, string[], RegExp]>([
    ['an API on all addresses', ['primary_server.host=0.0.0.0'], /primary_server\.host.*certificate_file.*allow_plain/],
    ['an API on a name', ['primary_server.host=api.test'], /primary_server\.host/],
    ['metrics on all addresses', ['metrics.host=::'], /metrics\.host/],
    ['the other site', ['orchestrator.site=secondary', 'secondary_server.host=10.0.0.1'], /secondary_server\.host/],
    ['Redis elsewhere', ['redis.url=redis://10.0.0.1'], /redis\.url.*rediss:\/\//],
    [
      'one node of a cluster elsewhere',
      ['redis.cluster=redis://localhost,redis://10.0.0.1'],
      /redis\.cluster.*rediss:\/\//,
    ],
    ['agents that are sent elsewhere', ['redis.agent_url=redis://redis.test'], /redis\.agent_url/],
    ['a parameter of Redis that skips the check', ['redis.url=rediss://h/?tls=RedisCloudFixed'], /parameter "tls"/],
    ['another one', ['redis.url=rediss://h/?rejectUnauthorized=false'], /parameter "rejectUnauthorized"/],
    ['certificates that nobody would look at', ['redis.url=redis://localhost', 'redis.ca_file=c'], /rediss/],
    ['PostgreSQL without TLS', ['postgres.url=postgres://h/d?sslmode=disable'], /sslmode=disable/],
    ...['allow', 'prefer', 'require', 'verify-ca', 'no-verify', 'x'].map((mode): [string, string[], RegExp] => [
      `sslmode=${mode}`,
      [`postgres.url=postgres://localhost/d?sslmode=${mode}`, 'tls.allow_plaintext=true'],
      /sslmode=verify-full with/,
    ]),
    ['the last of two modes', ['postgres.url=postgres://h/d?sslmode=verify-full&sslmode=disable'], /disable/],
    ['certificates in the address', ['postgres.url=postgres://h/d?sslrootcert=/x'], /parameter "sslrootcert"/],
    ['ssl in the address', ['postgres.url=postgres://h/d?ssl=0'], /parameter "ssl"/],
    ['other rules', ['postgres.url=postgres://h/d?uselibpqcompat=true&sslmode=verify-full'], /uselibpqcompat/],
    ['a host that is a parameter', ['postgres.url=postgres://localhost/d?host=h&sslmode=disable'], /disable/],
    ['a CA without TLS', ['postgres.url=postgres://localhost/d?sslmode=disable', 'postgres.ca_file=c'], /ca_file/],
    ['no address at all', ['redis.url=redis://[', 'postgres.url=postgres://['], /no address/],
  ])('%s', (_, set, message) => {
    const found = problems(...set);
    expect(found.join('\n')).toMatch(message);
    expect(found).toHaveLength(_ === 'no address at all' ? 2 : 1);
  });

  test('the variable of Node that skips every check', () => {
    expect(transportProblems(load(), { NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toHaveLength(1);
    expect(transportProblems(load(), { NODE_TLS_REJECT_UNAUTHORIZED: '1' })).toEqual([]);
  });

  test('no problem shows a password', () => {
    for (const set of [
      ['redis.url=redis://:hunter2@h'],
      ['redis.url=redis://:hunter2@[?password=hunter2'],
      ['postgres.url=postgres://u:hunter2@h/d?sslmode=disable'],
      ['postgres.url=postgres://u:hunter2@[/d'],
    ])
      expect(problems(...set).join()).toMatch(/^(?!.*hunter2)./);
  });
});

test.each<[string, string[]]>([
  ['the defaults', []],
  ['everything on this machine', ['redis.url=redis://127.0.0.1:1', 'postgres.url=postgres://u:p@localhost/d']],
  ['a socket', ['postgres.url=postgres://u@/d?host=/run/postgresql']],
  ['an encoded socket', ['postgres.url=postgres://u@%2Frun%2Fpostgresql/d']],
  ['an API with a certificate', ['primary_server.host=0.0.0.0', 'metrics.host=0.0.0.0', ...certificate]],
  ['TLS to a cluster', ['redis.cluster=rediss://h:1,rediss://h:2', 'redis.ca_file=c']],
  ['TLS to both', ['redis.url=rediss://h', 'postgres.url=postgres://h/d?sslmode=verify-full']],
  ['a network that is encrypted', ['primary_server.host=0.0.0.0', 'redis.url=redis://h', 'tls.allow_plaintext=true']],
  ['a process without an API', ['primary_server.host=0.0.0.0', 'orchestrator.roles=runtime']],
])('taken: %s', (_, set) => {
  expect(problems(...set)).toEqual([]);
});

test('PostgreSQL is spoken to with TLS unless it is on this machine or was allowed without', () => {
  const speaks = (...set: string[]): boolean => postgresSpeaksTls(load(...set));
  expect(speaks()).toBe(false);
  expect(speaks('postgres.url=postgres://h/d')).toBe(true);
  expect(speaks('postgres.url=postgres://h/d', 'tls.allow_plaintext=true')).toBe(false);
  expect(speaks('postgres.url=postgres://h/d?sslmode=verify-full', 'tls.allow_plaintext=true')).toBe(true);
  expect(speaks('postgres.url=postgres://localhost/d')).toBe(false);
  expect(speaks('postgres.url=postgres://localhost/d', 'postgres.ca_file=c')).toBe(true);
  expect(speaks('postgres.url=postgres://localhost/d?sslmode=verify-full')).toBe(true);
});

test('what is local', () => {
  for (const host of ['', 'localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '/run/x'])
    expect([host, isLocal(host)]).toEqual([host, true]);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil.test', 'localhost.evil.test', '128.0.0.1', '127.1'])
    expect([host, isLocal(host)]).toEqual([host, false]);
});

test('a certificate without its key is no setting', () => {
  for (const section of ['tls', 'redis', 'postgres'])
    for (const key of ['certificate_file', 'key_file']) expect(() => load(`${section}.${key}=x`)).toThrow(ConfigError);
});

describe('files', () => {
  const authority = new Authority(folder, 'ca');
  const { certificateFile, keyFile } = authority.issue('server');
  const transport = (certificate: string, key: string): Transport =>
    new Transport(load(`tls.certificate_file=${certificate}`, `tls.key_file=${key}`));

  test('that are right are taken', () => {
    expect(transport(certificateFile, keyFile).server).toMatchObject({ minVersion: 'TLSv1.2' });
    expect(new Transport(load()).server).toBeUndefined();
  });

  test('what is used says when it ends, a CA too, and the first of several', () => {
    const both = join(folder, 'chain.crt');
    writeFileSync(both, readFileSync(certificateFile, 'utf8') + readFileSync(authority.certificateFile, 'utf8'));
    const ends = new Transport(
      load(
        'redis.url=rediss://h',
        `redis.ca_file=${authority.certificateFile}`,
        `tls.certificate_file=${both}`,
        `tls.key_file=${keyFile}`,
      ),
    ).certificateEnds();
    const days = ends.map(({ part, kind, atMs }) => [part, kind, Math.round((atMs - Date.now()) / 86_400_000)]);
    expect(days).toEqual([
      ['server', 'certificate', 1],
      ['redis', 'ca', 2],
    ]);
    expect(new Transport(load()).certificateEnds()).toEqual([]);
  });

  test.each<[string, () => [string, string], RegExp]>([
    ['one that is not there', () => [join(folder, 'none'), keyFile], /none cannot be read/],
    ['a key of another certificate', () => [certificateFile, authority.issue('other').keyFile], /key values mismatch/],
    ['what is no certificate', () => [keyFile, keyFile], /server\.key, .*cannot be used for TLS/],
  ])('%s is refused with its name', (_, files, message) => {
    expect(() => transport(...files())).toThrow(message);
  });

  test('a key that is open to everybody is refused, with the way to mend it', () => {
    const open = join(folder, 'open.key');
    writeFileSync(open, 'x');
    chmodSync(open, 0o644);
    expect(() => transport(certificateFile, open)).toThrow(`chmod 600 ${open}`);
  });
});
