/** Definitions: all of them, and one with the heat of what its actors do. */
import { html, nothing } from '../lib.mjs';
import { StateChart } from '../chart.mjs';
import { eventName, number } from '../format.mjs';

export class MachinesView {
  title = 'Machines';
  everyMs = 5_000;
  #app;
  #items;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    this.#items = (await this.#app.session.call('/api/v1/machines')).items;
  }

  template() {
    return html`<div class="heading">
        <h1>Machines</h1>
        <div class="actions"><button @click=${() => this.#app.copyCurl('/api/v1/machines')}>Copy as curl</button></div>
      </div>
      <section class="card">
        <p class="soft">Every kind of actor is a statechart. What you see is drawn from the code that runs.</p>
      </section>
      <div class="grid">
        ${(this.#items ?? []).map(
          ({ definition, version, states, transitions, commands, actors }) =>
            html`<section class="card">
              <h2><a href=${this.#app.href(`machines/${definition}`)}>${definition}</a></h2>
              <dl class="facts">
                <dt>actors</dt>
                <dd>${number(actors)}</dd>
                <dt>chart</dt>
                <dd>${states} states, ${transitions} transitions</dd>
                <dt>commands</dt>
                <dd>${commands.join(', ') || 'none'}</dd>
                <dt>version</dt>
                <dd class="mono">${version}</dd>
              </dl>
            </section>`,
        )}
      </div>`;
  }
}

export class MachineView {
  everyMs = 2_000;
  #app;
  #definition;
  #chart;
  #activity;
  #counts = new Map();
  #whole = false;

  constructor(app, { definition }) {
    this.#app = app;
    this.#definition = definition;
  }

  get title() {
    return this.#definition;
  }

  async load() {
    const { session } = this.#app;
    this.#chart ??= await StateChart.open(session, this.#definition);
    if (session.claims.tenant !== undefined) return;
    this.#activity = await session.call(`/api/v1/machines/${encodeURIComponent(this.#definition)}/activity`);
    this.#counts = this.#chart.heat(this.#activity.states, this.#activity.transitions, {
      onState: (id) => this.#app.go(this.#listOf(id)),
    });
  }

  /** The actors in a state. */
  #listOf(id) {
    if (this.#definition === 'task') {
      const leaf = !this.#chart.chart.states.some(({ parent }) => parent === id);
      return this.#app.href('tasks', leaf ? { status: id.split('.').at(-1) } : {});
    }
    if (this.#definition === 'schedule') return this.#app.href('schedules', { status: id.split('.').at(-1) });
    if (this.#definition === 'agent') return this.#app.href('agents', { state: id.split('.').at(-1) });
    return this.#app.href(`actors/${this.#definition}`, { state: id.split('.').slice(1).join('.') });
  }

  template() {
    if (!this.#chart) return html`<div class="card empty">Loading …</div>`;
    const path = `/api/v1/machines/${this.#definition}`;
    const { chart } = this.#chart;
    const taken = chart.edges
      .filter(({ id }) => this.#counts.get(id) > 0)
      .sort((left, right) => this.#counts.get(right.id) - this.#counts.get(left.id));
    return html`<div class="heading">
        <h1><span class="soft">machine</span> ${this.#definition}</h1>
        <span class="soft small mono">${chart.version}</span>
        <div class="actions">
          <button @click=${() => ((this.#whole = !this.#whole), this.#chart.fit(this.#whole), this.#app.update())}>
            ${this.#whole ? 'Larger' : 'Whole chart'}
          </button>
          <button @click=${() => this.#app.copyCurl(path)}>Copy as curl</button>
          <button @click=${() => this.#app.download(`${this.#definition}.json`, chart)}>Download JSON</button>
        </div>
      </div>
      <section class="card broad">${this.#chart.element}</section>
      <div class="grid">
        <section class="card">
          <h2>Actors by state</h2>
          ${
            this.#activity?.silent_shards.length > 0
              ? html`<p class="notice warn">
                  Not counted: shards ${this.#activity.silent_shards.join(', ')}, which nobody serves.
                </p>`
              : nothing
          }
          ${
            this.#activity
              ? this.#table(
                  ['state', 'actors'],
                  Object.entries(this.#activity.states)
                    .filter(([id, count]) => count > 0 && id !== chart.states[0].id)
                    .map(([id, count]) => [html`<a href=${this.#listOf(id)}>${id}</a>`, number(count)]),
                  'No actor of this kind is here.',
                )
              : html`<p class="soft">Your token sees the tasks of its tenant only.</p>`
          }
        </section>
        <section class="card">
          <h2>Ways taken in the last minute</h2>
          ${this.#table(
            ['event', 'from', 'to', 'times'],
            taken
              .slice(0, 30)
              .map(({ id, event, kind, guard, from, to }) => [
                html`${kind === 'after' ? `after ${event}` : eventName(event)}
                ${guard ? html`<div class="small soft">[${guard}]</div>` : nothing}`,
                short(from),
                to ? short(to) : '–',
                number(this.#counts.get(id)),
              ]),
            'Nothing moved.',
          )}
        </section>
      </div>`;
  }

  #table(head, rows, none) {
    if (rows.length === 0) return html`<p class="soft">${none}</p>`;
    return html`<div class="scroll">
      <table>
        <thead>
          <tr>
            ${head.map((name, index) => html`<th class=${index === head.length - 1 ? 'number' : ''}>${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (cells) =>
              html`<tr>
                ${cells.map((cell, index) => html`<td class=${index === cells.length - 1 ? 'number' : ''}>${cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
  }
}

const short = (id) => id.split('.').at(-1);
