-- Schedules, for lists; removed ones stay, under the name that another may have by then.
CREATE TABLE schedules (
  id text PRIMARY KEY,
  shard integer NOT NULL,
  name text NOT NULL,
  tenant text,
  type text NOT NULL,
  status text NOT NULL,
  cron text,
  interval_ms bigint,
  timezone text NOT NULL,
  overlap text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  revision bigint NOT NULL
);
CREATE INDEX schedules_by_tenant ON schedules (tenant, id) WHERE tenant IS NOT NULL;
