/** What runs in a process: started in order, stopped in the opposite one, and told when the configuration changes. */
import type { Config } from '../../config/schema.ts';
import type { Service } from '../../runtime/ports.ts';

type Stop = () => Promise<void> | void;
type Reload = (next: Config) => Promise<void> | void;

export class Lifecycle {
  readonly #stops: Stop[] = [];
  readonly #reloads: Reload[] = [];

  /** To be called at the end; what was named last, first. */
  onStop(...stops: readonly Stop[]): void {
    this.#stops.push(...stops);
  }

  onReload(reload: Reload): void {
    this.#reloads.push(reload);
  }

  /** Starts a service that is stopped at the end. @throws what it throws, after everything was stopped */
  async run(service: Service): Promise<void> {
    this.onStop(() => service.stop());
    await this.start(service);
  }

  /** Starts services whose end is named elsewhere. @throws what one of them throws, after everything was stopped */
  async start(...services: readonly Service[]): Promise<void> {
    try {
      for (const service of services) await service.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }

  async reload(next: Config): Promise<void> {
    for (const reload of this.#reloads) await reload(next);
  }
}
