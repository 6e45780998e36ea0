export type EmbeddedFailure = 'not-found' | 'port-taken' | 'data-in-use' | 'exited' | 'deadline' | 'unsupported';

/** A server of ours could not be had. The message is meant for the user: what, where, and how to mend it. */
export class EmbeddedServerError extends Error {
  readonly failure: EmbeddedFailure;

  constructor(failure: EmbeddedFailure, message: string) {
    super(message);
    this.name = 'EmbeddedServerError';
    this.failure = failure;
  }
}
