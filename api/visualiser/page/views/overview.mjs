/** The site at a glance. */
import { html, nothing } from '../lib.mjs';
import { colourOf, duration, number } from '../format.mjs';
import { plot } from '../plot.mjs';

export class OverviewView {
  title = 'Overview';
  everyMs = 2_000;
  #app;
  #status;
  #minutes;
  #minutesAt = 0;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    const { session } = this.#app;
    this.#status = await session.call('/api/v1/status');
    if (session.claims.tenant === undefined && Date.now() - this.#minutesAt > 10_000) {
      this.#minutes = (await session.call('/api/v1/activity')).minutes;
      this.#minutesAt = Date.now();
    }
  }

  template() {
    const status = this.#status;
    if (!status) return html`<div class="card empty">Loading …</div>`;
    const { site, health, tasks, agents, lanes, projection } = status;
    return html`<div class="heading">
        <h1>${site.name}</h1>
        <span class="badge good">${site.role}</span>
        <span class="soft small">version ${site.version} · ${health.shards_held} of ${site.shards} shards here</span>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/status')}>Copy as curl</button>
          <button @click=${() => this.#app.download('status.json', status)}>Download JSON</button>
        </div>
      </div>
      ${health.findings.map(
        ({ setting, consequence, remedy }) => html`<p class="notice warn">${setting}: ${consequence}. ${remedy}</p>`,
      )}
      <section class="card">
        <h2>Tasks</h2>
        ${this.#tiles(tasks, (name) => this.#app.href('tasks', { status: name }))}
      </section>
      ${this.#minutes ? this.#charts() : nothing}
      <div class="grid">
        <section class="card">
          <h2>Agents</h2>
          ${this.#tiles(agents, () => this.#app.href('agents'))}
        </section>
        <section class="card">
          <h2>Health</h2>
          <dl class="facts">
            <dt>Redis</dt>
            <dd><span class="badge ${colourOf(health.redis)}">${health.redis}</span></dd>
            <dt>PostgreSQL</dt>
            <dd>
              <span class="badge ${colourOf(health.postgres)}">${health.postgres}</span>
              <span class="soft small">${duration(projection.lag_seconds * 1_000)} behind</span>
            </dd>
            <dt>Slowest shard</dt>
            <dd>came round ${duration(health.slowest_shard_ms)} ago</dd>
            <dt>Sync</dt>
            <dd>${status.sync.detail ?? status.sync.state}</dd>
          </dl>
        </section>
        <section class="card">
          <h2>Queues</h2>
          ${
            lanes.length === 0
              ? html`<p class="soft">No task type is known yet.</p>`
              : html`<div class="scroll">
                  <table>
                    <thead>
                      <tr>
                        <th>type</th>
                        <th class="number">waiting</th>
                        <th class="number">held</th>
                        <th class="number">free slots</th>
                      </tr>
                    </thead>
                    <tbody>
                      ${lanes.slice(0, 8).map(
                        (lane) =>
                          html`<tr>
                            <td><a href=${this.#app.href('tasks', { type: lane.type })}>${lane.type}</a></td>
                            <td class="number">${number(lane.queued)}</td>
                            <td class="number">${number(lane.running)}</td>
                            <td class="number">${number(lane.free_slots)}</td>
                          </tr>`,
                      )}
                    </tbody>
                  </table>
                </div>`
          }
        </section>
      </div>`;
  }

  #tiles(counts, href) {
    if (!counts) return html`<p class="soft">PostgreSQL does not answer, so they are not counted.</p>`;
    const names = Object.keys(counts);
    if (names.length === 0) return html`<p class="soft">None yet.</p>`;
    return html`<div class="tiles">
      ${names.map(
        (name) =>
          html`<a class="tile" href=${href(name)}
            ><b>${number(counts[name])}</b><span class="badge ${colourOf(name)}">${name.toLowerCase()}</span></a
          >`,
      )}
    </div>`;
  }

  #charts() {
    const minutes = this.#minutes;
    const ms = (value) => duration(value);
    return html`<div class="grid">
      <section class="card">
        <h2>Throughput, tasks a minute</h2>
        ${plot(
          minutes,
          [
            { name: 'submitted', of: ({ submitted }) => submitted },
            { name: 'finished', of: ({ finished }) => finished },
          ],
          (value) => number(Math.round(value)),
        )}
      </section>
      <section class="card">
        <h2>Latency, from submit to end</h2>
        ${plot(
          minutes,
          [
            { name: 'median', of: ({ latency_p50_ms: value }) => value },
            { name: '95 %', of: ({ latency_p95_ms: value }) => value },
          ],
          ms,
        )}
      </section>
      <section class="card">
        <h2>Backlog, open tasks</h2>
        ${plot(minutes, [{ name: 'open', of: ({ open }) => open }], (value) => number(Math.round(value)))}
      </section>
    </div>`;
  }
}
