/**
 * Reloading: the configuration is read again, what may change while the process runs holds at once, and what may not is
 * named in the log. A configuration that cannot be used changes nothing.
 */
import { configChange } from '../config/reload.ts';
import type { Config } from '../config/schema.ts';
import type { RunningLog } from '../runtime/telemetry/log.ts';
import type { ServiceManager } from './systemd.ts';

export interface ReloadSettings {
  /** What is in force. */
  config: Config;
  /** Reads it anew. @throws ConfigError */
  read: () => Config;
  log: RunningLog;
}

export interface Reloadable {
  reload(config: Config): Promise<void>;
}

export class Reload {
  readonly #settings: ReloadSettings;
  #inForce: Config;
  #process: Reloadable | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(settings: ReloadSettings) {
    this.#settings = settings;
    this.#inForce = settings.config;
  }

  /** From here on this process is reloaded; before that there is nothing to reload. */
  serve(process: Reloadable): void {
    this.#process = process;
  }

  /** One after another. Never rejects. */
  ask(manager: Pick<ServiceManager, 'tell'>): Promise<void> {
    this.#last = this.#last.then(async () => {
      if (!this.#process) return;
      // Told first: `systemctl reload` waits until it is ready again.
      await manager.tell('RELOADING=1');
      const status = await this.#run(this.#process);
      await manager.tell('READY=1', `STATUS=${status}`);
    });
    return this.#last;
  }

  async #run(process: Reloadable): Promise<string> {
    const { read, log, config } = this.#settings;
    try {
      const next = read();
      await process.reload(next);
      log.reopen();
      log.setLevel(next.logging.level);
      const { applied } = configChange(this.#inForce, next);
      // Compared with what the process was started with: until then they wait, however often it is reloaded.
      const { waiting } = configChange(config, next);
      this.#inForce = next;
      log.info({ applied }, 'reloaded');
      if (waiting.length > 0) log.warn({ settings: waiting }, 'these settings hold after a restart');
      return waiting.length > 0 ? `reloaded; waits for a restart: ${waiting.join(', ')}` : 'reloaded';
    } catch (error) {
      log.error({ error: error instanceof Error ? error.message : String(error) }, 'not reloaded: all stays as it was');
      return 'not reloaded, see the log';
    }
  }
}
