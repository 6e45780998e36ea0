/** Which view an address shows. */
import { ActorView } from './views/actor.mjs';
import { ActorsView } from './views/actors.mjs';
import { AgentsView } from './views/agents.mjs';
import { ConflictView } from './views/conflict.mjs';
import { MachineView, MachinesView } from './views/machines.mjs';
import { OverviewView } from './views/overview.mjs';
import { QueuesView } from './views/queues.mjs';
import { SchedulesView } from './views/schedules.mjs';
import { SetAsideView } from './views/setaside.mjs';
import { SitesView } from './views/sites.mjs';
import { StreamsView } from './views/streams.mjs';
import { TasksView } from './views/tasks.mjs';

export const base = '/visualiser';

const routes = [
  { path: '', View: OverviewView, name: 'Overview', key: 'o' },
  { path: 'tasks', View: TasksView, name: 'Tasks', key: 't' },
  { path: 'agents', View: AgentsView, name: 'Agents', key: 'a' },
  { path: 'queues', View: QueuesView, name: 'Queues', key: 'q' },
  { path: 'schedules', View: SchedulesView, name: 'Schedules', key: 'c' },
  { path: 'machines', View: MachinesView, name: 'Machines', key: 'm' },
  { path: 'machines/:definition', View: MachineView },
  { path: 'set-aside', View: SetAsideView, name: 'Set aside', key: 's' },
  { path: 'streams', View: StreamsView, name: 'Streams', key: 'r' },
  { path: 'sites', View: SitesView, name: 'Sites', key: 'i' },
  { path: 'conflicts/:id', View: ConflictView },
  { path: 'actors/:definition', View: ActorsView },
  { path: 'actors/:definition/:id', View: ActorView },
];

/** The views that the navigation names, with the key that follows `g`. */
export const places = routes.filter(({ name }) => name);

export function href(path, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `${base}${path ? `/${path}` : ''}${text ? `?${text}` : ''}`;
}

/** @returns the view, its parameters and the place in the navigation that it belongs to; undefined for no page */
export function routeOf(pathname) {
  const path = pathname.slice(base.length).replace(/^\/|\/$/g, '');
  for (const { path: pattern, View } of routes) {
    const params = match(pattern, path);
    if (params) return { View, params, place: placeOf(pattern, params) };
  }
  return undefined;
}

function placeOf(pattern, { definition }) {
  const [first] = pattern.split('/');
  if (first === 'conflicts') return 'sites';
  if (first !== 'actors') return first;
  return { task: 'tasks', agent: 'agents', schedule: 'schedules' }[definition] ?? 'machines';
}

/** `actors/:definition/:id` against a path; undefined when it is another. */
function match(pattern, path) {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return undefined;
  const params = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(':')) params[part.slice(1)] = decodeURIComponent(given[index]);
    else if (part !== given[index]) return undefined;
  }
  return params;
}
