/** The results as text: a table for each row, and the page that is kept. */
import { spreadOf, type Figures } from './measurement.ts';
import type { Row } from './rows.ts';

export interface Series {
  system: string;
  setUp: string;
  runs: Figures[];
  /** Why there is no number. */
  failures: string[];
}

export interface RowReport {
  row: Row;
  series: Series[];
}

export interface Report {
  at: string;
  commit: string;
  machine: string;
  appendfsync: string;
  versions: Record<string, string>;
  rows: RowReport[];
}

/** `12,345` or `12.3`, the same in every locale. */
function number(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** One line per system: medians, then the spread of the first column. */
export function tableOf({ row, series }: RowReport): string {
  const [first] = row.columns;
  const head = [row.name, ...row.columns.map((column) => column.title), `min..max ${first?.title ?? ''}`];
  const rows = series.map(({ system, runs, failures }) => {
    if (runs.length === 0 || !first) return [system, failures[0]?.slice(0, 60) ?? 'not run'];
    const cells = row.columns.map(({ figure, digits }) => {
      const spread = spreadOf(runs, figure);
      return spread ? number(spread.median, digits) : '-';
    });
    const spread = spreadOf(runs, first.figure);
    const bounds = spread ? `${number(spread.min, first.digits)}..${number(spread.max, first.digits)}` : '-';
    return [system, ...cells, bounds];
  });
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.filter((cells) => cells.length > 2).map((cells) => cells[column]?.length ?? 0)),
  );
  widths[0] = Math.max(widths[0]!, ...rows.map(([system = '']) => system.length));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cells.length > 2 ? cell.padStart(widths[column]!) : cell,
      )
      .join('  ');
  return [head, ...rows].map(line).join('\n');
}

/** The base system over each other one: rate above 1 is faster, CPU below 1 is cheaper. */
export function ratioLines({ row, series }: RowReport): string[] {
  const base = series.find(({ system }) => system === row.base);
  if (!base) return [];
  const shown = row.columns.filter(({ figure }) =>
    ['tasksPerSecond', 'requestsPerSecond', 'totalUs', 'redisUs', 'p50Ms', 'p99Ms'].includes(figure),
  );
  return series.flatMap((other) => {
    if (other === base || other.runs.length === 0) return [];
    const ratios = shown.flatMap(({ figure, title }) => {
      const [own, theirs] = [spreadOf(base.runs, figure)?.median, spreadOf(other.runs, figure)?.median];
      return own !== undefined && theirs ? [`${(own / theirs).toFixed(2)} x its ${title}`] : [];
    });
    return [`${base.system} against ${other.system}: ${ratios.join(', ')}`];
  });
}

export function pageOf(report: Report): string {
  const { at, commit, machine, versions, rows, appendfsync } = report;
  const runs = Math.max(0, ...rows.flatMap(({ series }) => series.map((one) => one.runs.length)));
  return `# Results of \`npm run bench\`

Written by the run; read tests/bench/README.md for what is measured and what is not.

- ${at}, commit ${commit}
- ${machine}
- ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}; appendfsync ${appendfsync}
- medians of ${runs} interleaved runs; \`us\` are microseconds of CPU (user and system) per task

${rows.map(sectionOf).join('\n')}`;
}

function sectionOf(report: RowReport): string {
  const { row, series } = report;
  const ratios = ratioLines(report);
  return `## ${row.name}

${row.question}.

\`\`\`
${tableOf(report)}${ratios.length > 0 ? `\n\n${ratios.join('\n')}` : ''}
\`\`\`

${series.map(({ system, setUp, failures }) => `- **${system}**: ${setUp}${failures.length > 0 ? `; ${failures.length} runs failed: ${failures[0]}` : ''}`).join('\n')}
`;
}
