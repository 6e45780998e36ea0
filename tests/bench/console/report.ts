/** The page of figures that a run leaves behind. */
import { median, quantile } from './figures.ts';
import type { LayoutTimes } from './layouts.ts';

export interface Latency {
  state: string;
  ms: number;
}

export interface Load {
  path: string;
  minutes: number;
  /** Tasks of the main thread above 50 ms, without the time in which the machine stood still. */
  longMs: number[];
  /** Tasks that were above 50 ms only because it did. */
  stillMs: number[];
  samples: { heapBytes: number; nodes: number }[];
}

/** Milliseconds of CPU per second: of the server alone, and with Redis and PostgreSQL. */
export interface Share {
  name: string;
  without: { process: number; all: number }[];
  withPage: { process: number; all: number }[];
}

export interface Figures {
  /** While the pages stood under load, Chromium had a processor of its own. */
  apart: boolean;
  /** It was seen when that processor stood still. */
  canary: boolean;
  layouts: LayoutTimes;
  tasks: number;
  agents: number;
  firstViews: { name: string; medianMs: number; slowestMs: number }[];
  latency: Latency[];
  load: Load[];
  transitionsPerSecond: number;
  shares: Share[];
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
const ms = (value: number): string => `${Math.round(value)} ms`;

export function pageOf(figures: Figures, machine: string, at: string): string {
  const { apart, canary, layouts, tasks, agents, firstViews, latency, load, transitionsPerSecond, shares } = figures;
  const latencyMs = latency.map((one) => one.ms);
  return `# The console over a full system

Written by \`npm run bench -- --console\` on ${at}; ${machine}. Server, Redis, PostgreSQL, agents and Chromium share this
machine. In the system: ${tasks} tasks that wait, ${agents} agents with their heartbeats.

## First view

From the navigation to what the page shows; three times each.

| page | median | slowest |
|---|---:|---:|
${firstViews.map((view) => `| ${view.name} | ${ms(view.medianMs)} | ${ms(view.slowestMs)} |`).join('\n')}

## From a transition to the page

The instant of a record (before its commit) to the statechart that shows it, under ${Math.round(transitionsPerSecond)} transitions
a second, ${latency.length} transitions: median ${ms(median(latencyMs))}, 95 % ${ms(quantile(latencyMs, 0.95))}, slowest ${ms(Math.max(...latencyMs))}.

## Under ${Math.round(transitionsPerSecond)} transitions a second

Long tasks are those of the page's main thread above 50 ms. Heap and nodes are taken after a collection, every 15 s.${
    apart
      ? '\nFrom here on Chromium has one processor to itself, as on the machine of whoever looks; all else shares the rest.'
      : ''
  }${
    canary
      ? `
This machine is a virtual one, whose processors stand still at times. A process that goes before all others on the processor of
Chromium notes when; that time is no part of a task. Those that are above 50 ms only with it are counted apart.`
      : ''
  }

| page | minutes | long tasks | longest | by a standstill | heap, first to last MiB | most | nodes, first to last |
|---|---:|---:|---:|---:|---:|---:|---:|
${load
  .map(({ path, minutes, longMs, stillMs, samples }) => {
    const [first, last] = [samples[0]!, samples.at(-1)!];
    const most = Math.max(...samples.map(({ heapBytes }) => heapBytes));
    return (
      `| ${path || '/'} | ${minutes.toFixed(1)} | ${longMs.length} | ${longMs.length > 0 ? ms(Math.max(...longMs)) : '-'} | ${stillMs.length} ` +
      `| ${mebibytes(first.heapBytes)} to ${mebibytes(last.heapBytes)} | ${mebibytes(most)} | ${first.nodes} to ${last.nodes} |`
    );
  })
  .join('\n')}

## What an open page costs

CPU of the server in ms a second, medians of windows of 15 s with and without the page that take turns. A runtime that is
bound by its one thread loses that share of its throughput: 10 ms a second are 1 %.

| page | server without | server with | costs | with Redis and PostgreSQL, without | with |
|---|---:|---:|---:|---:|---:|
${shares
  .map(({ name, without, withPage }) => {
    const of = (windows: Share['without'], which: 'process' | 'all'): number =>
      median(windows.map((window) => window[which]));
    const [before, after] = [of(without, 'process'), of(withPage, 'process')];
    return (
      `| ${name} | ${before.toFixed(0)} | ${after.toFixed(0)} | ${((after - before) / 10).toFixed(1)} % ` +
      `| ${of(without, 'all').toFixed(0)} | ${of(withPage, 'all').toFixed(0)} |`
    );
  })
  .join('\n')}

## Layout

A nested chart of ${layouts.states} states and ${layouts.edges} ways: ${ms(median(layouts.coldMs))} (slowest of ${layouts.coldMs.length}: ${ms(Math.max(...layouts.coldMs))}) and ${layouts.cachedMs.toFixed(2)} ms
from the cache. The first layout of a process takes ${ms(layouts.firstMs)} with the start of its worker; so the charts of all
definitions are drawn (in ${ms(layouts.preparedMs)}, beside the event loop) when somebody opens the console.
`;
}
