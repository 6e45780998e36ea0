/** Which scope an event needs when it is sent to an actor directly: that of the route which does the same. */
import type { Scope } from '../token.ts';

const known: Readonly<Record<string, Readonly<Record<string, Scope>>>> = {
  task: { cancel: 'tasks:cancel', pause: 'tasks:cancel', resume: 'tasks:cancel', redrive: 'tasks:redrive' },
  bulk: { pause: 'tasks:cancel', resume: 'tasks:cancel', stop: 'tasks:cancel' },
  schedule: {
    ...{ pause: 'schedules:control', resume: 'schedules:control', trigger: 'schedules:control' },
    ...{ update: 'schedules:control', remove: 'schedules:control' },
  },
  agent: { pause: 'agents:control', resume: 'agents:control', drain: 'agents:control', retire: 'agents:control' },
};

export function scopeOf(definition: string, event: string): Scope {
  const events = Object.hasOwn(known, definition) ? known[definition]! : {};
  return Object.hasOwn(events, event) ? events[event]! : 'admin';
}
