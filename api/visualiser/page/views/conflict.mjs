/** One actor of which two sites wrote different histories: both on its statechart, and what became of every input. */
import { html, nothing } from '../lib.mjs';
import { StateChart } from '../chart.mjs';
import { colourOf, eventName } from '../format.mjs';
import { jsonBlock } from '../json.mjs';
import { Past } from '../past.mjs';

export class ConflictView {
  everyMs = 0;
  #app;
  #id;
  #conflict;
  #chart;
  #whole = false;

  constructor(app, { id }) {
    this.#app = app;
    this.#id = id;
  }

  get title() {
    return `Conflict ${this.#conflict?.actor ?? this.#id}`;
  }

  async load() {
    const { session } = this.#app;
    const conflict = await session.call(`/api/v1/conflicts/${encodeURIComponent(this.#id)}`);
    this.#chart ??= await StateChart.open(session, conflict.machine);
    const past = new Past(await session.call(`/api/v1/actors/${conflict.actor}/replay`));
    this.#chart.branches(forkOf(conflict, past), conflict.branches);
    this.#conflict = conflict;
  }

  template() {
    const conflict = this.#conflict;
    if (!conflict) return html`<div class="card empty">Loading …</div>`;
    const { actor, machine, fork, winner, loser, branches, correction, unjoined } = conflict;
    const id = actor.slice(machine.length + 1);
    return html`<div class="heading">
        <h1><span class="soft">conflict</span> <a href=${this.#app.actorHref(machine, id)}>${actor}</a></h1>
        <span class="badge ${colourOf(winner.after)}">${winner.after}</span>
        <div class="actions">
          <button @click=${() => this.#app.copyCurl(`/api/v1/conflicts/${this.#id}`)}>Copy as curl</button>
          <button @click=${() => this.#app.download(`conflict-${id}.json`, conflict)}>Download JSON</button>
        </div>
      </div>
      <p class="notice">
        Both sites went on after revision ${fork.revision}. The history of ${winner.site} goes on, with epoch
        ${winner.epoch}; what ${loser.site} was told under epoch ${loser.epoch} was decided once more.
      </p>
      <section class="card broad">
        <div class="row between">
          <h2>Both branches</h2>
          <button class="quiet" @click=${() => this.#fit()}>${this.#whole ? 'Larger' : 'Whole chart'}</button>
        </div>
        ${this.#chart.element}
        <p class="legend">
          <span class="branch kept">goes on (${winner.site})</span>
          <span class="branch given-up">gave way (${loser.site})</span>
          <span class="branch both">both</span> <span class="branch fork">fork</span>
        </p>
      </section>
      <section class="card">
        <h2>Inputs of the branch that gave way</h2>
        ${this.#inputs(conflict.inputs)}
      </section>
      <div class="grid">
        ${branches.map((branch) => this.#branch(branch))}
        ${
          correction
            ? html`<section class="card">
                <h2>Correction</h2>
                ${jsonBlock(correction, this.#app)}
              </section>`
            : nothing
        }
        ${unjoined === undefined ? nothing : html`<p class="notice warn">Not joined: ${JSON.stringify(unjoined)}</p>`}
      </div>`;
  }

  #fit() {
    this.#whole = !this.#whole;
    this.#chart.fit(this.#whole);
    this.#app.update();
  }

  #branch({ site, epoch, won, entries, truncated }) {
    return html`<section class="card" data-branch=${won ? 'kept' : 'given-up'}>
      <h2><span class="branch ${won ? 'kept' : 'given-up'}">${site}</span> <span class="soft">epoch ${epoch}</span></h2>
      ${
        entries.length === 0
          ? html`<p class="soft">It did nothing.</p>`
          : html`<div class="scroll">
              <table>
                <thead>
                  <tr>
                    <th class="number">revision</th>
                    <th>event</th>
                    <th>state</th>
                    <th>when</th>
                  </tr>
                </thead>
                <tbody>
                  ${entries.map(
                    ({ revision, event, to, at }) =>
                      html`<tr>
                        <td class="number">${revision}</td>
                        <td>${eventName(event)}</td>
                        <td><span class="badge ${colourOf(to)}">${to}</span></td>
                        <td class="nowrap">${this.#app.time(at)}</td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>`
      }
      ${truncated ? html`<p class="small soft">There is more; the history of the actor has it.</p>` : nothing}
    </section>`;
  }

  #inputs(inputs) {
    if (inputs.length === 0) return html`<p class="soft">Nothing came to it from outside.</p>`;
    return html`<div class="scroll">
      <table>
        <thead>
          <tr>
            <th>event</th>
            <th>became</th>
            <th>state</th>
            <th>why</th>
            <th class="wide">command</th>
            <th>when</th>
          </tr>
        </thead>
        <tbody>
          ${inputs.map(
            ({ command_id: command, event, outcome, state, reason, at }) =>
              html`<tr data-input=${outcome}>
                <td>${eventName(event)}</td>
                <td><span class="badge ${colourOf(outcome)}">${outcome}</span></td>
                <td>${state ?? ''}</td>
                <td>${reason ?? ''}</td>
                <td class="mono wide">${command}</td>
                <td class="nowrap">${this.#app.time(at)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
  }
}

/** What was lit where the branches part. */
function forkOf({ fork }, past) {
  const place = past.records.findIndex(({ outcome, revision }) => outcome === 'applied' && revision === fork.revision);
  return place === -1 ? [] : past.litAt(place);
}
