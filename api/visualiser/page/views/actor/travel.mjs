/** Time travel over the records of an actor: the slider, what a record changed, and what another event would have led to. */
import { html, live, nothing } from '../../lib.mjs';
import { colourOf, eventName, number } from '../../format.mjs';
import { diffTable, jsonBlock } from '../../json.mjs';

const stepsShownMax = 200;
/** The slider rests this long before an instant is asked for. */
const restMs = 60;

export class Travel {
  /** Place of the record that is looked at; undefined follows the present. */
  at;
  /** What another event would have led to. */
  fork;
  #app;
  #path;
  #onMove;
  #draft;
  #then;
  #before;
  #timer;

  /**
   * @param path of the actor in the API
   * @param onMove is called when another instant is looked at; `true` when it is a step from one to the next
   */
  constructor(app, path, onMove) {
    this.#app = app;
    this.#path = path;
    this.#onMove = onMove;
    const at = app.query.get('at');
    if (at !== null && /^\d+$/.test(at)) this.at = Number(at);
  }

  leave() {
    clearTimeout(this.#timer);
  }

  /** An address may name an instant before anybody moved the slider. */
  begin() {
    if (this.at !== undefined && !this.#then) this.to(this.at);
  }

  to(place) {
    this.fork = this.#draft = undefined;
    this.at = place;
    this.#onMove(true);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(place), restMs);
  }

  async #look(place) {
    const at = (one) => (one < 0 ? undefined : this.#app.session.call(`${this.#path}/replay?at=${one}`));
    try {
      const [then, before] = await Promise.all([at(place), at(place - 1)]);
      if (this.at !== place) return;
      this.#then = then;
      this.#before = before;
      this.#app.setAddress({ at: String(place) });
      this.#app.update();
    } catch (error) {
      this.#app.notify(error.message, 'bad');
    }
  }

  #toPresent() {
    clearTimeout(this.#timer);
    this.at = this.#then = this.#before = this.fork = this.#draft = undefined;
    this.#app.setAddress({ at: '' });
    this.#onMove(false);
  }

  slider(past) {
    if (past.last < 0) return nothing;
    const at = Math.min(this.at ?? past.last, past.last);
    const record = past.records[at];
    const step = (by) => this.to(Math.min(past.last, Math.max(0, at + by)));
    return html`<section class="card travel">
      <div class="row between">
        <h2>Time travel</h2>
        <span class="small soft"
          >${at + 1} of ${number(past.last + 1)} · <b>${eventName(record.event)}</b> ·
          ${this.#app.time(record.at)}</span
        >
      </div>
      <input
        type="range"
        aria-label="Record"
        min="0"
        max=${past.last}
        .value=${live(String(at))}
        @input=${(event) => this.to(Number(event.target.value))}
      />
      <div class="row">
        <button ?disabled=${at === 0} @click=${() => step(-1)} aria-label="One record back">◀ Back</button>
        <button ?disabled=${at === past.last} @click=${() => step(1)} aria-label="One record on">On ▶</button>
        <button ?disabled=${this.at === undefined} @click=${() => this.#toPresent()}>Present</button>
      </div>
    </section>`;
  }

  /** What was known at the instant that is looked at, and what it could have been. */
  instant(past) {
    const record = past.records[this.at];
    if (!record) return html`<section class="card empty">There is no such record.</section>`;
    const then = this.#then?.at === this.at ? this.#then : undefined;
    return html`${this.#record(record)}
      <section class="card">
        <h2>What it changed</h2>
        ${this.#changed(then)}
      </section>
      ${this.#whatIf(record)}
      ${
        then?.standing
          ? html`<section class="card">
              <details>
                <summary><b>Context at that time</b></summary>
                ${jsonBlock(then.standing.context, this.#app)}
              </details>
            </section>`
          : nothing
      }`;
  }

  #record({ event, outcome, reason, state, revision, origin, by, at, payload }) {
    const facts = { reason, state, revision, origin, by };
    return html`<section class="card">
      <h2>Record ${this.at + 1}: ${eventName(event)}</h2>
      <dl class="facts">
        <dt>outcome</dt>
        <dd><span class="badge ${colourOf(outcome)}">${outcome}</span></dd>
        ${Object.entries(facts)
          .filter(([, value]) => value !== undefined)
          .map(
            ([name, value]) =>
              html`<dt>${name}</dt>
                <dd>${value}</dd>`,
          )}
        <dt>at</dt>
        <dd>${this.#app.time(at)}</dd>
      </dl>
      ${payload ? jsonBlock(payload, this.#app) : nothing}
    </section>`;
  }

  #changed(then) {
    if (!then) return html`<p class="soft">Loading …</p>`;
    if (!then.standing) return html`<p class="soft">It cannot be replayed.</p>`;
    return diffTable(this.#before?.standing?.context, then.standing.context);
  }

  #whatIf(record) {
    const original = JSON.stringify({ type: record.event, ...record.payload }, undefined, 2);
    const close = () => {
      this.#draft = this.fork = undefined;
      this.#onMove(false);
    };
    return html`<section class="card">
      <div class="row between">
        <h2>What if</h2>
        ${
          this.#draft === undefined
            ? html`<button @click=${() => ((this.#draft = original), this.#app.update())}>
                Try another event here
              </button>`
            : html`<button class="quiet" @click=${close}>Close</button>`
        }
      </div>
      ${
        this.#draft === undefined
          ? html`<p class="soft small">
              Replays the history with another event in this place. Nothing is changed, and no effect runs.
            </p>`
          : html`<textarea
                aria-label="Event"
                spellcheck="false"
                .value=${live(this.#draft)}
                @input=${(event) => (this.#draft = event.target.value)}
              ></textarea>
              <div class="row"><button class="main" @click=${() => this.#tryFork()}>Replay with it</button></div>`
      }
      ${this.fork ? forked(this.fork) : nothing}
    </section>`;
  }

  async #tryFork() {
    try {
      const event = JSON.parse(this.#draft);
      this.fork = await this.#app.session.call(`${this.#path}/what-if`, {
        method: 'POST',
        body: { at: this.at, event },
      });
    } catch (error) {
      this.fork = undefined;
      this.#app.notify(error.message, 'bad');
    }
    this.#onMove(false);
  }
}

function forked({ steps }) {
  return html`<div class="scroll">
      <table>
        <thead>
          <tr>
            <th>event</th>
            <th>then</th>
            <th>with this event</th>
          </tr>
        </thead>
        <tbody>
          ${steps.slice(0, stepsShownMax).map(
            ({ event, was, outcome, state, reason, effects }) =>
              html`<tr>
                <td>${eventName(event)}</td>
                <td>${was.state}</td>
                <td>
                  <span class="badge ${colourOf(outcome)}">${outcome}</span> ${state}
                  ${reason ? html`<div class="small soft">${reason}</div>` : nothing}
                  ${
                    effects.length > 0
                      ? html`<div class="small soft">would ${effects.map(({ kind }) => kind).join(', ')}</div>`
                      : nothing
                  }
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="small soft">The chart shows where it would stand.</p>`;
}
