/** What this shard may spend of each limit, and where it has to ask for more: a fold of its allotments (R11). */
import type { Envelope, StateValue } from '../../runtime/protocol/envelope.ts';
import type { ActorView } from '../../runtime/protocol/snapshot.ts';
import type { Allotment } from '../limit/allotment.ts';
import { allotmentAddress, nameOfId } from '../limit/address.ts';

interface Known extends Allotment {
  readonly state: StateValue;
}

export class Purse {
  readonly #shard: number;
  readonly #allotments = new Map<string, Known>();

  constructor(shard: number) {
    this.#shard = shard;
  }

  observe(id: string, actor: ActorView | undefined): void {
    const name = nameOfId(id);
    if (!actor) this.#allotments.delete(name);
    else this.#allotments.set(name, { ...(actor.context as unknown as Allotment), state: actor.state });
  }

  get(name: string): Known | undefined {
    return this.#allotments.get(name);
  }

  /** Units of a limit that may be spent at this time. */
  spendable(name: string, now: number): number {
    const allotment = this.#allotments.get(name);
    return allotment && now < allotment.untilMs ? Math.max(0, allotment.free) : 0;
  }

  spend(name: string, units: number): Envelope {
    return this.#tell(name, { type: 'spend', units });
  }

  /** Asks for what is lacking; nothing where the answer is known or on its way. */
  want(name: string, lacking: { least: number; units: number }): Envelope | undefined {
    const allotment = this.#allotments.get(name);
    const may =
      !allotment ||
      allotment.state === 'idle' ||
      (allotment.state === 'denied' && lacking.least <= (allotment.left ?? 0));
    return may ? this.#tell(name, { type: 'want', ...lacking }) : undefined;
  }

  #tell(name: string, event: NonNullable<Envelope['event']>): Envelope {
    return { id: '', to: allotmentAddress(this.#shard, name), origin: 'dispatch', event };
  }
}
