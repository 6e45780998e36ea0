/**
 * Certificates and keys of a process: read and checked before anything is started, and read again at a reload. Objects
 * keep their identity, so what connects or is accepted after a reload uses the new ones, and nothing under way is cut.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { postgresSpeaksTls, redisSpeaksTls } from '../config/transport.ts';
import type { Config } from '../config/schema.ts';
import { projectRoot } from './root.ts';

/** What a client checks and shows. */
export interface ClientTls extends SecureContextOptions {
  rejectUnauthorized: true;
}

/** What one connection is secured with; the files as they were read. */
type Context = Pick<SecureContextOptions, 'minVersion'> & Partial<Record<'ca' | 'cert' | 'key', string>>;
type ClientContext = Context & { rejectUnauthorized: true };

interface Material {
  server: Context | undefined;
  redis: ClientContext | undefined;
  postgres: ClientContext | undefined;
  peer: ClientContext | undefined;
  witness: ClientContext | undefined;
}

const parts = ['server', 'redis', 'postgres', 'peer', 'witness'] as const;

/** When a certificate that this process shows, or a CA that it trusts, ends. */
export interface CertificateEnd {
  part: (typeof parts)[number];
  kind: 'certificate' | 'ca';
  /** Milliseconds since 1970; of several in one file, the first to end. */
  atMs: number;
}

interface Files {
  ca_file?: string | undefined;
  certificate_file?: string | undefined;
  key_file?: string | undefined;
}

export class Transport {
  readonly #material: Material;

  /** @throws Error that names the file which is missing, open to everybody, or does not fit */
  constructor(config: Config) {
    this.#material = materialOf(config);
  }

  /** Undefined: the API and the metrics port speak plain HTTP. */
  get server(): SecureContextOptions | undefined {
    return this.#material.server;
  }

  get redis(): ClientTls | undefined {
    return this.#material.redis;
  }

  get postgres(): ClientTls | undefined {
    return this.#material.postgres;
  }

  /** For the Redis of the other site. */
  get peer(): ClientTls | undefined {
    return this.#material.peer;
  }

  get witness(): ClientTls | undefined {
    return this.#material.witness;
  }

  /** Of the material in use, which may be older than what the files hold. */
  certificateEnds(): CertificateEnd[] {
    return parts.flatMap((part) => {
      const { ca, cert } = this.#material[part] ?? {};
      return [
        ...(cert === undefined ? [] : [{ part, kind: 'certificate' as const, atMs: firstEndMs(cert) }]),
        ...(ca === undefined ? [] : [{ part, kind: 'ca' as const, atMs: firstEndMs(ca) }]),
      ];
    });
  }

  /**
   * Takes over what the files hold now. Whether TLS is spoken at all does not change before a restart.
   * @throws Error like the constructor; then everything stays as it was
   */
  reload(config: Config): void {
    const fresh = materialOf(config);
    for (const part of parts) {
      const [present, next] = [this.#material[part], fresh[part]];
      if (!present || !next) continue;
      for (const name of ['ca', 'cert', 'key'] as const) if (!(name in next)) delete present[name];
      Object.assign(present, next);
    }
  }
}

function materialOf(config: Config): Material {
  const minVersion = config.tls.minimum_version;
  const client = (files: Files): ClientContext => ({ ...contextOf(files), minVersion, rejectUnauthorized: true });
  return {
    server: config.tls.certificate_file === undefined ? undefined : { ...contextOf(config.tls), minVersion },
    redis: redisSpeaksTls(config) ? client(config.redis) : undefined,
    postgres: postgresSpeaksTls(config) ? client(config.postgres) : undefined,
    peer: config.peer.redis?.startsWith('rediss://') === true ? client(config.peer) : undefined,
    witness: config.witness.etcd?.[0]?.startsWith('https://') === true ? client(config.witness) : undefined,
  };
}

/** Relative files are relative to the installation. */
function contextOf({ ca_file, certificate_file, key_file }: Files): Context {
  const context = {
    ...(ca_file !== undefined && { ca: read(ca_file) }),
    ...(certificate_file !== undefined && { cert: read(certificate_file) }),
    ...(key_file !== undefined && { key: readKey(key_file) }),
  };
  try {
    createSecureContext(context);
  } catch (error) {
    const names = [ca_file, certificate_file, key_file].filter((name) => name !== undefined).join(', ');
    throw new Error(`${names}: cannot be used for TLS: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  return context;
}

function firstEndMs(pem: string): number {
  const each = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return Math.min(...each.map((one) => Date.parse(new X509Certificate(one).validTo)));
}

function pathOf(name: string): string {
  return isAbsolute(name) ? name : join(projectRoot, name);
}

function read(name: string): string {
  try {
    return readFileSync(pathOf(name), 'utf8');
  } catch (error) {
    throw new Error(`${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function readKey(name: string): string {
  const text = read(name);
  if ((statSync(pathOf(name)).mode & 0o007) !== 0)
    throw new Error(`${name} is a private key and open to everybody; run: chmod 600 ${name}`);
  return text;
}
