/** A page of a list, as the read model gives it. */
import type { Page } from '../runtime/readmodel.ts';
import { Problem } from './problem.ts';

/** @throws Problem for a cursor that is not the list's */
export function pageOf<Row>(page: Page<Row>): Exclude<Page<Row>, 'bad-cursor'> {
  if (page !== 'bad-cursor') return page;
  throw new Problem('invalid-cursor', 'the cursor is not one that this list gave', { where: 'cursor' });
}
