/** A schedule and its clock, step by step, without a runtime: what it asks for is collected. */
import { createRegistry } from '../../actors/application.ts';
import { scheduleId } from '../../actors/schedule/address.ts';
import type { ScheduleContext } from '../../actors/schedule/run.ts';
import { stateTextOf, viewOf, type Actor } from '../../runtime/core/actor.ts';
import type { Effect } from '../../runtime/core/effect.ts';
import { step, type Decision } from '../../runtime/core/step.ts';
import type { MachineEvent } from '../../runtime/protocol/envelope.ts';
import type { JsonObject } from '../../runtime/protocol/json.ts';

const definition = createRegistry().get('schedule')!;

export class ScheduleLife {
  readonly id: string;
  actor: Actor;
  readonly effects: Effect[] = [];
  #number = 0;

  /** @param at wall clock of the creation, ISO 8601 */
  constructor(body: object, at: string, name = 'nightly') {
    this.id = scheduleId(name, undefined, 4);
    const input = { name, task_shard: 1, task: { type: 'echo', parameters: {}, priority: 0 }, ...body } as JsonObject;
    const envelope = { id: 'c0', to: `schedule/${this.id}`, origin: 'command', input } as const;
    const born = step(definition, undefined, envelope, Date.parse(at));
    if (born.outcome !== 'applied') throw new Error(JSON.stringify(born));
    this.actor = born.actor;
    this.tell({ type: 'admitted' }, at);
  }

  get context(): ScheduleContext {
    return viewOf(this.actor).context as unknown as ScheduleContext;
  }

  get state(): string {
    return stateTextOf(this.actor);
  }

  /** When its clock rings, in milliseconds; undefined when it has none. */
  get due(): number | undefined {
    const [timer] = Object.entries(this.actor.timers).filter(([name]) => name.includes('.due.'));
    return timer && (typeof timer[1] === 'number' ? timer[1] : timer[1][0]);
  }

  /** Tasks that it asked for so far, in order. */
  get tasks(): string[] {
    return this.effects.flatMap((effect) => (effect.kind === 'spawn' ? [effect.to.replace('task/', '')] : []));
  }

  /** Nominal times of the tasks. */
  get times(): string[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'spawn' ? [new Date((effect.input['schedule'] as { at: number }).at).toISOString()] : [],
    );
  }

  decide(event: object, at: number, origin: 'actor' | 'command' | 'timer' = 'actor'): Decision {
    const typed = event as MachineEvent;
    const id = origin === 'timer' ? typed.type : `e${++this.#number}`;
    const decision = step(definition, this.actor, { id, to: this.actor.address, origin, event: typed }, at);
    if (decision.outcome === 'applied') {
      this.actor = decision.actor;
      this.effects.push(...decision.effects);
    }
    return decision;
  }

  tell(event: object, at: string | number, origin: 'actor' | 'command' = 'actor'): void {
    const decision = this.decide(event, typeof at === 'number' ? at : Date.parse(at), origin);
    if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
  }

  /** Its clock rings; later than it should, when a time is given. */
  ring(at?: string | number): void {
    const [timer] = Object.keys(this.actor.timers).filter((name) => name.includes('.due.'));
    const now = at === undefined ? this.due! : typeof at === 'number' ? at : Date.parse(at);
    const decision = this.decide({ type: timer! }, now, 'timer');
    if (decision.outcome !== 'applied') throw new Error(JSON.stringify(decision));
  }

  end(task: string, at: string | number, status = 'succeeded'): void {
    this.tell({ type: 'parent', task, status }, at);
  }
}
