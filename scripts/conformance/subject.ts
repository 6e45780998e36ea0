/** The agent under test, as a process of its own; it and what it started end with the kit. */
import { spawn, type ChildProcess } from 'node:child_process';

const outputMax = 16_384;

export class Subject {
  readonly #child: ChildProcess;
  readonly exited: Promise<number | null>;
  #ended = false;
  #output = '';

  constructor(command: readonly string[], env: Record<string, string>) {
    const [file = '', ...args] = command;
    // A group of its own, so that a shell that runs the agent ends together with it.
    this.#child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-outputMax);
    };
    this.#child.stdout?.on('data', keep);
    this.#child.stderr?.on('data', keep);
    this.exited = new Promise((resolve) => {
      this.#child.once('exit', (code) => {
        this.#ended = true;
        resolve(code);
      });
      this.#child.once('error', (error) => {
        this.#ended = true;
        this.#output += error.message;
        resolve(127);
      });
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The last that it said. */
  get output(): string {
    return this.#output.trim();
  }

  signal(name: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(name);
  }

  async end(): Promise<void> {
    const { pid } = this.#child;
    if (pid !== undefined)
      try {
        process.kill(-pid, 'SIGKILL');
      } catch (error) {
        // The whole group is gone already.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    await this.exited;
  }
}
