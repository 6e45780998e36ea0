/** Charts as SVG, drawn once for each version of a definition. */
import type { Chart } from '../../runtime/ports.ts';
import { graphOf } from './chartgraph.ts';
import { drawing } from './drawing.ts';
import type { Layouts } from './layout.ts';

export class Drawings {
  readonly #layouts: Layouts;
  readonly #drawn = new Map<string, Promise<string>>();
  #preparing: Promise<void> | undefined;

  constructor(layouts: Layouts) {
    this.#layouts = layouts;
  }

  svg(chart: Chart): Promise<string> {
    const key = `${chart.definition} ${chart.version}`;
    let drawn = this.#drawn.get(key);
    if (!drawn) {
      drawn = this.#layouts.layout(graphOf(chart)).then((laid) => drawing(chart, laid));
      this.#drawn.set(key, drawn);
      // A worker that was ended is no reason to have no picture next time.
      drawn.catch(() => this.#drawn.delete(key));
    }
    return drawn;
  }

  /**
   * Draws charts one after another before anybody asks for one: the first layouts of a worker take several times as long
   * as those that follow. A picture that fails is tried again, and its error told, when it is asked for.
   */
  prepare(charts: readonly Chart[]): void {
    this.#preparing ??= (async () => {
      for (const chart of charts) await this.svg(chart).catch(() => undefined);
    })();
  }
}
