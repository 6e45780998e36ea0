/** What the doctor says of one thing. */
export interface Diagnosis {
  what: string;
  /** `warning`: it works, and something that is promised does not hold. */
  outcome: 'ok' | 'warning' | 'failed';
  detail: string;
  remedy?: string;
}

export const ok = (what: string, detail: string): Diagnosis => ({ what, outcome: 'ok', detail });
export const warning = (what: string, detail: string, remedy: string): Diagnosis => ({
  ...{ what, outcome: 'warning', detail, remedy },
});
export const failed = (what: string, detail: string, remedy: string): Diagnosis => ({
  ...{ what, outcome: 'failed', detail, remedy },
});

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
