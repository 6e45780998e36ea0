// One set-up or build at a time for this checkout, whoever asks: npm, a test, two terminals.
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const WAIT_MS_MAX = 15 * 60_000;
const LOOK_EVERY_MS = 200;

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function holder(path) {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Creates the file with its content in one step: a lock without its holder's pid would look stale. */
function take(path) {
  const mine = `${path}.${process.pid}`;
  writeFileSync(mine, String(process.pid));
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Removes the lock of a process that is gone; gives it back if another process has taken it meanwhile. */
function removeStale(path) {
  const moved = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, moved);
    if (alive(holder(moved))) linkSync(moved, path);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(moved, { force: true });
  }
}

/** Runs `work` while no other process runs one under the same lock file. */
export async function exclusively(path, say, work) {
  mkdirSync(dirname(path), { recursive: true });
  const start = performance.now();
  let told = false;
  while (!take(path)) {
    const pid = holder(path);
    if (pid === undefined) continue;
    if (!alive(pid)) {
      removeStale(path);
      continue;
    }
    if (!told) say(`waiting for process ${pid}, which sets up the same checkout`);
    told = true;
    if (performance.now() - start > WAIT_MS_MAX) {
      throw new Error(`process ${pid} holds ${path} for too long; if it hangs, end it and start again`);
    }
    await sleep(LOOK_EVERY_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}
