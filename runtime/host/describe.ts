/** An error as one text for a log line or a reason: its stack where it has one, cut to a sane length. */
export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message).slice(0, 2_000) : String(error);
}
