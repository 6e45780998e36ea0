/** Patches of one table, collapsed per row, as two statements: rows that begin, and rows that change. */
import { WhenStatus, type Column, type Projection } from '../protocol/projection.ts';

export interface RowPatch {
  id: string;
  shard: number;
  revision: number;
  at: number;
  /** The row begins here. */
  begins: boolean;
  values: Record<string, unknown>;
}

/** Two patches of one row are one: a statement must not touch a row twice. */
export function collapse(rows: Map<string, RowPatch>, next: RowPatch, projection: Projection): void {
  const known = rows.get(next.id);
  if (!known || next.begins) {
    rows.set(next.id, next);
    return;
  }
  const { status } = known.values;
  for (const [column, value] of Object.entries(next.values)) {
    if (value instanceof WhenStatus && status !== value.status) continue;
    const present = value instanceof WhenStatus ? value.value : value;
    known.values[column] =
      projection.columns[column] === 'counter' ? Number(known.values[column] ?? 0) + Number(present) : present;
  }
  known.revision = next.revision;
  known.at = next.at;
}

export interface Statement {
  text: string;
  values: unknown[];
}

/** Types of the array parameters: JSON and times travel as text and numbers and are cast by the server. */
const arrayTypes: Record<Column, string> = {
  text: 'text[]',
  integer: 'int[]',
  bigint: 'bigint[]',
  'double precision': 'float8[]',
  jsonb: 'text[]',
  timestamptz: 'float8[]',
  counter: 'int[]',
};

function cast(column: Column, expression: string): string {
  if (column === 'jsonb') return `${expression}::jsonb`;
  if (column === 'timestamptz') return `to_timestamp(${expression} / 1000.0)`;
  return expression;
}

function parameter(column: Column, given: unknown): unknown {
  const value = given instanceof WhenStatus ? given.value : given;
  if (value === undefined || value === null) return null;
  return column === 'jsonb' ? JSON.stringify(value) : value;
}

export function insertStatement(projection: Projection, rows: readonly RowPatch[]): Statement {
  const columns = Object.entries(projection.columns);
  const arrays: unknown[] = [
    rows.map((row) => row.id),
    rows.map((row) => row.shard),
    rows.map((row) => row.at),
    rows.map((row) => row.revision),
    ...columns.map(([name, type]) => rows.map((row) => parameter(type, row.values[name]))),
  ];
  const names = columns.map(([name]) => name);
  const parameters = columns.map(([, type], index) => `$${index + 5}::${arrayTypes[type]}`);
  const text = `INSERT INTO ${projection.table} (id, shard, updated_at, revision, ${names.join(', ')})
    SELECT v.id, v.shard, to_timestamp(v.at / 1000.0), v.revision, ${columns.map(([name, type]) => cast(type, `v.${name}`)).join(', ')}
    FROM unnest($1::text[], $2::int[], $3::float8[], $4::bigint[], ${parameters.join(', ')})
      AS v (id, shard, at, revision, ${names.join(', ')})
    ON CONFLICT (id) DO UPDATE SET updated_at = EXCLUDED.updated_at, revision = EXCLUDED.revision,
      ${names.map((name) => `${name} = EXCLUDED.${name}`).join(', ')}`;
  return { text, values: arrays };
}

/** Only the columns that some row sets; per row a flag says whether it is one of them. */
export function updateStatement(projection: Projection, rows: readonly RowPatch[]): Statement {
  const columns = Object.entries(projection.columns).filter(([name]) => rows.some((row) => name in row.values));
  const arrays: unknown[] = [rows.map((row) => row.id), rows.map((row) => row.at), rows.map((row) => row.revision)];
  const names: string[] = [];
  const parameters: string[] = [];
  const sets: string[] = [];
  for (const [name, type] of columns) {
    arrays.push(rows.map((row) => parameter(type, row.values[name])));
    parameters.push(`$${arrays.length}::${arrayTypes[type]}`);
    arrays.push(rows.map((row) => name in row.values));
    parameters.push(`$${arrays.length}::bool[]`);
    names.push(name, `has_${name}`);
    let holds = `v.has_${name}`;
    const statuses = rows.map(({ values }) => (values[name] instanceof WhenStatus ? values[name].status : null));
    if (statuses.some((status) => status !== null)) {
      arrays.push(statuses);
      parameters.push(`$${arrays.length}::text[]`);
      names.push(`when_${name}`);
      holds += ` AND (v.when_${name} IS NULL OR v.when_${name} = t.status)`;
    }
    const value = type === 'counter' ? `t.${name} + v.${name}` : cast(type, `v.${name}`);
    sets.push(`${name} = CASE WHEN ${holds} THEN ${value} ELSE t.${name} END`);
  }
  const text = `UPDATE ${projection.table} AS t SET updated_at = to_timestamp(v.at / 1000.0), revision = v.revision${sets.map((set) => `, ${set}`).join('')}
    FROM unnest($1::text[], $2::float8[], $3::bigint[]${parameters.map((text) => `, ${text}`).join('')})
      AS v (id, at, revision${names.map((name) => `, ${name}`).join('')})
    WHERE t.id = v.id`;
  return { text, values: arrays };
}
