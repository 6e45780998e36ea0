-- History by months, so that what is old goes as a table and not row by row. What stands already becomes the first part as it
-- is: it holds everything up to the end of the present month, and its name says so. A row is looked for by its place among
-- those of all months, so places need no unique index: the projector looks before it writes.
DO $$
DECLARE
  next_month date := date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month';
  before text := 'transitions_until_' || to_char(next_month, 'YYYY_MM');
BEGIN
  EXECUTE format('ALTER TABLE transitions RENAME TO %I', before);
  EXECUTE format('ALTER TABLE %I DROP CONSTRAINT transitions_pkey', before);
  ALTER INDEX transitions_by_actor RENAME TO transitions_until_by_actor;
  ALTER INDEX transitions_recent RENAME TO transitions_until_recent;
  EXECUTE format('CREATE TABLE transitions (LIKE %I INCLUDING DEFAULTS) PARTITION BY RANGE (at)', before);
  CREATE INDEX transitions_by_actor ON transitions (actor, epoch, sequence, ordinal);
  CREATE INDEX transitions_by_place ON transitions (shard, epoch, sequence, ordinal);
  CREATE INDEX transitions_recent ON transitions USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
  EXECUTE format(
    'ALTER TABLE transitions ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
    before, to_char(next_month, 'YYYY-MM-DD') || 'T00:00:00Z'
  );
  -- For what no month was made for: a clock that is far ahead, or an orchestrator that did not run for months.
  CREATE TABLE transitions_default PARTITION OF transitions DEFAULT;
END $$;
