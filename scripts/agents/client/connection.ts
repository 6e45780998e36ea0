import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

/** PEM files that the agent shows to a Redis of TLS (`rediss:`), for one that wants more than a password (`tls-auth-clients yes`). */
export interface ClientCertificate {
  certificateFile: string;
  keyFile: string;
}

export interface ConnectionOptions {
  url: string;
  name: string;
  certificate?: ClientCertificate | undefined;
  onError: (error: Error) => void;
}

/**
 * A connection that never mends itself: when it breaks, its commands fail and the owner opens a new one. A client that
 * reconnects would send commands again whose reply was lost, or (with resending off) leave them pending for ever.
 * It needs no right beyond those of an agent: no INFO, no CLIENT SETINFO. The certificate is read anew each time, so a renewed
 * one is taken without a restart.
 *
 * @throws Error when a file of the certificate cannot be read
 */
export function openConnection({ url, name, certificate, onError }: ConnectionOptions): Redis {
  const connection = new Redis(url, {
    lazyConnect: true,
    // RESP3 gives the reply of XREADGROUP as a map, whose shape depends on the version of the library.
    protocol: 2,
    retryStrategy: () => null,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    disableClientInfo: true,
    connectTimeout: 3_000,
    connectionName: name,
    ...(certificate &&
      url.startsWith('rediss:') && {
        tls: { cert: readFileSync(certificate.certificateFile), key: readFileSync(certificate.keyFile) },
      }),
  });
  connection.on('error', onError);
  return connection;
}

/** @throws Error when the call has not answered within `deadlineMs`: a half-open link never fails by itself */
export async function within<Value>(deadlineMs: number, call: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Redis did not answer within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves after `ms`, or at once when the signal fires. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener('abort', finish);
  });
}
