/** What the demo shows: live progress and tables on a terminal, or one JSON document. Words go to standard error. */
import type { Act, PairReport } from './acts.ts';
import type { Orchestrator } from './orchestrator.ts';
import type { Sites } from './sites.ts';
import type { DemoReport } from './work.ts';

const widthMax = 80;

export class Stage {
  readonly #json: boolean;
  readonly #live = process.stderr.isTTY;
  readonly #colour = process.stdout.isTTY && !process.env['NO_COLOR'];
  #open = false;

  constructor(json: boolean) {
    this.#json = json;
  }

  say(words: string): void {
    this.clear();
    process.stderr.write(`demo: ${words}\n`);
  }

  progress(done: number, of: number): void {
    if (!this.#live) {
      if (done === of) this.say(`${done} of ${of} documents done`);
      return;
    }
    const width = 30;
    const full = Math.round((done / Math.max(1, of)) * width);
    process.stderr.write(`\r\x1b[Kdemo: ${'█'.repeat(full)}${'░'.repeat(width - full)} ${done} of ${of} documents`);
    this.#open = true;
  }

  clear(): void {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }

  show(report: DemoReport, orchestrator: Orchestrator): void {
    this.clear();
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
      return;
    }
    const lines = ['', ...table(report), '', ...corpus(report), ''];
    const { tasks, latency_ms: latency } = report;
    lines.push(
      `${tasks.succeeded} of ${tasks.submitted} tasks succeeded in ${report.seconds} s (${report.tasks_per_s} tasks/s), ` +
        `latency p50 ${latency.p50} ms, p99 ${latency.p99} ms`,
      `by ${report.agents.length} agents at ${orchestrator.api}`,
    );
    process.stdout.write(`${lines.flatMap((line) => wrap(line)).join('\n')}\n`);
  }

  act({ at, what, accepted }: Act): void {
    this.say(`${at.toFixed(1).padStart(6)} s  ${String(accepted).padStart(5)} tasks  ${what}`);
  }

  showPair(report: PairReport): void {
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
      return;
    }
    const { tasks, switchover, takeover, conflicts, identical } = report;
    const row = (name: string, value: string): string => `  ${name.padEnd(34)}${value}`;
    const lines = [
      '',
      row('tasks accepted', String(tasks.accepted)),
      row('succeeded', String(tasks.succeeded)),
      row('lost', String(tasks.lost)),
      row('places changed', `${switchover.seconds} s, writes paused ${switchover.longest_pause_s} s`),
      row('taken over after the kill', `${takeover.seconds} s, writes paused ${takeover.longest_pause_s} s`),
      row('histories that had to be joined', String(conflicts)),
      row('both sites hold the same', identical ? 'yes, compared shard by shard' : 'NO'),
      '',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  }

  invitePair({ primary, secondary, tokenFile }: Sites): void {
    if (this.#json) return;
    const lines = [
      this.#bold('Both stay up; Ctrl-C ends them. Try:'),
      '',
      `  export ORCHESTRATOR_TOKEN=$(cat ${tokenFile})`,
      `  npm run --silent orchestrator -- site status --url ${primary.api}`,
      `  npm run --silent orchestrator -- site switchover --url ${primary.api}`,
      `  npm run --silent orchestrator -- conflicts --url ${primary.api}`,
      '',
      `  console      ${primary.api}/visualiser`,
      `  the other's  ${secondary.api}/visualiser`,
      '',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  }

  #bold(text: string): string {
    return this.#colour ? `\x1b[1m${text}\x1b[0m` : text;
  }

  invite(orchestrator: Orchestrator, task: string | undefined): void {
    if (this.#json) return;
    const lines = [
      '',
      this.#bold('It stays up; Ctrl-C ends it. Try:'),
      '',
      `  export TOKEN=$(cat ${orchestrator.tokenFile})`,
      `  curl -H "Authorization: Bearer $TOKEN" \\`,
      `    ${orchestrator.api}/api/v1/tasks/${task ?? ''}`,
      '',
      `  API        ${orchestrator.api}/api/v1/openapi.json`,
      `  status     ${orchestrator.api}/api/v1/status`,
      `  metrics    ${orchestrator.metrics}`,
      '',
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
  }
}

function table(report: DemoReport): string[] {
  const nameWidth = 30;
  const rows = report.results.map((row) => {
    const { result } = row;
    const phrases = result
      ? result.keyphrases
          .slice(0, 2)
          .map(({ phrase }) => phrase)
          .join(', ')
      : (row.error ?? row.status);
    return [
      cut(row.name, nameWidth).padEnd(nameWidth),
      String(result?.words ?? '-').padStart(6),
      String(result?.sentences ?? '-').padStart(5),
      (result?.language.code ?? '-').padEnd(4),
      cut(phrases, widthMax - nameWidth - 6 - 5 - 4 - 8),
    ].join('  ');
  });
  const head = ['document'.padEnd(nameWidth), ' words', 'sent.', 'lang', 'key phrases'].join('  ');
  return [head, '-'.repeat(widthMax - 1), ...rows];
}

function corpus(report: DemoReport): string[] {
  const result = report.corpus.result as
    { words?: number; keyphrases?: { phrase: string; documents: number }[] } | undefined;
  if (!result) return [`the corpus report is ${report.corpus.status}`];
  const phrases = (result.keyphrases ?? []).slice(0, 5).map(({ phrase, documents }) => `${phrase} (${documents})`);
  return [
    `corpus of ${report.corpus.documents} documents, ${result.words ?? 0} words; in most of them: ${phrases.join(', ')}`,
  ];
}

function cut(text: string, width: number): string {
  const characters = [...text.replaceAll(/[\p{C}\s]+/gu, ' ')];
  return characters.length <= width ? characters.join('') : `${characters.slice(0, width - 1).join('')}…`;
}

/** Breaks a line of words at the width of a terminal; tables are narrower already. */
function wrap(line: string): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > widthMax) {
    const at = rest.lastIndexOf(' ', widthMax);
    if (at <= 0) break;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at + 1);
  }
  return [...lines, rest];
}
