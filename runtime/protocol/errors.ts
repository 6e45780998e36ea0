/** Operating errors that cross layers. They are expected, typed and handled; everything else that is thrown is a bug. */

/** A store or a server did not answer, or answered that it cannot now. The same call may succeed later. */
export class Unavailable extends Error {
  readonly service: 'redis' | 'postgres' | 'jwks' | 'peer' | 'witness';
  constructor(service: 'redis' | 'postgres' | 'jwks' | 'peer' | 'witness', detail: string, options?: ErrorOptions) {
    super(`${service}: ${detail}`, options);
    this.name = 'Unavailable';
    this.service = service;
  }
}

/** Ingress is closed until readers or memory catch up; nothing was stored. */
export class IngressStopped extends Error {
  readonly retryAfterMs: number;
  constructor(detail: string, retryAfterMs: number) {
    super(detail);
    this.name = 'IngressStopped';
    this.retryAfterMs = retryAfterMs;
  }
}
