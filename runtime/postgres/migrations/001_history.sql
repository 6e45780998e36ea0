-- History, lists and the projector's place in each journal. Written for PostgreSQL 14.

CREATE TABLE watermarks (
  shard integer PRIMARY KEY,
  position text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tasks (
  id text PRIMARY KEY,
  shard integer NOT NULL,
  type text NOT NULL,
  tenant text,
  status text NOT NULL,
  priority integer NOT NULL,
  parameters jsonb NOT NULL,
  result jsonb,
  error jsonb,
  reason text,
  agent text,
  attempt integer NOT NULL DEFAULT 0,
  progress double precision,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  updated_at timestamptz NOT NULL,
  revision bigint NOT NULL
);
CREATE INDEX tasks_newest ON tasks (created_at DESC, id DESC);
CREATE INDEX tasks_by_status ON tasks (status, created_at DESC, id DESC);
CREATE INDEX tasks_by_type ON tasks (type, created_at DESC, id DESC);
CREATE INDEX tasks_by_tenant ON tasks (tenant, created_at DESC, id DESC) WHERE tenant IS NOT NULL;
CREATE INDEX tasks_by_agent ON tasks (agent, created_at DESC, id DESC) WHERE agent IS NOT NULL;

CREATE TABLE agents (
  id text PRIMARY KEY,
  shard integer NOT NULL,
  type text NOT NULL,
  status text NOT NULL,
  capabilities jsonb NOT NULL,
  labels jsonb NOT NULL,
  slots integer NOT NULL,
  version text,
  generation integer NOT NULL,
  reason text,
  registered_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  revision bigint NOT NULL
);

-- Actors of every other definition.
CREATE TABLE actors (
  address text PRIMARY KEY,
  shard integer NOT NULL,
  definition text NOT NULL,
  state text NOT NULL,
  updated_at timestamptz NOT NULL,
  revision bigint NOT NULL
);

-- One row per journal record: what happened, in order.
CREATE TABLE transitions (
  shard integer NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  ordinal integer NOT NULL,
  actor text NOT NULL,
  revision bigint NOT NULL,
  outcome text NOT NULL,
  origin text NOT NULL,
  event text NOT NULL,
  payload jsonb,
  state text NOT NULL,
  reason text,
  caused_by text,
  envelope text NOT NULL,
  traceparent text,
  at timestamptz NOT NULL,
  PRIMARY KEY (shard, epoch, sequence, ordinal)
);
CREATE INDEX transitions_by_actor ON transitions (actor, epoch, sequence, ordinal);

-- Records that PostgreSQL cannot hold, with the reason; nothing is lost, and the journal goes on.
CREATE TABLE quarantine (
  shard integer NOT NULL,
  position text NOT NULL,
  ordinal integer NOT NULL,
  reason text NOT NULL,
  record bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (shard, position, ordinal)
);
