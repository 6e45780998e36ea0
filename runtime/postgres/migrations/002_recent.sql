-- What happened lately, for charts. Rows are appended in the order of time, so an index over ranges of blocks costs nearly
-- nothing to keep and finds the last minutes.
CREATE INDEX transitions_recent ON transitions USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX tasks_finished_recent ON tasks USING brin (finished_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX actors_by_definition ON actors (definition, address);
