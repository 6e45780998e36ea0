/** Actions on many tasks: on those that are chosen on the page, and on all that the filters match, as a bulk action. */
import { html, nothing } from '../../lib.mjs';
import { colourOf, number } from '../../format.mjs';
import { settled } from '../../status.mjs';

const callsAtOnce = 6;
const filters = ['type', 'tenant', 'agent', 'created_after', 'created_before'];
const over = new Set(['finished', 'stopped']);
const actions = {
  cancel: {
    verb: 'Cancel',
    scope: 'tasks:cancel',
    fits: ({ status }) => !settled.has(status) && status !== 'cancelling',
  },
  redrive: { verb: 'Redrive', scope: 'tasks:redrive', fits: ({ status }) => status === 'parked' },
};

export class Bulk {
  /** Ids. */
  chosen = new Set();
  #app;
  /** The bulk action that was begun here, as the API shows it. */
  #running;

  constructor(app) {
    this.#app = app;
  }

  /** What is not on the page any more is not chosen any more. */
  async load(items) {
    const shown = new Set(items.map(({ id }) => id));
    for (const id of this.chosen) if (!shown.has(id)) this.chosen.delete(id);
    if (this.#running && !over.has(this.#running.status))
      this.#running = await this.#app.session.call(this.#running.links.self);
  }

  toggle(ids, on) {
    for (const id of ids)
      if (on) this.chosen.add(id);
      else this.chosen.delete(id);
    this.#app.update();
  }

  template(items) {
    return html`${this.#progress()} ${this.chosen.size > 0 ? this.#ofChosen(items) : this.#ofAll()}`;
  }

  #ofChosen(items) {
    const chosen = items.filter(({ id }) => this.chosen.has(id));
    return html`<section class="card row">
      <b>${number(chosen.length)} chosen</b>
      ${this.#buttons(({ verb, fits }, name) => {
        const fitting = chosen.filter(fits);
        return html`<button
          class=${name === 'cancel' ? 'danger' : ''}
          ?disabled=${fitting.length === 0}
          @click=${() => this.#many(name, fitting)}
        >
          ${verb} ${fitting.length}
        </button>`;
      })}
      <button class="quiet" @click=${() => (this.chosen.clear(), this.#app.update())}>Choose none</button>
    </section>`;
  }

  /** Only under a filter: nobody means every task there is. */
  #ofAll() {
    const filter = this.#filter();
    const status = this.#app.query.get('status');
    if (Object.keys(filter).length === 0 && !status) return nothing;
    const buttons = this.#buttons(({ verb }, name) => {
      if (name === 'redrive' && status && status !== 'parked') return nothing;
      if (name === 'cancel' && settled.has(status)) return nothing;
      return html`<button @click=${() => this.#all(name, { ...filter, ...(status && { status: [status] }) })}>
        ${verb} all that match …
      </button>`;
    });
    return buttons.every((button) => button === nothing)
      ? nothing
      : html`<section class="card row">${buttons}</section>`;
  }

  #buttons(button) {
    return Object.entries(actions).map(([name, action]) =>
      this.#app.session.can(action.scope) ? button(action, name) : nothing,
    );
  }

  /** The filter of the API for what stands in the address. */
  #filter() {
    const { query } = this.#app;
    const filter = Object.fromEntries(filters.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
    return query.get('text') ? { ...filter, error: query.get('text') } : filter;
  }

  /** The server counts first; what it counted is what is asked about. */
  async #all(name, filter) {
    const { verb } = actions[name];
    const path = `/api/v1/tasks/${name}`;
    const call = (body) => this.#app.session.call(path, { method: 'POST', body });
    try {
      const { matched } = await call({ filter, dry_run: true });
      const said = Object.entries(filter)
        .map(([member, value]) => (member === 'error' ? `the last error has “${value}”` : `${member} ${value}`))
        .join(', ');
      if (matched === 0) return this.#app.notify(`No task to ${name} where ${said}`);
      if (!(await this.#app.confirm(`${verb} ${number(matched)} tasks?`, `All where ${said}.`, verb))) return;
    } catch (error) {
      return this.#app.notify(error.message, 'bad');
    }
    await this.#app.act(verb, async () => {
      this.#running = await call({ filter });
      return `${verb}: begun`;
    });
  }

  #progress() {
    const bulk = this.#running;
    if (!bulk) return nothing;
    const { id, action, status, matched, applied = 0, refused = 0 } = bulk;
    const tell = (verb, method = 'POST') =>
      this.#app.act(verb, async () => {
        const path = method === 'POST' ? `${bulk.links.self}/${verb}` : bulk.links.self;
        this.#running = await this.#app.session.call(path, { method });
      });
    return html`<section class="card row" data-bulk=${status}>
      <span class="badge ${colourOf(status)}">${status}</span>
      <span
        ><a href=${this.#app.actorHref('bulk', id)}>${action}</a>: ${number(applied)} of ${number(matched)}
        done${refused > 0 ? `, ${number(refused)} had gone on` : ''}</span
      >
      ${
        over.has(status)
          ? html`<button class="quiet" @click=${() => ((this.#running = undefined), this.#app.update())}>Close</button>`
          : html`<button @click=${() => tell(status === 'paused' ? 'resume' : 'pause')}>
                ${status === 'paused' ? 'Resume' : 'Pause'}
              </button>
              <button class="danger" @click=${() => tell('stop', 'DELETE')}>Stop</button>`
      }
    </section>`;
  }

  async #many(name, tasks) {
    const { verb } = actions[name];
    const types = [...new Set(tasks.map(({ type }) => type))].join(', ');
    if (!(await this.#app.confirm(`${verb} ${tasks.length} tasks?`, `Of type ${types}.`, verb))) return;
    await this.#app.act(verb, async () => {
      let done = 0;
      const refused = [];
      // A few at a time: a hundred calls at once would only wait for one another.
      const waiting = [...tasks];
      const worker = async () => {
        for (let task = waiting.shift(); task; task = waiting.shift()) {
          try {
            const path = `/api/v1/tasks/${task.id}`;
            await (name === 'cancel'
              ? this.#app.session.call(path, { method: 'DELETE' })
              : this.#app.session.call(`${path}/redrive`, { method: 'POST' }));
            done++;
          } catch (error) {
            refused.push(error.message);
          }
        }
      };
      await Promise.all(Array.from({ length: callsAtOnce }, worker));
      this.chosen.clear();
      return `${verb}: ${done} done${refused.length > 0 ? `, ${refused.length} refused: ${refused[0]}` : ''}`;
    });
  }
}
