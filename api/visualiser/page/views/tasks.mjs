/** Tasks: search, filters that stand in the address, and actions on many at once. */
import { html, nothing, live } from '../lib.mjs';
import { colourOf } from '../format.mjs';
import { Live } from '../live.mjs';
import { settled, statuses } from '../status.mjs';
import { Bulk } from './tasks/bulk.mjs';

/** A screen. A busy page draws most of its rows anew every two seconds, and so many are drawn within a frame or two. */
const rowsPerPage = 25;

const filters = ['status', 'type', 'tenant', 'agent', 'created_after', 'created_before', 'text'];

export class TasksView {
  title = 'Tasks';
  everyMs = 2_000;
  events = true;
  #app;
  #items;
  #next;
  #cursors = [];
  #live;
  #followed = '';
  #typing;
  #bulk;

  constructor(app) {
    this.#app = app;
    this.#bulk = new Bulk(app);
  }

  leave() {
    this.#live?.close();
  }

  #path() {
    const query = new URLSearchParams();
    for (const name of filters) if (this.#app.query.get(name)) query.set(name, this.#app.query.get(name));
    const cursor = this.#cursors.at(-1);
    if (cursor) query.set('cursor', cursor);
    query.set('limit', rowsPerPage);
    return `/api/v1/tasks?${query}`;
  }

  async load() {
    const path = this.#path();
    const { items, next } = await this.#app.session.call(path);
    if (path !== this.#path()) return;
    this.#items = items;
    this.#next = next;
    await this.#bulk.load(items);
    this.#follow(items);
  }

  /** Rows that may still change are followed event by event; the rest of the list is asked for anew. */
  #follow(items) {
    if (this.#app.session.claims.tenant !== undefined) return;
    const open = items.filter(({ status }) => !settled.has(status)).map(({ id }) => id);
    const key = open.join(',');
    if (key === this.#followed) return;
    this.#followed = key;
    this.#live?.close();
    this.#live = undefined;
    if (open.length === 0) return;
    this.#live = new Live(this.#app.session, `/api/v1/events?task=${open.join(',')}`, {
      transition: ({ actor, status, revision, outcome }) => {
        const item = this.#items.find(({ id }) => actor === `task/${id}`);
        if (!item || outcome !== 'applied' || revision <= item.revision) return;
        Object.assign(item, { status, revision });
        this.#app.update();
      },
      // The list is asked for anew soon enough. At once, and under load every answer would bring rows to follow that bring
      // the next one.
      again: () => undefined,
      state: (connected) => this.#app.connected(connected),
    });
  }

  #filter(values) {
    this.#cursors = [];
    this.#app.setQuery(values);
  }

  template() {
    const { query, session } = this.#app;
    const value = (name) => query.get(name) ?? '';
    const field = (name, label, placeholder = '') =>
      html`<label class="field"
        >${label}<input
          .value=${live(value(name))}
          placeholder=${placeholder}
          @change=${(event) => this.#filter({ [name]: event.target.value.trim() })}
      /></label>`;
    return html`<div class="heading">
        <h1>Tasks</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl(this.#path())}>Copy as curl</button>
          <button @click=${() => this.#app.download('tasks.json', this.#items)}>Download JSON</button>
        </div>
      </div>
      <section class="card">
        <form class="filters" role="search" @submit=${(event) => event.preventDefault()}>
          <label class="field wider"
            >Search<input
              type="search"
              .value=${live(value('text'))}
              placeholder="part of an id or of an error"
              @input=${(event) => this.#search(event.target.value.trim())}
          /></label>
          <label class="field"
            >Status<select @change=${(event) => this.#filter({ status: event.target.value })}>
              <option value="" ?selected=${!value('status')}>any</option>
              ${statuses.map((name) => html`<option ?selected=${value('status') === name}>${name}</option>`)}
            </select></label
          >
          ${field('type', 'Type', 'any')} ${field('agent', 'Agent', 'any')}
          ${session.claims.tenant === undefined ? field('tenant', 'Tenant', 'any') : nothing}
          ${this.#time('created_after', 'Submitted after')} ${this.#time('created_before', 'and before')}
          ${
            filters.some((name) => query.get(name))
              ? html`<button
                  type="button"
                  @click=${() => this.#filter(Object.fromEntries(filters.map((name) => [name, ''])))}
                >
                  Clear
                </button>`
              : nothing
          }
        </form>
      </section>
      ${this.#bulk.template(this.#items ?? [])}
      <section class="card">${this.#table()}</section>`;
  }

  #time(name, label) {
    const iso = this.#app.query.get(name);
    const date = iso ? new Date(iso) : undefined;
    const shown = date ? new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16) : '';
    return html`<label class="field"
      >${label}<input
        type="datetime-local"
        .value=${live(shown)}
        @change=${({ target }) => this.#filter({ [name]: target.value ? new Date(target.value).toISOString() : '' })}
    /></label>`;
  }

  #search(text) {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#filter({ text }), 250);
  }

  #table() {
    const items = this.#items;
    if (!items) return html`<p class="empty">Loading …</p>`;
    if (items.length === 0)
      return html`<p class="empty">
        ${filters.some((name) => this.#app.query.get(name)) ? 'No task fits these filters.' : 'No task was submitted yet.'}
      </p>`;
    const may = this.#app.session.can('tasks:cancel') || this.#app.session.can('tasks:redrive');
    const bulk = this.#bulk;
    const all = items.every(({ id }) => bulk.chosen.has(id));
    const toggle = (ids, on) => bulk.toggle(ids, on);
    return html`<div class="scroll">
        <table>
          <thead>
            <tr>
              ${
                may
                  ? html`<th>
                      <input
                        type="checkbox"
                        aria-label="Choose all on this page"
                        .checked=${live(all)}
                        @change=${(event) =>
                          toggle(
                            items.map(({ id }) => id),
                            event.target.checked,
                          )}
                      />
                    </th>`
                  : nothing
              }
              <th>status</th>
              <th>task</th>
              <th>type</th>
              <th class="number wide">priority</th>
              <th class="wide">tenant</th>
              <th class="number wide">attempt</th>
              <th class="wide">agent</th>
              <th>submitted</th>
              <th class="wide">what happened</th>
            </tr>
          </thead>
          <tbody>
            ${/* Rows stay and change their words: under load most of a page is new every time. */ ''}
            ${items.map((task) => this.#row(task, may, toggle))}
          </tbody>
        </table>
      </div>
      <div class="row between">
        <button ?disabled=${this.#cursors.length === 0} @click=${() => this.#turn(() => this.#cursors.pop())}>
          Newer
        </button>
        <span class="soft small">${items.length} on this page</span>
        <button ?disabled=${!this.#next} @click=${() => this.#turn(() => this.#cursors.push(this.#next))}>Older</button>
      </div>`;
  }

  #turn(how) {
    how();
    void this.#app.refresh();
  }

  #row(task, may, toggle) {
    const { id, status, type, priority, tenant, attempt, agent } = task;
    const said = task.error?.message ?? task.reason ?? '';
    return html`<tr class=${this.#bulk.chosen.has(id) ? 'chosen' : ''} data-task=${id}>
      ${
        may
          ? html`<td>
              <input
                type="checkbox"
                aria-label="Choose ${id}"
                .checked=${live(this.#bulk.chosen.has(id))}
                @change=${(event) => toggle([id], event.target.checked)}
              />
            </td>`
          : nothing
      }
      <td><span class="badge ${colourOf(status)}">${status}</span></td>
      <td class="mono nowrap"><a href=${this.#app.actorHref('task', id)}>${id}</a></td>
      <td>${type}</td>
      <td class="number wide">${priority}</td>
      <td class="wide">${tenant ?? ''}</td>
      <td class="number wide">${attempt ?? ''}</td>
      <td class="mono wide">${agent ? html`<a href=${this.#app.actorHref('agent', agent)}>${agent}</a>` : ''}</td>
      <td class="nowrap">${this.#app.time(task.created_at)}</td>
      <td class="text wide" title=${said}>${said}</td>
    </tr>`;
  }
}
