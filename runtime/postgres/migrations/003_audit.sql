-- What operators asked for: who, what, on what, and what came of it. Rows are written by the id of the request, so that a
-- repeat writes nothing twice; `status` is null while a request was never seen to end.
CREATE TABLE audit (
  id text PRIMARY KEY,
  at timestamptz NOT NULL,
  subject text NOT NULL,
  token text,
  tenant text,
  address text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  detail text,
  status integer,
  code text,
  trace text
);
CREATE INDEX audit_by_subject ON audit (subject, id);
CREATE INDEX audit_by_target ON audit (target, id);
