/** Streams of every shard: how full they are, and how far behind their readers. */
import { html } from '../lib.mjs';
import { number } from '../format.mjs';

const names = { commands: 'commands', outbound: 'outbound', journal: 'journal', setAside: 'set aside' };

export class StreamsView {
  title = 'Streams';
  everyMs = 5_000;
  #app;
  #items;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    this.#items = (await this.#app.session.call('/api/v1/streams')).items;
  }

  template() {
    const shards = [...new Set((this.#items ?? []).map(({ shard }) => shard))];
    const of = (shard, stream) => this.#items.find((item) => item.shard === shard && item.stream === stream);
    return html`<div class="heading">
        <h1>Streams</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/streams')}>Copy as curl</button>
          <button @click=${() => this.#app.download('streams.json', this.#items)}>Download JSON</button>
        </div>
      </div>
      <section class="card">
        ${
          shards.length === 0
            ? html`<p class="empty">Loading …</p>`
            : html`<div class="scroll">
                <table>
                  <thead>
                    <tr>
                      <th>shard</th>
                      ${Object.values(names).map((name) => html`<th class="number">${name}</th>`)}
                      <th class="number">lag</th>
                      <th class="number">pending</th>
                    </tr>
                  </thead>
                  <tbody>
                    ${shards.map((shard) => {
                      const [group] = of(shard, 'commands')?.groups ?? [];
                      return html`<tr>
                        <td>${shard}</td>
                        ${Object.keys(names).map((name) => html`<td class="number">${number(of(shard, name)?.length)}</td>`)}
                        <td class="number">${number(group?.lag)}</td>
                        <td class="number">${number(group?.pending)}</td>
                      </tr>`;
                    })}
                  </tbody>
                </table>
              </div>`
        }
      </section>
      <p class="soft small">
        Lag: commands that no shard has read. Pending: read, and not yet committed. Set aside: entries that could not be
        applied.
      </p>`;
  }
}
