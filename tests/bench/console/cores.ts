/**
 * A browser runs on another machine than the server, and is not to wait for it here: it gets the last processor to itself, and
 * everything else of the bench the others. Linux with taskset; elsewhere nothing is bound.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Processes that this one started, and those that they started. */
export function descendants(pid = process.pid): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
  return [...children, ...children.flatMap((child) => descendants(child))];
}

/** @returns the processor that the browser has to itself from here on; undefined where it has none */
export function setApart(browser: readonly number[]): number | undefined {
  const last = cpus().length - 1;
  if (process.platform !== 'linux' || last === 0) return undefined;
  const theirs = new Set(browser.flatMap((pid) => [pid, ...descendants(pid)]));
  const ours = [process.pid, ...descendants()].filter((pid) => !theirs.has(pid));
  return bind([...theirs], String(last)) && bind(ours, last === 1 ? '0' : `0-${last - 1}`) ? last : undefined;
}

function bind(pids: readonly number[], processors: string): boolean {
  return pids.every(
    (pid) =>
      spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', processors, String(pid)], { stdio: 'ignore' })
        .status === 0,
  );
}
