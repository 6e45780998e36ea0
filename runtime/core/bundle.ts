/** Messages for one inbox, packed into as few entries as their bounds allow. */
import { limits } from '../../config/limits.ts';
import type { BundledMessage } from './effect.ts';

export class Bundle {
  readonly #texts: string[] = [];
  #items: string[] = [];
  #length = 0;

  add(message: BundledMessage): void {
    const text = JSON.stringify(message);
    const full = this.#items.length === limits.batchEnvelopesMax || this.#length + text.length > limits.bundleLengthMax;
    if (full && this.#items.length > 0) this.#close();
    this.#items.push(text);
    this.#length += text.length;
  }

  /** One JSON array per entry, in the order of the messages. */
  texts(): string[] {
    if (this.#items.length > 0) this.#close();
    return this.#texts;
  }

  #close(): void {
    this.#texts.push(`[${this.#items.join(',')}]`);
    this.#items = [];
    this.#length = 0;
  }
}
