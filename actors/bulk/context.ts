/** What a bulk action keeps of itself: shared by its machine and by whoever shows it. */
import type { JsonObject } from '../../runtime/protocol/json.ts';

export interface BulkContext {
  action: 'cancel' | 'redrive';
  filter: JsonObject;
  ratePerSecond: number;
  reason?: string | undefined;
  parameters?: unknown;
  subject: string;
  tenant?: string | undefined;
  createdAt: number;
  /** Tasks that matched when it was asked for. */
  matched: number;
  /** Tasks that it told so far, and what they answered: refusals by reason. */
  applied: number;
  refused: Readonly<Record<string, number>>;
  /** Where the next page begins; undefined for the first one. */
  cursor?: string | undefined;
  /** The page that was begun, until it is reported. */
  page?: { readonly ids: readonly string[]; readonly next?: string | undefined } | undefined;
  /** Who works at the page. */
  worker?: string | undefined;
  /** Why the last try of a page did not work out. */
  note?: string | undefined;
  finishedAt?: number | undefined;
}
