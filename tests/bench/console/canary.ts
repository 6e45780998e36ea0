/**
 * A shared machine stands still at times: the hypervisor runs somebody else. A process that goes before everything else on its
 * processor can only miss the time then; what a browser lost in the same moment is no work of the page's. Linux with chrt and
 * the right to use it; elsewhere nothing is taken off.
 */
import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** From and to, in milliseconds of the wall clock. */
export type Span = readonly [fromMs: number, toMs: number];

export class Canary {
  readonly #child: ChildProcess;
  #still: Span[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (span) => this.#still.push(span as Span));
  }

  /** @returns undefined where no process may go before all others */
  static start(processor: number): Canary | undefined {
    const child = fork(fileURLToPath(new URL('canaryprocess.js', import.meta.url)));
    const { pid } = child;
    const set = (program: string, args: readonly string[]): boolean =>
      spawnSync(program, args, { stdio: 'ignore' }).status === 0;
    const first =
      pid !== undefined &&
      set('taskset', ['--all-tasks', '--cpu-list', '--pid', `${processor}`, `${pid}`]) &&
      set('chrt', ['--all-tasks', '--fifo', '--pid', '1', `${pid}`]);
    if (first) return new Canary(child);
    child.kill();
    return undefined;
  }

  /** When the processor stood still since the last call. */
  take(): Span[] {
    const still = this.#still;
    this.#still = [];
    return still;
  }

  stop(): void {
    this.#child.kill();
  }
}

/** @returns milliseconds of a task without those in which the machine stood still */
export function ownMs([fromMs, toMs]: Span, still: readonly Span[]): number {
  return still.reduce(
    (own, [start, end]) => own - Math.max(0, Math.min(end, toMs) - Math.max(start, fromMs)),
    toMs - fromMs,
  );
}
