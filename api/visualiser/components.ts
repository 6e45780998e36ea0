/** Schemas of the OpenAPI document for definitions and actors. */
type Schema = Record<string, unknown>;

const string: Schema = { type: 'string' };
const count: Schema = { type: 'integer', minimum: 0 };
const time: Schema = { type: 'string', format: 'date-time' };
const strings: Schema = { type: 'array', items: string };
const cursor: Schema = { type: ['string', 'null'], description: 'Cursor.' };

const object = (properties: Record<string, Schema>, optional: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});
const listOf = (properties: Record<string, Schema>, optional: readonly string[] = []): Schema => ({
  type: 'array',
  items: object(properties, optional),
});

const standing = {
  revision: count,
  state: string,
  lit: { ...strings, description: 'Ids of the states that it is in, outer ones included.' },
  since: time,
  legal: { type: 'array' },
  timers: { type: 'object', additionalProperties: time },
  context: { type: 'object', description: 'Tokens are replaced by digests.' },
};

export const actorComponents: Record<string, Schema> = {
  MachineList: object({
    items: listOf({
      definition: string,
      version: string,
      states: count,
      transitions: count,
      commands: strings,
      reports: strings,
      actors: count,
    }),
  }),
  Chart: object({
    definition: string,
    version: string,
    states: listOf(
      {
        id: string,
        key: string,
        type: { enum: ['atomic', 'compound', 'parallel', 'final', 'history'] },
        parent: string,
        initial: string,
      },
      ['parent', 'initial'],
    ),
    edges: listOf(
      {
        id: string,
        from: string,
        to: string,
        event: string,
        kind: { enum: ['event', 'after', 'always', 'done'] },
        guard: string,
      },
      ['to', 'guard'],
    ),
    commands: strings,
    reports: strings,
  }),
  MachineActivity: object({
    definition: string,
    silent_shards: { type: 'array', items: count },
    states: { type: 'object', additionalProperties: count },
    window_seconds: count,
    transitions: listOf({ event: string, from: strings, to: strings, count }, ['from']),
  }),
  ActorList: object({ items: listOf({ id: string, state: string, updated_at: time, revision: count }), next: cursor }),
  Actor: object({ definition: string, id: string, version: string, ...standing }),
  Replay: object(
    {
      definition: string,
      version: string,
      records: { type: 'array', items: { type: 'object' } },
      lit: { type: 'object', additionalProperties: strings },
      truncated: { type: 'boolean' },
      divergence: { type: ['object', 'null'], description: 'Where the machine decides otherwise than it did.' },
      at: count,
      record: { type: 'object' },
      standing: { type: ['object', 'null'] },
    },
    ['definition', 'version', 'records', 'lit', 'truncated', 'at', 'record', 'standing'],
  ),
  Activity: object({
    minutes: listOf({
      at: time,
      submitted: count,
      finished: count,
      latency_p50_ms: { type: ['number', 'null'] },
      latency_p95_ms: { type: ['number', 'null'] },
      open: count,
    }),
    finished_last_minute: {
      type: 'object',
      additionalProperties: count,
      description: 'Tasks that came to an end in the last 60 seconds, by type.',
    },
  }),
  StreamList: object({
    items: listOf({
      shard: count,
      stream: string,
      length: count,
      groups: listOf({ group: string, lag: count, pending: count }),
    }),
  }),
};
