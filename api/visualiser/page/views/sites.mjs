/** Both sites of a pair, how one follows the other, and where the two wrote different histories. */
import { html, nothing } from '../lib.mjs';
import { colourOf, duration, number } from '../format.mjs';

/** By role and link of the site that serves this page: what it may be told, and what is asked before. */
const levers = [
  {
    action: 'switchover',
    verb: 'Hand over',
    fits: ({ role }, other) => role === 'active' && other?.role === 'standby',
    question: (_, { site }) => `Hand over to the ${site} site?`,
    detail: 'Writes wait for a few seconds; nothing is lost. The other site takes them then.',
  },
  { action: 'check', verb: 'Compare now', fits: ({ role }) => role === 'standby' },
  { action: 'resume', verb: 'Follow again', fits: ({ link }) => link === 'paused' },
  {
    action: 'pause',
    verb: 'Stop following',
    fits: ({ role, link }) => role === 'standby' && link !== 'paused',
    question: ({ site }) => `Let the ${site} site follow no more?`,
    detail: 'What the other site decides is missing here until it follows again.',
  },
  {
    action: 'promote',
    verb: 'Promote',
    fits: ({ role }, other) => role === 'standby' && other?.role !== null && other?.role !== 'active',
    question: ({ site }) => `Make the ${site} site active?`,
    detail: 'It takes over with everything that the other site still gives.',
  },
];

export class SitesView {
  title = 'Sites';
  everyMs = 2_000;
  #app;
  #sites;
  #conflicts;
  #next;

  constructor(app) {
    this.#app = app;
  }

  async load() {
    const { session } = this.#app;
    this.#sites = (await session.call('/api/v1/sites')).sites;
    if (session.claims.tenant !== undefined) return;
    const machine = this.#app.query.get('machine');
    const query = machine ? `?machine=${encodeURIComponent(machine)}` : '';
    const { conflicts, next } = await session.call(`/api/v1/conflicts${query}`);
    this.#conflicts = conflicts;
    this.#next = next;
  }

  template() {
    if (!this.#sites) return html`<div class="card empty">Loading …</div>`;
    const own = this.#sites.find(({ self }) => self);
    const other = this.#sites.find(({ self }) => !self);
    return html`<div class="heading">
        <h1>Sites</h1>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl('/api/v1/sites')}>Copy as curl</button>
          <button
            @click=${() => this.#app.download('sites.json', { sites: this.#sites, conflicts: this.#conflicts ?? null })}
          >
            Download JSON
          </button>
        </div>
      </div>
      ${own.refusal ? this.#refusal(own.refusal) : nothing}
      <div class="grid">
        ${this.#own(own, other)}
        ${other ? this.#other(other, own) : html`<p class="card empty">This site runs alone; [peer] in its settings names another one.</p>`}
      </div>
      ${own.last_check?.drift?.length > 0 ? this.#drift(own.last_check) : nothing}
      <section class="card">
        <h2>Conflicts</h2>
        ${this.#table()}
      </section>`;
  }

  #refusal({ name, detail, remedy }) {
    return html`<p class="notice bad" data-refusal=${name}><b>${name}</b>: ${detail}; ${remedy}</p>`;
  }

  #own(own, other) {
    const { site, role, epoch, link, mode, reason, since, lag_entries: entries, lag_ms: ms, copy } = own;
    return html`<section class="card" data-site=${site}>
      <h2>${site} <span class="soft">this one</span></h2>
      <dl class="facts">
        <dt>role</dt>
        <dd><span class="badge ${colourOf(role)}" data-role=${role}>${role}</span></dd>
        ${this.#fact('epoch', epoch === undefined ? undefined : html`<span class="mono">${epoch}</span>`)}
        ${this.#fact('since', since && html`${this.#app.time(since)} ${reason ? html`<span class="soft">${reason}</span>` : nothing}`)}
        ${this.#fact('takes over', mode && (mode === 'witness' ? 'by itself, by the witness' : 'when it is told'))}
        ${this.#fact('follows', link && html`<span class="badge ${colourOf(link)}" data-link=${link}>${link.replace('_', ' ')}</span>`)}
        ${this.#fact('behind', entries === undefined ? undefined : `${number(entries)} entries, ${duration(ms)}`)}
        ${this.#fact('copied', copy && `${number(copy.actors)} actors`)}
        ${this.#fact('compared', own.last_check && this.#check(own.last_check))}
      </dl>
      ${this.#levers(own, other)}
    </section>`;
  }

  #other({ site, role, epoch, api, seen_at: seen }, own) {
    return html`<section class="card" data-site=${site}>
      <h2>${site}</h2>
      <dl class="facts">
        <dt>role</dt>
        <dd>
          ${
            role === null
              ? html`<span class="badge bad" data-role="unknown">does not answer</span>`
              : html`<span class="badge ${colourOf(role)}" data-role=${role}>${role}</span>`
          }
        </dd>
        ${this.#fact('epoch', epoch === undefined ? undefined : html`<span class="mono">${epoch}</span>`)}
        ${this.#fact('asked', this.#app.time(seen))}
        ${this.#fact('console', html`<a href="${api}/visualiser/sites" rel="noreferrer">${api}</a>`)}
      </dl>
      ${
        role === null && own.role === 'standby'
          ? html`<p class="small soft">
              If it is lost: <code class="mono">orchestrator site force-promote --yes</code> at ${own.site} makes that
              one active.
            </p>`
          : nothing
      }
    </section>`;
  }

  #fact(name, value) {
    return value === undefined || value === nothing
      ? nothing
      : html`<dt>${name}</dt>
          <dd>${value}</dd>`;
  }

  #check({ at, equal, drift }) {
    const said = equal ? 'equal' : drift.length > 0 ? `${number(drift.length)} differ` : 'not equal';
    return html`<span class="badge ${equal ? 'good' : 'bad'}" data-check=${equal}>${said}</span> ${this.#app.time(at)}`;
  }

  #drift({ drift }) {
    return html`<section class="card">
      <h2>What differs</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th class="number">shard</th>
              <th>actor</th>
              <th>what</th>
            </tr>
          </thead>
          <tbody>
            ${drift.map(
              ({ shard, actor, detail }) =>
                html`<tr>
                  <td class="number">${shard}</td>
                  <td class="mono">${actor}</td>
                  <td>${detail}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </section>`;
  }

  #levers(own, other) {
    const fitting = levers.filter(({ fits }) => other && fits(own, other));
    if (fitting.length === 0 || !this.#app.session.can('admin')) return nothing;
    return html`<div class="row levers">
      ${fitting.map((lever) => html`<button data-lever=${lever.action} @click=${() => this.#pull(lever, own, other)}>${lever.verb}</button>`)}
    </div>`;
  }

  async #pull({ action, verb, question, detail }, own, other) {
    if (question && !(await this.#app.confirm(question(own, other), detail, verb))) return;
    await this.#app.act(verb, async () => {
      await this.#app.session.call(`/api/v1/sites/${own.site}/${action}`, { method: 'POST' });
      return `${verb}: begun`;
    });
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
