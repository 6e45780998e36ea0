/** Schedules: what they submit, when they do next, what became of the latest run, and the operator's levers. */
import { html, nothing, repeat } from '../lib.mjs';
import { colourOf, duration, number } from '../format.mjs';

const levers = [
  ['trigger', 'Run now', ['active', 'paused', 'ended']],
  ['pause', 'Pause', ['active']],
  ['resume', 'Resume', ['paused']],
];

export class SchedulesView {
  title = 'Schedules';
  everyMs = 2_000;
  #app;
  #items;
  #next;
  #cursors = [];

  constructor(app) {
    this.#app = app;
  }

  get #path() {
    const query = new URLSearchParams({ limit: '100' });
    for (const name of ['status', 'type']) if (this.#app.query.get(name)) query.set(name, this.#app.query.get(name));
    const cursor = this.#cursors.at(-1);
    if (cursor) query.set('cursor', cursor);
    return `/api/v1/schedules?${query}`;
  }

  async load() {
    const { items, next } = await this.#app.session.call(this.#path);
    this.#items = items;
    this.#next = next;
  }

  template() {
    const filters = ['status', 'type'].filter((name) => this.#app.query.get(name));
    return html`<div class="heading">
        <h1>Schedules</h1>
        ${filters.map((name) => html`<span class="badge">${this.#app.query.get(name)}</span>`)}
        ${filters.length > 0 ? html`<a href=${this.#app.href('schedules')}>all</a>` : nothing}
        <div class="actions">
          <button @click=${() => this.#app.copyCurl(this.#path)}>Copy as curl</button>
          <button @click=${() => this.#app.download('schedules.json', this.#items)}>Download JSON</button>
        </div>
      </div>
      <section class="card">
        ${
          !this.#items
            ? html`<p class="empty">Loading …</p>`
            : this.#items.length === 0
              ? html`<p class="empty">No schedule is here. <code>orchestrator schedule create</code> makes one.</p>`
              : this.#table()
        }
      </section>`;
  }

  #table() {
    const may = this.#app.session.can('schedules:control');
    return html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>status</th>
              <th>name</th>
              <th>submits</th>
              <th>when</th>
              <th>next</th>
              <th>latest run</th>
              <th class="number">runs</th>
              <th class="number wide">left out</th>
              ${may ? html`<th></th>` : nothing}
            </tr>
          </thead>
          <tbody>
            ${repeat(
              this.#items,
              ({ id }) => id,
              (schedule) => this.#row(schedule, may),
            )}
          </tbody>
        </table>
      </div>
      ${
        this.#next || this.#cursors.length > 0
          ? html`<div class="row between">
              <button
                ?disabled=${this.#cursors.length === 0}
                @click=${() => (this.#cursors.pop(), this.#app.refresh())}
              >
                Back
              </button>
              <button ?disabled=${!this.#next} @click=${() => (this.#cursors.push(this.#next), this.#app.refresh())}>
                More
              </button>
            </div>`
          : nothing
      }`;
  }

  #row(schedule, may) {
    const { id, name, tenant, status, task, cron, interval_ms: interval, timezone, overlap } = schedule;
    const [latest] = schedule.recent ?? [];
    const word = latest && (latest.status ?? 'running');
    return html`<tr data-schedule=${id}>
      <td><span class="badge ${colourOf(status)}">${status}</span></td>
      <td class="nowrap">
        <a href=${this.#app.actorHref('schedule', id)}>${name}</a>
        ${tenant ? html`<span class="soft">${tenant}</span>` : nothing}
      </td>
      <td><a href=${this.#app.href('tasks', { type: task.type })}>${task.type}</a></td>
      <td class="nowrap" title=${`overlap: ${overlap}`}>
        ${cron ? html`<code>${cron}</code> <span class="soft">${timezone}</span>` : `every ${duration(interval)}`}
      </td>
      <td class="nowrap">${this.#app.time(schedule.next_at)}</td>
      <td class="nowrap">
        ${
          latest
            ? html`<a href=${this.#app.actorHref('task', latest.task)}
                  ><span class="badge ${colourOf(word)}">${word}</span></a
                >
                ${this.#app.time(latest.at)}`
            : '–'
        }
      </td>
      <td class="number">${number(schedule.started)}</td>
      <td class="number wide" title="by overlap, and because nothing was up">
        ${number((schedule.skipped ?? 0) + (schedule.missed ?? 0))}
      </td>
      ${
        may
          ? html`<td class="nowrap">
              ${levers
                .filter(([, , from]) => from.includes(status))
                .map(
                  ([verb, label]) => html`<button @click=${() => this.#pull(schedule, verb, label)}>${label}</button> `,
                )}
              <button @click=${() => this.#remove(schedule)}>Remove</button>
            </td>`
          : nothing
      }
    </tr>`;
  }

  async #pull({ id, name }, verb, label) {
    await this.#app.act(`${label} ${name}`, () =>
      this.#app.session
        .call(`/api/v1/schedules/${encodeURIComponent(id)}/${verb}`, { method: 'POST' })
        .then(({ status }) => (verb === 'trigger' ? `${name} was asked for a run` : `${name} is ${status}`)),
    );
  }

  async #remove({ id, name }) {
    if (!(await this.#app.confirm(`Remove ${name}?`, 'Tasks that it submitted go on.', 'Remove'))) return;
    await this.#app.act(`Remove ${name}`, () =>
      this.#app.session
        .call(`/api/v1/schedules/${encodeURIComponent(id)}`, { method: 'DELETE' })
        .then(() => `${name} is removed`),
    );
  }
}
