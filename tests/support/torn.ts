/** A task of which a site that lost wrote another history than the one that goes on: paused there, cancelled here. */
import type { Address } from '../../runtime/protocol/ids.ts';
import { Branch, lossesOfBranch } from './branch.ts';
import { commandEntry } from './decisions.ts';
import type { Site } from './site.ts';

export const tornTask: Address = 'task/t-0-torn';
/** Of the secondary, and lower than the first one of a primary: it lost. */
const lostEpoch = 2;

/** Makes the task at the site, and hands the other history over to it; resolves when the pause was decided once more. */
export async function tear(site: Site): Promise<void> {
  const submit = { id: 'submit-torn', to: tornTask, input: { type: 'nobody' } };
  await site.send(submit);
  await site.until(tornTask, ({ revision }) => revision > 0);
  const past = new Branch(lostEpoch);
  past.run([commandEntry(submit)], Date.now());
  const old = new Branch(lostEpoch, past.links);
  old.run([commandEntry({ id: 'pause-torn', to: tornTask, event: { type: 'pause' } })], Date.now());
  await site.send({ id: 'cancel-torn', to: tornTask, event: { type: 'cancel', reason: 'an operator asked' } });
  await site.until(tornTask, ({ state }) => state === 'cancelled');
  const [lost] = lossesOfBranch(old, past.links.at(-1)!);
  const { commands } = site.space.shard(0);
  await site.redis.xadd(commands, '*', 'lost', JSON.stringify(lost), 'source', -2, 'number', 1);
  // A stream is decided in order.
  const behind: Address = 'task/t-0-behind';
  await site.send({ id: 'submit-behind', to: behind, input: { type: 'nobody' } });
  await site.until(behind, ({ revision }) => revision > 0);
}
