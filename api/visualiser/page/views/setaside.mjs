/** Entries that could not be applied, with their reasons. */
import { html, nothing } from '../lib.mjs';
import { jsonBlock } from '../json.mjs';

export class SetAsideView {
  title = 'Set aside';
  everyMs = 5_000;
  #app;
  #items;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    if (this.#app.session.can('admin')) this.#items = (await this.#app.session.call('/api/v1/set-aside')).items;
  }

  template() {
    return html`<div class="heading">
        <h1>Set aside</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/set-aside')}>Copy as curl</button>
          <button @click=${() => this.#app.download('set-aside.json', this.#items)}>Download JSON</button>
        </div>
      </div>
      ${
        this.#app.session.can('admin')
          ? this.#list()
          : html`<section class="card empty">
              These entries may hold anything, so the scope admin is needed to see them.
            </section>`
      }`;
  }

  #list() {
    if (!this.#items) return html`<section class="card empty">Loading …</section>`;
    if (this.#items.length === 0)
      return html`<section class="card empty">
        Nothing is set aside. An entry comes here when it cannot be applied.
      </section>`;
    return html`<section class="card">
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>shard</th>
              <th>entry</th>
              <th>reason</th>
              <th>detail</th>
              <th></th>
            </tr>
          </thead>
          <tbody>
            ${this.#items.map(
              (entry) =>
                html`<tr>
                  <td>${entry.shard}</td>
                  <td class="mono nowrap">${entry.id}</td>
                  <td><span class="badge bad">${entry.reason}</span></td>
                  <td>
                    ${entry.detail ?? nothing}
                    <details>
                      <summary>entry</summary>
                      ${jsonBlock(entry, this.#app)}
                    </details>
                  </td>
                  <td><button @click=${() => this.#redrive(entry)}>Redrive</button></td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </section>`;
  }

  async #redrive({ shard, id }) {
    await this.#app.act(`Redrive ${id}`, async () => {
      const { redriven } = await this.#app.session.call(`/api/v1/set-aside/${shard}/${id}/redrive`, { method: 'POST' });
      return redriven ? `${id} was decided` : `${id} was set aside again`;
    });
  }
}
