/** What commands print: tables and colours for people, one JSON document (or one a line) for programs. */
import { stripVTControlCharacters, styleText } from 'node:util';
import { wrap } from './wrap.ts';

export type Tone = 'good' | 'bad' | 'busy' | 'faint';
const tones = { good: 'green', bad: 'red', busy: 'yellow', faint: 'gray' } as const;

const toneOf: Readonly<Record<string, Tone>> = {
  ...{ succeeded: 'good', IDLE: 'good', active: 'good', ok: 'good' },
  ...{ parked: 'bad', expired: 'bad', LOST: 'bad', failed: 'bad', refused: 'bad', SUSPECT: 'bad' },
  ...{ running: 'busy', assigned: 'busy', retrying: 'busy', cancelling: 'busy', BUSY: 'busy', paused: 'busy' },
  ...{ cancelled: 'faint', RETIRED: 'faint', scheduled: 'faint', blocked: 'faint' },
};

export interface Column<Row> {
  title: string;
  of: (row: Row) => unknown;
  /** Gives way first where the terminal is too narrow. */
  flexible?: boolean;
}

export class Output {
  readonly json: boolean;
  readonly #colours: boolean;
  readonly #columns: number;
  readonly #write: (text: string) => void;

  constructor(settings: { json: boolean; colours: boolean; columns: number; write: (text: string) => void }) {
    this.json = settings.json;
    this.#colours = settings.colours;
    this.#columns = settings.columns;
    this.#write = settings.write;
  }

  line(text: string): void {
    this.#write(`${text}\n`);
  }

  /** One JSON document on one line with `--json`; otherwise what `forPeople` prints. */
  show(document: unknown, forPeople: () => void): void {
    if (this.json) this.line(JSON.stringify(document));
    else forPeople();
  }

  paint(text: string, tone: Tone | undefined): string {
    return this.#colours && tone !== undefined ? styleText(tones[tone], text, { validateStream: false }) : text;
  }

  status(status: string): string {
    return this.paint(status, toneOf[status]);
  }

  /** Columns as wide as they need to be; flexible ones are cut so that a row stays within the terminal. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
    const cells = rows.map((row) => columns.map((column) => cellOf(column.of(row))));
    const widths = columns.map(({ title }, at) =>
      Math.max(title.length, ...cells.map((row) => stripVTControlCharacters(row[at]!).length)),
    );
    let over = widths.reduce((sum, width) => sum + width + 2, -2) - this.#columns;
    for (const [at, { flexible }] of columns.entries()) {
      if (!flexible || over <= 0) continue;
      const less = Math.min(over, Math.max(0, widths[at]! - 8));
      widths[at]! -= less;
      over -= less;
    }
    const lineOf = (row: readonly string[]): string =>
      row
        .map((cell, at) => fit(cell, widths[at]!))
        .join('  ')
        .trimEnd();
    this.line(this.paint(lineOf(columns.map(({ title }) => title.toUpperCase())), 'faint'));
    for (const row of cells) this.line(lineOf(row));
  }

  /** A sentence, broken between words where the terminal ends. */
  paragraph(text: string): void {
    for (const line of wrap(cellOf(text), this.#columns)) this.line(line);
  }

  /** Members one below the other. */
  members(members: Readonly<Record<string, unknown>>): void {
    const known = Object.entries(members).filter(([, value]) => value !== undefined && value !== null);
    const width = Math.max(0, ...known.map(([name]) => name.length));
    for (const [name, value] of known)
      this.line(
        `${this.paint(name.padEnd(width), 'faint')}  ${name === 'status' ? this.status(cellOf(value)) : cellOf(value)}`,
      );
  }
}

/** Text that came from elsewhere cannot move the cursor or change colours. */
const control = /\p{Cc}/gu;

function cellOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'object') return JSON.stringify(value).replace(control, ' ');
  const text = String(value as string | number | boolean);
  return stripVTControlCharacters(text).replace(control, ' ');
}

function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text.padEnd(width);
}
