/** The site, how it stands to the other one of its pair, and where the two wrote different histories. */
import { html, nothing } from '../lib.mjs';
import { colourOf, duration, number } from '../format.mjs';

export class SitesView {
  title = 'Sites';
  everyMs = 5_000;
  #app;
  #status;
  #conflicts;
  #next;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    const { session } = this.#app;
    this.#status = await session.call('/api/v1/status');
    if (session.claims.tenant !== undefined) return;
    const machine = this.#app.query.get('machine');
    const query = machine ? `?machine=${encodeURIComponent(machine)}` : '';
    const { conflicts, next } = await session.call(`/api/v1/conflicts${query}`);
    this.#conflicts = conflicts;
    this.#next = next;
  }

  template() {
    if (!this.#status) return html`<div class="card empty">Loading …</div>`;
    const { site, sync, projection } = this.#status;
    return html`<div class="heading">
        <h1>Sites</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/conflicts')}>Copy as curl</button>
          <button @click=${() => this.#app.download('conflicts.json', this.#conflicts)}>Download JSON</button>
        </div>
      </div>
      <section class="card">
        <h2>${site.name}</h2>
        <dl class="facts">
          <dt>role</dt>
          <dd><span class="badge good">${site.role}</span></dd>
          ${
            site.epoch === undefined
              ? nothing
              : html`<dt>epoch</dt>
                  <dd class="mono">${site.epoch}</dd>`
          }
          <dt>other site</dt>
          <dd><span class="badge ${colourOf(sync.state)}">${sync.state}</span> ${sync.detail}</dd>
          <dt>history</dt>
          <dd>${duration(projection.lag_seconds * 1_000)} behind</dd>
        </dl>
      </section>
      <section class="card">
        <h2>Conflicts</h2>
        ${this.#table()}
      </section>`;
  }

  #table() {
    if (!this.#conflicts) return html`<p class="soft">Your token sees the tasks of its tenant only.</p>`;
    if (this.#conflicts.length === 0)
      return html`<p class="empty">Both sites of a pair never wrote different histories of an actor here.</p>`;
    return html`<div class="scroll">
        <table>
          <thead>
            <tr>
              <th>actor</th>
              <th>found</th>
              <th>goes on</th>
              <th>gave way</th>
              <th class="number">inputs</th>
              <th class="number">superseded</th>
              <th>now</th>
            </tr>
          </thead>
          <tbody>
            ${this.#conflicts.map((one) => this.#row(one))}
          </tbody>
        </table>
      </div>
      ${this.#next ? html`<p class="small soft">There are more; the API has them page by page.</p>` : nothing}`;
  }

  #row({ id, actor, found_at: found, winner, loser, inputs }) {
    const superseded = inputs.filter(({ outcome }) => outcome === 'superseded').length;
    return html`<tr data-conflict=${id}>
      <td class="mono"><a href=${this.#app.href(`conflicts/${encodeURIComponent(id)}`)}>${actor}</a></td>
      <td class="nowrap">${this.#app.time(found)}</td>
      <td>${winner.site}</td>
      <td>${loser.site}</td>
      <td class="number">${number(inputs.length)}</td>
      <td class="number">${number(superseded)}</td>
      <td><span class="badge ${colourOf(winner.after)}">${winner.after}</span></td>
    </tr>`;
  }
}
