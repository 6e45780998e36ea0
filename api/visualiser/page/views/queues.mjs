/** Queues: one for each task type, with what waits and who could take it. */
import { html, nothing } from '../lib.mjs';
import { duration, number } from '../format.mjs';

export class QueuesView {
  title = 'Queues';
  everyMs = 2_000;
  #app;
  #lanes;
  /** Tasks of the last minute by type; undefined for a token of a tenant. */
  #finished;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    const { session } = this.#app;
    const [{ items }, activity] = await Promise.all([
      session.call('/api/v1/queues'),
      session.claims.tenant === undefined ? session.call('/api/v1/activity') : undefined,
    ]);
    this.#lanes = items;
    this.#finished = activity?.finished_last_minute;
  }

  template() {
    return html`<div class="heading">
        <h1>Queues</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/queues')}>Copy as curl</button>
          <button @click=${() => this.#app.download('queues.json', this.#lanes)}>Download JSON</button>
        </div>
      </div>
      <section class="card">
        ${
          !this.#lanes
            ? html`<p class="empty">Loading …</p>`
            : this.#lanes.length === 0
              ? html`<p class="empty">No task type is known yet.</p>`
              : html`<div class="scroll">
                  <table>
                    <thead>
                      <tr>
                        <th>type</th>
                        <th class="number">waiting</th>
                        <th class="number">oldest</th>
                        <th class="number">held</th>
                        <th class="number">done a minute</th>
                        <th class="number">agents</th>
                        <th class="number">free slots</th>
                        <th>state</th>
                        ${this.#app.session.can('admin') ? html`<th></th>` : nothing}
                      </tr>
                    </thead>
                    <tbody>
                      ${this.#lanes.map((lane) => this.#row(lane))}
                    </tbody>
                  </table>
                </div>`
        }
      </section>`;
  }

  #row(lane) {
    const [word, colour] = lane.paused
      ? ['paused', 'warn']
      : lane.queued > 0 && lane.agents === 0
        ? ['no agent serves it', 'bad']
        : lane.queued > 0 && lane.free_slots === 0
          ? ['all agents are busy', 'warn']
          : lane.queued + lane.running > 0
            ? ['working', 'busy']
            : ['at rest', 'calm'];
    return html`<tr data-queue=${lane.type}>
      <td><a href=${this.#app.href('tasks', { type: lane.type })}>${lane.type}</a></td>
      <td class="number">
        <a href=${this.#app.href('tasks', { type: lane.type, status: 'queued' })}>${number(lane.queued)}</a>
      </td>
      <td class="number">${lane.queued > 0 ? duration(lane.oldest_queued_ms) : '–'}</td>
      <td class="number">${number(lane.running)}</td>
      <td class="number" data-finished>${number(this.#finished && (this.#finished[lane.type] ?? 0))}</td>
      <td class="number">${number(lane.agents)}</td>
      <td class="number">${number(lane.free_slots)}</td>
      <td><span class="badge ${colour}">${word}</span></td>
      ${
        this.#app.session.can('admin')
          ? html`<td><button @click=${() => this.#turn(lane)}>${lane.paused ? 'Resume' : 'Pause'}</button></td>`
          : nothing
      }
    </tr>`;
  }

  async #turn({ type, paused }) {
    const verb = paused ? 'resume' : 'pause';
    await this.#app.act(verb, async () => {
      await this.#app.session.call(`/api/v1/queues/${encodeURIComponent(type)}/${verb}`, { method: 'POST' });
      return `${type} is ${paused ? 'given to agents again' : 'paused; what runs goes on'}`;
    });
  }
}
