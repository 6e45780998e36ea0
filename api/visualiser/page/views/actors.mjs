/** Actors of a definition that has no list of its own. */
import { html } from '../lib.mjs';
import { colourOf } from '../format.mjs';

export class ActorsView {
  everyMs = 3_000;
  #app;
  #definition;
  #items;

  constructor(app, { definition }) {
    this.#app = app;
    this.#definition = definition;
  }

  get title() {
    return `Actors of ${this.#definition}`;
  }

  get #path() {
    const state = this.#app.query.get('state');
    return `/api/v1/actors/${this.#definition}${state ? `?state=${encodeURIComponent(state)}` : ''}`;
  }

  async load() {
    this.#items = (await this.#app.session.call(this.#path)).items;
  }

  template() {
    const state = this.#app.query.get('state');
    return html`<div class="heading">
        <h1><span class="soft">actors of</span> ${this.#definition}</h1>
        ${state ? html`<span class="badge">${state}</span><a href=${this.#app.href(`actors/${this.#definition}`)}>all</a>` : ''}
        <div class="actions">
          <a class="button" href=${this.#app.href(`machines/${this.#definition}`)}>Machine</a>
          <button @click=${() => this.#app.copyCurl(this.#path)}>Copy as curl</button>
        </div>
      </div>
      <section class="card">
        ${
          !this.#items
            ? html`<p class="empty">Loading …</p>`
            : this.#items.length === 0
              ? html`<p class="empty">There is none.</p>`
              : html`<div class="scroll">
                  <table>
                    <thead>
                      <tr>
                        <th>actor</th>
                        <th>state</th>
                        <th>revision</th>
                        <th>changed</th>
                      </tr>
                    </thead>
                    <tbody>
                      ${this.#items.map(
                        (item) =>
                          html`<tr>
                            <td class="mono">
                              <a href=${this.#app.actorHref(this.#definition, item.id)}>${item.id}</a>
                            </td>
                            <td><span class="badge ${colourOf(item.state)}">${item.state}</span></td>
                            <td>${item.revision}</td>
                            <td>${this.#app.time(item.updated_at)}</td>
                          </tr>`,
                      )}
                    </tbody>
                  </table>
                </div>`
        }
      </section>`;
  }
}
