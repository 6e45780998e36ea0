/** The results as text: a table that fits a terminal, and the page that is kept. */
import { figuresOf, spreadOf, type FigureName, type Measurement } from './measurement.ts';

export interface Series {
  system: string;
  setUp: string;
  appendfsync: 'everysec' | 'always';
  runs: Measurement[];
}

export interface Report {
  at: string;
  commit: string;
  machine: string;
  versions: Record<string, string>;
  tasks: number;
  series: Series[];
}

const columns: readonly { title: string; figure: FigureName; digits: number }[] = [
  { title: 'tasks/s', figure: 'tasksPerSecond', digits: 0 },
  { title: 'client us', figure: 'clientUsPerTask', digits: 1 },
  { title: 'Redis us', figure: 'redisUsPerTask', digits: 1 },
  { title: 'total us', figure: 'totalUsPerTask', digits: 1 },
];

/** `12,345` or `12.3`, the same in every locale. */
function number(value: number, digits: number): string {
  const [whole = '', fraction] = value.toFixed(digits).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** At most 80 columns; for each fsync policy one row per system: medians, then the spread of the throughput. */
export function tableOf(series: readonly Series[]): string {
  const head = ['', ...columns.map((column) => column.title), 'min..max tasks/s'];
  const rows = series.map(({ system, runs }) => {
    const { min, max } = spreadOf(runs, 'tasksPerSecond');
    const medians = columns.map(({ figure, digits }) => number(spreadOf(runs, figure).median, digits));
    return [system, ...medians, `${number(min, 0)}..${number(max, 0)}`];
  });
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ');
  const policies = [...new Set(series.map((one) => one.appendfsync))];
  return policies
    .map((policy) => {
      const own = rows.filter((_, index) => series[index]!.appendfsync === policy);
      return [line([`fsync ${policy}`, ...head.slice(1)]), ...own.map(line)].join('\n');
    })
    .join('\n\n');
}

export interface Ratio {
  peer: string;
  appendfsync: Series['appendfsync'];
  /** Orchestrator over peer: above 1 is faster. */
  throughput: number;
  /** Orchestrator over peer: below 1 is cheaper. */
  totalCpu: number;
  redisCpu: number;
}

export function ratiosOf(series: readonly Series[]): Ratio[] {
  const ratios: Ratio[] = [];
  for (const peer of series) {
    if (peer.system === 'orchestrator') continue;
    const own = series.find((one) => one.system === 'orchestrator' && one.appendfsync === peer.appendfsync);
    if (!own) continue;
    const ratio = (figure: FigureName): number =>
      spreadOf(own.runs, figure).median / spreadOf(peer.runs, figure).median;
    ratios.push({
      peer: peer.system,
      appendfsync: peer.appendfsync,
      throughput: ratio('tasksPerSecond'),
      totalCpu: ratio('totalUsPerTask'),
      redisCpu: ratio('redisUsPerTask'),
    });
  }
  return ratios;
}

export function ratioLines(ratios: readonly Ratio[]): string {
  return ratios
    .map(
      ({ peer, appendfsync, throughput, totalCpu, redisCpu }) =>
        `against ${peer}, fsync ${appendfsync}:\n  ${throughput.toFixed(2)} x its tasks/s, ` +
        `${totalCpu.toFixed(2)} x its CPU a task, ${redisCpu.toFixed(2)} x its Redis CPU a task`,
    )
    .join('\n');
}

export function pageOf(report: Report): string {
  const { at, commit, machine, versions, tasks, series } = report;
  const setUps = new Map(series.map((one) => [one.system, one.setUp]));
  return `# Results of \`npm run bench\`

Written by the run; read tests/bench/README.md for what is measured and what is not.

- ${at}, commit ${commit}
- ${machine}
- ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}
- ${number(tasks, 0)} tasks a run, medians of the runs listed below, all interleaved

${[...setUps].map(([system, setUp]) => `- **${system}**: ${setUp}`).join('\n')}

\`\`\`
${tableOf(series)}

${ratioLines(ratiosOf(series))}
\`\`\`

\`us\` are microseconds of CPU (user and system) per task; fsync is appendfsync of Redis, the same on both sides.

## Every run

| system | appendfsync | tasks/s | client us | Redis us | total us |
|---|---|--:|--:|--:|--:|
${series
  .flatMap(({ system, appendfsync, runs }) =>
    runs.map((run) => {
      const figures = figuresOf(run);
      const cells = columns.map(({ figure, digits }) => number(figures[figure], digits)).join(' | ');
      return `| ${system} | ${appendfsync} | ${cells} |`;
    }),
  )
  .join('\n')}
`;
}
