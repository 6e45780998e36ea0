/** Queues: one for each task type, with what waits and who could take it. */
import { html } from '../lib.mjs';
import { duration, number } from '../format.mjs';

export class QueuesView {
  title = 'Queues';
  everyMs = 2_000;
  #app;
  #lanes;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    this.#lanes = (await this.#app.session.call('/api/v1/status')).lanes;
  }

  template() {
    return html`<div class="heading">
        <h1>Queues</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/status')}>Copy as curl</button>
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
                        <th class="number">agents</th>
                        <th class="number">free slots</th>
                        <th>state</th>
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
    const [word, colour] =
      lane.queued > 0 && lane.agents === 0
        ? ['no agent serves it', 'bad']
        : lane.queued > 0 && lane.free_slots === 0
          ? ['all agents are busy', 'warn']
          : lane.queued + lane.running > 0
            ? ['working', 'busy']
            : ['at rest', 'calm'];
    return html`<tr>
      <td><a href=${this.#app.href('tasks', { type: lane.type })}>${lane.type}</a></td>
      <td class="number">
        <a href=${this.#app.href('tasks', { type: lane.type, status: 'queued' })}>${number(lane.queued)}</a>
      </td>
      <td class="number">${lane.queued > 0 ? duration(lane.oldest_queued_ms) : '–'}</td>
      <td class="number">${number(lane.running)}</td>
      <td class="number">${number(lane.agents)}</td>
      <td class="number">${number(lane.free_slots)}</td>
      <td><span class="badge ${colour}">${word}</span></td>
    </tr>`;
  }
}
