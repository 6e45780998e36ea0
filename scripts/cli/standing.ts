/** An actor and its past as the API answers them, as far as the command line looks at them. */

export interface Standing {
  state: string;
  revision: number;
  since: string;
  legal: { event: string; scope: string }[];
  timers: Record<string, string>;
  context: Record<string, unknown>;
}

export interface PastRecord {
  event: string;
  outcome: string;
  state: string;
  revision: number;
  at: string;
  by?: string;
  origin: string;
  reason?: string;
  payload?: Record<string, unknown>;
}

export interface Past {
  records: PastRecord[];
  divergence: { at: number; detail: string } | null;
}
