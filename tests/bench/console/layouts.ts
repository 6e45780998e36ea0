/** How long the picture of a statechart takes: in a worker that has to start, in one that stands, and the second time. */
import { setup } from 'xstate';
import * as z from 'zod';
import { createRegistry } from '../../../actors/application.ts';
import { graphOf } from '../../../api/visualiser/chartgraph.ts';
import { Layouts } from '../../../api/visualiser/layout.ts';
import { Drawings } from '../../../api/visualiser/drawings.ts';
import { Catalogue } from '../../../runtime/core/catalogue.ts';
import { chartOf, type Chart } from '../../../runtime/core/graph.ts';
import { loadDefinition } from '../../../runtime/core/definition.ts';

export interface LayoutTimes {
  states: number;
  edges: number;
  /** Of the first picture after the start of the process, the worker's start included. */
  firstMs: number;
  /** Of the charts of all definitions, which are drawn when somebody opens the console. */
  preparedMs: number;
  /** Of a chart that was never drawn, after that. */
  coldMs: number[];
  cachedMs: number;
}

/** Five compound states of seven each, one of them compound again; ways inside, across and out. */
function nested(version: number): Chart {
  const events = setup({ types: {} as { events: { type: string } } });
  const stage = (index: number): object => ({
    initial: 'a',
    on: { abort: 'failed', skip: `stage${(index + 1) % 5}` },
    states: {
      a: { on: { next: 'b' }, after: { 5000: 'c' } },
      b: { on: { next: 'inner', back: 'a' } },
      c: { on: { next: 'd' } },
      d: { on: { done: `#nested.stage${(index + 1) % 5}` } },
      inner: {
        initial: 'x',
        states: { x: { on: { next: 'y' } }, y: { on: { leave: '#nested.failed', again: 'x' } } },
      },
    },
  });
  const config = {
    id: 'nested',
    initial: 'stage0',
    states: {
      ...Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`stage${index}`, stage(index)])),
      failed: { on: { retry: 'stage0', [`version${version}`]: 'over' } },
      over: { type: 'final' },
    },
  };
  const machine = events.createMachine(config as Parameters<typeof events.createMachine>[0]);
  const input = z.strictObject({});
  return chartOf(loadDefinition({ id: 'nested', version: 1, machine, input, events: {}, retentionMs: 0 }));
}

export async function measureLayouts(): Promise<LayoutTimes> {
  const layouts = new Layouts();
  const drawings = new Drawings(layouts);
  const timed = async (chart: Chart): Promise<number> => {
    const startMs = performance.now();
    await drawings.svg(chart);
    return performance.now() - startMs;
  };
  try {
    const chart = nested(0);
    const firstMs = await timed(chart);
    // What the server does when somebody opens the console.
    const startMs = performance.now();
    for (const known of new Catalogue(createRegistry()).charts()) await drawings.svg(known);
    const preparedMs = performance.now() - startMs;
    const coldMs: number[] = [];
    for (let version = 1; version <= 5; version++) coldMs.push(await timed(nested(version)));
    return {
      states: chart.states.length,
      edges: graphOf(chart).edges.length,
      ...{ firstMs, preparedMs, coldMs, cachedMs: await timed(chart) },
    };
  } finally {
    await layouts.stop();
  }
}
