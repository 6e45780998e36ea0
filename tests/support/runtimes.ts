/** Runtime processes under a test's control: started, killed, frozen, stopped, with what they logged. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { rootDir } from './folders.ts';
import type { RuntimeProcessSettings } from './runtimeprocess.ts';
import { patienceMs } from './patience.ts';

const program = join(rootDir, '.build/tests/support/runtimeprocess.js');

export interface LogLine {
  level: string;
  owner: string;
  message: string;
  shard?: number;
  error?: string;
}

export type RuntimeSettings = Omit<RuntimeProcessSettings, 'owner'>;

export class RuntimeProcess {
  readonly owner: string;
  readonly lines: LogLine[] = [];
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  #ending = false;

  constructor(settings: RuntimeSettings, owner: string) {
    if (!existsSync(program)) throw new Error(`${program} is missing: run "npm run build" first`);
    this.owner = owner;
    this.#child = spawn(process.execPath, [program, JSON.stringify({ ...settings, owner })], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    createInterface({ input: this.#child.stdout! }).on('line', (text) => {
      const line = JSON.parse(text) as LogLine;
      this.lines.push(line);
      if (process.env['LOUD']) console.log(text);
    });
    this.exited = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(`${signal ?? code}${this.#ending ? '' : ', not asked to'}`));
    });
  }

  /** Resolves when the process has looked at the shards for the first time. */
  async started(deadlineMs = patienceMs): Promise<this> {
    await this.logged((line) => line.message === 'runtime started', deadlineMs);
    return this;
  }

  async logged(matches: (line: LogLine) => boolean, deadlineMs = patienceMs): Promise<LogLine> {
    const end = performance.now() + deadlineMs;
    while (performance.now() < end) {
      const found = this.lines.find(matches);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${this.owner} did not log that within ${deadlineMs} ms; it logged ${JSON.stringify(this.lines)}`);
  }

  async kill(): Promise<void> {
    this.#ending = true;
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  /** Asks it to end well, as an init system would. */
  async stop(): Promise<string> {
    this.#ending = true;
    this.#child.kill('SIGCONT');
    this.#child.kill('SIGTERM');
    return this.exited;
  }

  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }
}

/** A fixed number of runtime processes; one that is killed is started anew, under another name. */
export class RuntimeFleet {
  readonly #settings: RuntimeSettings;
  readonly #processes: RuntimeProcess[] = [];
  /** Errors that any of them logged: bugs, as what may pass is a warning. */
  readonly errors: LogLine[] = [];
  readonly ends: string[] = [];
  #started = 0;

  constructor(settings: RuntimeSettings) {
    this.#settings = settings;
  }

  get started(): number {
    return this.#started;
  }

  get members(): readonly RuntimeProcess[] {
    return this.#processes;
  }

  async start(count: number): Promise<void> {
    for (let index = 0; index < count; index++) this.#processes.push(this.#launch());
    await Promise.all(this.#processes.map((member) => member.started()));
  }

  /** kill -9, and a new process at once. */
  async replace(index: number): Promise<void> {
    const killed = this.#processes[index]!;
    this.#processes[index] = this.#launch();
    await killed.kill();
    await this.#note(killed);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((member) => member.stop()));
    for (const member of this.#processes.splice(0)) await this.#note(member);
  }

  #launch(): RuntimeProcess {
    return new RuntimeProcess(this.#settings, `runtime-${++this.#started}`);
  }

  async #note(member: RuntimeProcess): Promise<void> {
    this.errors.push(...member.lines.filter((line) => line.level === 'error'));
    const end = await member.exited;
    if (end.includes('not asked to')) this.ends.push(`${member.owner}: ${end}`);
  }
}
