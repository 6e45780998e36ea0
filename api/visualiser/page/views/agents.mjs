/** Agents: whether they are well, what they hold, and the operator's levers. */
import { html, nothing, repeat, svg } from '../lib.mjs';
import { colourOf, number } from '../format.mjs';

const levers = [
  ['IDLE', 'Resume', ['PAUSED']],
  ['PAUSED', 'Pause', ['IDLE', 'BUSY']],
  ['DRAINING', 'Drain', ['IDLE', 'BUSY', 'PAUSED']],
];

export class AgentsView {
  title = 'Agents';
  everyMs = 2_000;
  #app;
  #items;
  #next;
  #cursors = [];

  constructor(app) {
    this.#app = app;
  }

  get #path() {
    const cursor = this.#cursors.at(-1);
    return `/api/v1/agents?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
  }

  async load() {
    const { items, next } = await this.#app.session.call(this.#path);
    this.#items = items;
    this.#next = next;
  }

  template() {
    const wanted = (this.#app.query.get('state') ?? '').toUpperCase();
    const text = this.#app.query.get('text') ?? '';
    const items = this.#items?.filter(
      ({ id, type, status }) => (!wanted || status === wanted) && (!text || `${id} ${type}`.includes(text)),
    );
    return html`<div class="heading">
        <h1>Agents</h1>
        ${wanted ? html`<span class="badge">${wanted.toLowerCase()}</span><a href=${this.#app.href('agents')}>all</a>` : nothing}
        <input
          type="search"
          aria-label="Search"
          placeholder="part of an id or type"
          .value=${text}
          @input=${(event) => this.#app.setQuery({ text: event.target.value.trim() })}
        />
        <div class="actions">
          <button @click=${() => this.#app.copyCurl(this.#path)}>Copy as curl</button>
          <button @click=${() => this.#app.download('agents.json', this.#items)}>Download JSON</button>
        </div>
      </div>
      <section class="card">
        ${
          !items
            ? html`<p class="empty">Loading …</p>`
            : items.length === 0
              ? html`<p class="empty">No agent is here. scripts/agents/README.md says how to write one.</p>`
              : this.#table(items)
        }
      </section>`;
  }

  #table(items) {
    const may = this.#app.session.can('agents:control');
    return html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>status</th>
              <th>agent</th>
              <th>type</th>
              <th>load</th>
              <th>heartbeat</th>
              <th class="wide">version</th>
              <th class="wide">generation</th>
              <th class="wide">can</th>
              ${may ? html`<th></th>` : nothing}
            </tr>
          </thead>
          <tbody>
            ${repeat(
              items,
              ({ id }) => id,
              (agent) => this.#row(agent, may),
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

  #row(agent, may) {
    const { id, type, status, slots, slots_in_use: used, version, generation, capabilities = [] } = agent;
    return html`<tr data-agent=${id}>
      <td><span class="badge ${colourOf(status)}">${status.toLowerCase()}</span></td>
      <td class="mono nowrap"><a href=${this.#app.actorHref('agent', id)}>${id}</a></td>
      <td>${type}</td>
      <td class="nowrap">
        ${
          used === undefined
            ? html`<span class="soft">${number(slots)} slots</span>`
            : html`<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                  ${svg`<rect width=${Math.min(100, (used / slots) * 100)} height="8"></rect>`}
                </svg>
                ${number(used)} of ${number(slots)}`
        }
      </td>
      <td class="nowrap">${this.#app.time(agent.seen_at)}</td>
      <td class="wide">${version ?? ''}</td>
      <td class="wide">${generation}</td>
      <td class="text wide">${capabilities.join(', ')}</td>
      ${
        may
          ? html`<td class="nowrap">
              ${levers
                .filter(([, , from]) => from.includes(status))
                .map(([to, verb]) => html`<button @click=${() => this.#pull(agent, to, verb)}>${verb}</button> `)}
            </td>`
          : nothing
      }
    </tr>`;
  }

  async #pull({ id, slots_in_use: used }, status, verb) {
    if (status === 'DRAINING') {
      const detail = used
        ? `It finishes ${used} tasks first, and then retires.`
        : 'It holds nothing and retires at once.';
      if (!(await this.#app.confirm(`Drain ${id}?`, detail, verb))) return;
    }
    await this.#app.act(`${verb} ${id}`, () =>
      this.#app.session
        .call(`/api/v1/agents/${encodeURIComponent(id)}`, { method: 'PUT', body: { status } })
        .then((agent) => `${id} is ${agent.status.toLowerCase()}`),
    );
  }
}
