/** A shard's world in memory, and batches decided on it: for tests of pure decisions. */
import { application, createRegistry } from '../../actors/application.ts';
import type { Definition } from '../../runtime/core/definition.ts';
import { decide, type Decided, type World } from '../../runtime/core/batch.ts';
import type { Entry } from '../../runtime/core/decision.ts';
import { Alarms } from '../../runtime/core/alarms.ts';
import { intake } from '../../runtime/core/intake.ts';
import { origin } from '../../runtime/protocol/chain.ts';
import type { Command } from '../../runtime/protocol/envelope.ts';
import type { JournalEntry, JournalRecord } from '../../runtime/protocol/journal.ts';
import type { Address } from '../../runtime/protocol/ids.ts';
import { silentTelemetry } from './site.ts';

export interface Bench {
  world: World;
  /** Decides the entries as one batch at `now`, with timers `<address> <timer>` that are due. Unknown actors are absent. */
  run(entries: readonly Entry[], now?: number, timers?: readonly string[]): Decided;
  /** The next timer of each actor, as `<address> <timer>`. */
  alarms(): string[];
  records(decided: Decided): readonly JournalRecord[];
}

/** Definitions never change, and checking them takes longer than most tests. */
export const builtIn = createRegistry();

export function createBench(definitions: readonly Definition[] = [], shard = 0): Bench {
  let minted = 0;
  let sequence = 0;
  const world: World = {
    shard,
    registry: definitions.length === 0 ? builtIn : createRegistry(definitions),
    application,
    dispatcher: application.dispatcher(shard),
    actors: new Map(),
    unreadable: new Map(),
    relayed: new Map(),
    sent: new Map(),
    census: new Map(),
    alarms: new Alarms(),
    siteEpoch: 11,
    head: origin('i1'),
    begins: [],
    paired: false,
    mint: () => `token-${++minted}`,
    telemetry: silentTelemetry,
  };
  return {
    world,
    run: (entries, now = 1_000, timers = []) => {
      const intakes = entries.map((entry) => intake(entry, application));
      for (const { envelopes } of intakes)
        for (const { to } of envelopes) if (!world.actors.has(to)) world.actors.set(to, null);
      const due = timers.map((key) => {
        const space = key.indexOf(' ');
        return { actor: key.slice(0, space) as Address, timer: key.slice(space + 1), dueMs: now };
      });
      return decide(world, intakes, due, now, 1, ++sequence);
    },
    alarms: () => world.alarms.due(Infinity, Infinity).map(({ actor, timer }) => `${actor} ${timer}`),
    records: (decided) =>
      decided.commit.journal === undefined ? [] : (JSON.parse(decided.commit.journal) as JournalEntry).records,
  };
}

let entryNumber = 0;

export function commandEntry(command: Omit<Command, 'id'> & { id?: string }): Entry {
  const id = `${++entryNumber}-0`;
  return { source: 'commands', id, fields: ['command', JSON.stringify({ id: `c${id}`, ...command })] };
}

export function reportEntry(agent: string, fields: Record<string, string>): Entry {
  return { source: { outbox: agent }, id: `${++entryNumber}-0`, fields: Object.entries({ agent, ...fields }).flat() };
}

/** An agent that is admitted and waits for work. */
export function admitted(bench: Bench, agent: string, type: string, slots = 1, now = 1_000): void {
  const to: Address = `agent/${agent}`;
  bench.run([commandEntry({ id: `register-${agent}`, to, input: { type, slots, max_agents: 100 } })], now);
  const derived: Entry = {
    source: 'commands',
    id: `${++entryNumber}-0`,
    fields: ['derived', JSON.stringify([{ id: 'x', to, origin: 'actor', event: { type: 'admitted' } }])],
  };
  bench.run([derived], now);
}
