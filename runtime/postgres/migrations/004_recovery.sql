-- What the state in Redis can be rebuilt from: the journals as they were written, and which site this is.

-- One row: the site that this database belongs to. The incarnation stands in Redis too; it tells a lost store from a new one.
CREATE TABLE site (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  incarnation text NOT NULL,
  shards integer NOT NULL,
  born_at timestamptz NOT NULL DEFAULT now()
);

-- One row per journal entry, in the order of (epoch, sequence). Bytes, because text has no NUL.
CREATE TABLE journal (
  shard integer NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  position text NOT NULL,
  at timestamptz NOT NULL,
  entry bytea NOT NULL,
  PRIMARY KEY (shard, epoch, sequence)
);
CREATE INDEX journal_by_time ON journal (shard, at);
DO $$
BEGIN
  -- Much faster than the default; not every server was built with it.
  ALTER TABLE journal ALTER COLUMN entry SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END $$;
