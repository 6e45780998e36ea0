/**
 * Server-sent events that rest while the tab is hidden and go on where they stopped. A one-time ticket opens each stream,
 * because an EventSource sends no headers; that is also why it may not reconnect by itself.
 */
export class Live {
  #session;
  #path;
  #handlers;
  #source;
  #lastId;
  #retryMs = 500;
  #timer;
  #closed = false;
  #attempt = 0;

  /**
   * @param path of the stream, with its query
   * @param handlers `transition(data)`, `again()` when something may have been missed, `state(connected)`
   */
  constructor(session, path, handlers) {
    this.#session = session;
    this.#path = path;
    this.#handlers = handlers;
    document.addEventListener('visibilitychange', this.#seen);
    if (!document.hidden) void this.#open();
  }

  close() {
    this.#closed = true;
    document.removeEventListener('visibilitychange', this.#seen);
    this.#drop();
  }

  #seen = () => {
    if (document.hidden) this.#drop();
    else if (!this.#source) void this.#open();
  };

  #drop() {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  async #open() {
    const attempt = ++this.#attempt;
    try {
      const { ticket } = await this.#session.call('/api/v1/tickets', { method: 'POST' });
      if (attempt !== this.#attempt || this.#closed) return;
      const url = new URL(this.#path, location.origin);
      url.searchParams.set('ticket', ticket);
      if (this.#lastId) url.searchParams.set('last_event_id', this.#lastId);
      const source = new EventSource(url);
      this.#source = source;
      source.onopen = () => {
        this.#retryMs = 500;
        this.#handlers.state(true);
        // What happened between the first look at the page and the opening of its stream.
        if (!this.#lastId) this.#handlers.again();
      };
      for (const name of ['transition', 'snapshot', 'gap', 'end'])
        source.addEventListener(name, (event) => this.#hear(name, event));
      source.onerror = () => this.#retry(attempt);
    } catch {
      this.#retry(attempt);
    }
  }

  #hear(name, event) {
    this.#lastId = event.lastEventId || this.#lastId;
    if (name === 'transition') this.#handlers.transition(JSON.parse(event.data));
    if (name === 'gap') this.#handlers.again();
  }

  #retry(attempt) {
    if (attempt !== this.#attempt || this.#closed || document.hidden) return;
    this.#drop();
    this.#handlers.state(false);
    this.#timer = setTimeout(() => void this.#open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, 10_000);
  }
}
