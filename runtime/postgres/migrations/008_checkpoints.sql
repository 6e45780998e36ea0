-- What a shard was at a place of its journal: entries up to there are not needed to bring it back. In parts, because it can be
-- large: part 0 says what stands beside the actors, each other part is an array of actors.
CREATE TABLE checkpoints (
  shard integer NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  part integer NOT NULL,
  at timestamptz NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (shard, epoch, sequence, part)
);
DO $$
BEGIN
  ALTER TABLE checkpoints ALTER COLUMN content SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
  NULL;
END $$;
