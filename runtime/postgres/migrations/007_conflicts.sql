-- What became of branches that lost, one row an actor: the report of the journal entry that took it up.
CREATE TABLE conflicts (
  id text PRIMARY KEY,
  shard integer NOT NULL,
  actor text NOT NULL,
  machine text NOT NULL,
  found_at timestamptz NOT NULL,
  -- JSON as text: whatever agents and clients wrote stands in it as it was.
  report text NOT NULL
);
CREATE INDEX conflicts_newest ON conflicts (found_at DESC, id DESC);
CREATE INDEX conflicts_by_actor ON conflicts (actor, found_at DESC);
