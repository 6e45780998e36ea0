/** One actor: its chart as it stands, what it takes, and its past, instant by instant. */
import { html, nothing, svg, live } from '../lib.mjs';
import { StateChart } from '../chart.mjs';
import { colourOf, duration, eventName, number } from '../format.mjs';
import { diffTable, jsonBlock } from '../json.mjs';
import { Live } from '../live.mjs';

const rowsMax = 200;

export class ActorView {
  everyMs = 15_000;
  events = true;
  #app;
  #definition;
  #id;
  #chart;
  #actor;
  #task;
  #past;
  /** Number of the record that is looked at; undefined follows the present. */
  #at;
  #then;
  #before;
  #tab = 'compact';
  #whole = false;
  #fork;
  #draft;
  #live;
  #seen;
  #travelling;
  #pastTimer;
  #gone = false;
  #rows = rowsMax;

  constructor(app, { definition, id }) {
    this.#app = app;
    this.#definition = definition;
    this.#id = id;
    this.#tab = app.query.get('history') ?? 'compact';
    const at = app.query.get('at');
    if (at !== null && /^\d+$/.test(at)) this.#at = Number(at);
  }

  get title() {
    return `${this.#definition} ${this.#id}`;
  }

  get #path() {
    return `/api/v1/actors/${this.#definition}/${encodeURIComponent(this.#id)}`;
  }

  leave() {
    clearTimeout(this.#pastTimer);
    clearTimeout(this.#travelling);
    this.#live?.close();
  }

  async load() {
    const { session } = this.#app;
    this.#chart ??= await StateChart.open(session, this.#definition);
    this.#follow();
    await Promise.all([this.#loadPresent(), this.#loadPast()]);
    this.#light(false);
    if (this.#at !== undefined && !this.#then) await this.#travelTo(this.#at);
  }

  #follow() {
    if (this.#live) return;
    const tenant = this.#app.session.claims.tenant !== undefined;
    const id = encodeURIComponent(this.#id);
    const path =
      this.#definition === 'task' && tenant
        ? `/api/v1/tasks/${id}/events`
        : ['task', 'agent'].includes(this.#definition)
          ? `/api/v1/events?${this.#definition}=${id}`
          : `/api/v1/events?definition=${this.#definition}`;
    this.#live = new Live(this.#app.session, path, {
      transition: (transition) => {
        if (transition.actor !== `${this.#definition}/${this.#id}`) return;
        void this.#moved();
      },
      again: () => void this.#moved(),
      state: (connected) => this.#app.connected(connected),
    });
  }

  /** Something happened: the present at once, the past when PostgreSQL has it. One look at a time. */
  async #moved() {
    clearTimeout(this.#pastTimer);
    this.#pastTimer = setTimeout(() => void this.#again(() => this.#loadPast()), 400);
    if (this.#seen === 'looking' || this.#seen === 'again') {
      this.#seen = 'again';
      return;
    }
    this.#seen = 'looking';
    await this.#again(() => this.#loadPresent());
    const again = this.#seen === 'again';
    this.#seen = undefined;
    if (again) setTimeout(() => void this.#moved(), 50);
  }

  async #again(look) {
    try {
      await look();
    } catch (error) {
      this.#app.notify(error.message, 'bad');
    }
    this.#light(true);
    this.#app.update();
  }

  async #loadPresent() {
    const { session } = this.#app;
    const missing = (error) => {
      if (error.status === 404) return undefined;
      throw error;
    };
    const [actor, task] = await Promise.all([
      session.call(this.#path).catch(missing),
      this.#definition === 'task' ? session.call(`/api/v1/tasks/${encodeURIComponent(this.#id)}`) : undefined,
    ]);
    this.#gone = !actor;
    this.#task = task;
    if (!actor) return;
    if (this.#actor && actor.revision > this.#actor.revision) actor.came = this.#actor.lit;
    this.#actor = actor;
  }

  async #loadPast() {
    try {
      this.#past = await this.#app.session.call(`${this.#path}/replay`);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.#past = { records: [], lit: {}, divergence: null };
    }
  }

  get #records() {
    return this.#past?.records ?? [];
  }

  #litAt(index) {
    for (let at = index; at >= 0; at--) {
      const record = this.#records[at];
      if (record?.outcome === 'applied') return this.#past.lit[record.state] ?? [];
    }
    return [];
  }

  /** Lights the chart for the instant that is looked at. */
  #light(moving) {
    const chart = this.#chart;
    if (!chart) return;
    if (this.#fork) {
      const last = this.#fork.steps.at(-1);
      chart.show(this.#fork.lit[last.state] ?? [], undefined);
      return;
    }
    const present = this.#at === undefined;
    const index = present ? this.#records.length - 1 : this.#at;
    let place = index;
    // What was refused or repeated took no way.
    while (place > 0 && this.#records[place]?.outcome !== 'applied') place--;
    const record = this.#records[place];
    const current = present && record && this.#actor && record.revision < this.#actor.revision;
    const lit = present && this.#actor ? this.#actor.lit : this.#litAt(index);
    const edge =
      record && !current ? chart.edgeFor(place > 0 ? this.#litAt(place - 1) : [], record.event, lit) : undefined;
    chart.show(lit, edge, { moving });
  }

  async #travelTo(index) {
    this.#fork = undefined;
    this.#draft = undefined;
    this.#at = index;
    this.#light(true);
    this.#app.update();
    clearTimeout(this.#travelling);
    this.#travelling = setTimeout(() => void this.#look(index), 60);
  }

  async #look(index) {
    const at = (place) => (place < 0 ? undefined : this.#app.session.call(`${this.#path}/replay?at=${place}`));
    try {
      const [then, before] = await Promise.all([at(index), at(index - 1)]);
      if (this.#at !== index) return;
      this.#then = then;
      this.#before = before;
      const text = new URLSearchParams(location.search);
      text.set('at', index);
      history.replaceState(null, '', `${location.pathname}?${text}`);
      this.#app.update();
    } catch (error) {
      this.#app.notify(error.message, 'bad');
    }
  }

  #toPresent() {
    clearTimeout(this.#travelling);
    this.#at = this.#then = this.#before = this.#fork = this.#draft = undefined;
    const text = new URLSearchParams(location.search);
    text.delete('at');
    history.replaceState(null, '', `${location.pathname}${text.size > 0 ? `?${text}` : ''}`);
    this.#light(false);
    this.#app.update();
  }

  template() {
    if (!this.#chart || !this.#past) return html`<div class="card empty">Loading …</div>`;
    const status = this.#task?.status ?? this.#actor?.state ?? this.#records.at(-1)?.state ?? 'unknown';
    return html`<div class="heading">
        <h1><span class="soft">${this.#definition}</span> ${this.#id}</h1>
        <span class="badge ${colourOf(status)}" data-status=${status}>${status}</span>
        ${
          this.#actor && !this.#gone
            ? html`<span class="soft small"
                >for ${duration(Date.now() - Date.parse(this.#actor.since))} · revision ${this.#actor.revision}</span
              >`
            : nothing
        }
        <div class="actions">
          <button
            @click=${() => this.#app.copyCurl(this.#definition === 'task' ? `/api/v1/tasks/${this.#id}` : this.#path)}
          >
            Copy as curl
          </button>
          <button
            @click=${() => this.#app.download(`${this.#id}.json`, { actor: this.#actor, task: this.#task, history: this.#past })}
          >
            Download JSON
          </button>
        </div>
      </div>
      ${this.#why()}
      <div class="actor">
        <div>
          <section class="card">
            <div class="row between">
              <h2>Statechart</h2>
              <button class="quiet" @click=${() => this.#fit()}>${this.#whole ? 'Larger' : 'Whole chart'}</button>
            </div>
            ${this.#chart.element}
          </section>
          ${this.#travel()}
          <section class="card">${this.#history()}</section>
        </div>
        <div>${this.#at === undefined ? this.#present() : this.#instant()}</div>
      </div>`;
  }

  #fit() {
    this.#whole = !this.#whole;
    this.#chart.fit(this.#whole);
    this.#app.update();
  }

  #why() {
    const { explanation } = this.#task ?? {};
    const { divergence } = this.#past;
    return html`${explanation ? html`<p class="notice">${explanation}</p>` : nothing}
    ${
      divergence
        ? html`<p class="notice warn">
            The history can be replayed up to record ${divergence.at} only: ${divergence.detail}. States are shown as
            recorded.
          </p>`
        : nothing
    }`;
  }

  #buttons() {
    const legal = this.#actor?.legal ?? [];
    const { session } = this.#app;
    const allowed = legal.filter(({ scope }) => session.can(scope));
    if (this.#gone) return html`<p class="soft">It is over; only its history is left.</p>`;
    if (legal.length === 0) return html`<p class="soft">It takes no command in this state.</p>`;
    if (allowed.length === 0)
      return html`<p class="soft">Your token sends none of: ${legal.map(({ event }) => event).join(', ')}.</p>`;
    return html`<div class="row">
      ${allowed.map(
        ({ event, scope }) =>
          html`<button
            class=${['cancel', 'retire'].includes(event) ? 'danger' : ''}
            title="needs the scope ${scope}"
            @click=${() => this.#send(event)}
          >
            ${event}
          </button>`,
      )}
    </div>`;
  }

  async #send(event) {
    if (!(await this.#app.confirm(`Send “${event}” to this ${this.#definition}?`, this.#id, event))) return;
    await this.#app.act(event, async () => {
      const answer = await this.#app.session.call(`${this.#path}/events`, { method: 'POST', body: { type: event } });
      return `${event}: ${answer.outcome}`;
    });
  }

  #present() {
    const task = this.#task;
    const actor = this.#actor;
    const facts = task
      ? [
          ['type', html`<a href=${this.#app.href('tasks', { type: task.type })}>${task.type}</a>`],
          ['priority', task.priority],
          ['tenant', task.tenant],
          ['attempt', task.attempt],
          ['agent', task.agent && html`<a href=${this.#app.actorHref('agent', task.agent)}>${task.agent}</a>`],
          [
            'progress',
            task.progress !== undefined ? `${Math.round(task.progress * 100)} % ${task.note ?? ''}` : undefined,
          ],
          ['reason', task.reason],
          ['error', task.error?.message],
          ['submitted', this.#app.time(task.created_at)],
          ['started', task.started_at && this.#app.time(task.started_at)],
          ['finished', task.finished_at && this.#app.time(task.finished_at)],
        ]
      : [];
    const timers = Object.entries(actor?.timers ?? {});
    const { context, ...rest } = actor ?? {};
    return html`<section class="card">
        <h2>Events that it takes now</h2>
        ${this.#buttons()}
      </section>
      ${
        facts.length > 0
          ? html`<section class="card">
              <h2>Task</h2>
              <dl class="facts">
                ${facts
                  .filter(([, value]) => value !== undefined && value !== null && value !== '')
                  .map(
                    ([name, value]) =>
                      html`<dt>${name}</dt>
                        <dd>${value}</dd>`,
                  )}
              </dl>
            </section>`
          : nothing
      }
      ${
        timers.length > 0
          ? html`<section class="card">
              <h2>Timers</h2>
              <dl class="facts">
                ${timers.map(
                  ([name, due]) =>
                    html`<dt>${eventName(name)}</dt>
                      <dd>${this.#app.time(due)}</dd>`,
                )}
              </dl>
            </section>`
          : nothing
      }
      ${
        task
          ? html`<section class="card">
                <h2>Parameters</h2>
                ${jsonBlock(task.parameters, this.#app)}
              </section>
              ${
                task.result !== undefined
                  ? html`<section class="card">
                      <h2>Result</h2>
                      ${jsonBlock(task.result, this.#app)}
                    </section>`
                  : nothing
              }`
          : nothing
      }
      ${
        actor
          ? html`<section class="card">
              <details>
                <summary><b>Context</b></summary>
                ${jsonBlock(context, this.#app)}
              </details>
              <details>
                <summary><b>Snapshot</b></summary>
                ${jsonBlock(rest, this.#app)}
              </details>
            </section>`
          : nothing
      }`;
  }

  #travel() {
    const last = this.#records.length - 1;
    if (last < 0) return nothing;
    const at = this.#at ?? last;
    const record = this.#records[at];
    const step = (by) => this.#travelTo(Math.min(last, Math.max(0, at + by)));
    return html`<section class="card travel">
      <div class="row between">
        <h2>Time travel</h2>
        <span class="small soft"
          >${at + 1} of ${number(last + 1)} · <b>${eventName(record.event)}</b> · ${this.#app.time(record.at)}</span
        >
      </div>
      <input
        type="range"
        aria-label="Record"
        min="0"
        max=${last}
        .value=${live(String(at))}
        @input=${(event) => this.#travelTo(Number(event.target.value))}
      />
      <div class="row">
        <button ?disabled=${at === 0} @click=${() => step(-1)} aria-label="One record back">◀ Back</button>
        <button ?disabled=${at === last} @click=${() => step(1)} aria-label="One record on">On ▶</button>
        <button ?disabled=${this.#at === undefined} @click=${() => this.#toPresent()}>Present</button>
      </div>
    </section>`;
  }

  /** What was known at the instant that is looked at, and what it could have been. */
  #instant() {
    const record = this.#records[this.#at];
    if (!record) return html`<section class="card empty">There is no such record.</section>`;
    const then = this.#then?.at === this.#at ? this.#then : undefined;
    const { payload, ...rest } = record;
    return html`<section class="card">
        <h2>Record ${this.#at + 1}: ${eventName(record.event)}</h2>
        <dl class="facts">
          ${Object.entries({
            outcome: html`<span class="badge ${colourOf(record.outcome)}">${record.outcome}</span>`,
            reason: rest.reason,
            state: record.state,
            revision: record.revision,
            origin: record.origin,
            by: record.by,
            at: this.#app.time(record.at),
          })
            .filter(([, value]) => value !== undefined)
            .map(
              ([name, value]) =>
                html`<dt>${name}</dt>
                  <dd>${value}</dd>`,
            )}
        </dl>
        ${payload ? jsonBlock(payload, this.#app) : nothing}
      </section>
      <section class="card">
        <h2>What it changed</h2>
        ${then ? (then.standing ? diffTable(this.#before?.standing?.context, then.standing.context) : html`<p class="soft">It cannot be replayed.</p>`) : html`<p class="soft">Loading …</p>`}
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

  #whatIf(record) {
    const original = JSON.stringify({ type: record.event, ...record.payload }, undefined, 2);
    return html`<section class="card">
      <div class="row between">
        <h2>What if</h2>
        ${
          this.#draft === undefined
            ? html`<button @click=${() => ((this.#draft = original), this.#app.update())}>
                Try another event here
              </button>`
            : html`<button
                class="quiet"
                @click=${() => ((this.#draft = this.#fork = undefined), this.#light(false), this.#app.update())}
              >
                Close
              </button>`
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
      ${this.#fork ? this.#forked() : nothing}
    </section>`;
  }

  async #tryFork() {
    try {
      const event = JSON.parse(this.#draft);
      this.#fork = await this.#app.session.call(`${this.#path}/what-if`, {
        method: 'POST',
        body: { at: this.#at, event },
      });
    } catch (error) {
      this.#fork = undefined;
      this.#app.notify(error.message, 'bad');
    }
    this.#light(false);
    this.#app.update();
  }

  #forked() {
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
            ${this.#fork.steps.slice(0, rowsMax).map(
              (step) =>
                html`<tr>
                  <td>${eventName(step.event)}</td>
                  <td>${step.was.state}</td>
                  <td>
                    <span class="badge ${colourOf(step.outcome)}">${step.outcome}</span> ${step.state}
                    ${step.reason ? html`<div class="small soft">${step.reason}</div>` : nothing}
                    ${
                      step.effects.length > 0
                        ? html`<div class="small soft">would ${step.effects.map(({ kind }) => kind).join(', ')}</div>`
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

  #history() {
    const tabs = [
      ['compact', 'States'],
      ['timeline', 'Timeline'],
      ['full', 'Everything'],
    ];
    return html`<div class="row between">
        <h2>History</h2>
        <div class="tabs" role="tablist">
          ${tabs.map(
            ([name, label]) =>
              html`<button role="tab" aria-selected=${this.#tab === name} @click=${() => this.#show(name)}>
                ${label}
              </button>`,
          )}
        </div>
      </div>
      ${
        this.#records.length === 0
          ? html`<p class="empty">Nothing is in PostgreSQL yet.</p>`
          : { compact: () => this.#compact(), timeline: () => this.#timeline(), full: () => this.#full() }[
              this.#tab
            ]?.()
      }
      ${this.#past.truncated ? html`<p class="soft small">There is more history than is shown here.</p>` : nothing}`;
  }

  #show(tab) {
    this.#tab = tab;
    this.#rows = rowsMax;
    this.#app.setQuery({ history: tab });
  }

  /** Newest first, a page of them. */
  #list(places, row, head) {
    const shown = places.slice(-this.#rows).reverse();
    return html`<div class="scroll">
        <table>
          <thead>
            <tr>
              ${head.map((name) => html`<th>${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${shown.map(
              (place) =>
                html`<tr class=${place === this.#at ? 'chosen' : ''}>
                  ${row(this.#records[place], place)}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
      ${
        places.length > shown.length
          ? html`<button class="quiet" @click=${() => ((this.#rows += rowsMax), this.#app.update())}>
              Show more of ${number(places.length)}
            </button>`
          : nothing
      }`;
  }

  #place(place) {
    return html`<button class="quiet mono" title="Look at this instant" @click=${() => this.#travelTo(place)}>
      ${place + 1}
    </button>`;
  }

  #changes() {
    const places = [];
    let before;
    for (const [place, { outcome, state }] of this.#records.entries()) {
      if (outcome === 'applied' && state !== before) places.push(place);
      if (outcome === 'applied') before = state;
    }
    return places;
  }

  #compact() {
    const row = (record, place) =>
      html`<td>${this.#place(place)}</td>
        <td class="nowrap">${this.#app.time(record.at)}</td>
        <td>${eventName(record.event)}</td>
        <td><span class="badge ${colourOf(record.state)}">${record.state}</span></td>`;
    return this.#list(this.#changes(), row, ['', 'when', 'event', 'state']);
  }

  #full() {
    const row = (record, place) =>
      html`<td>${this.#place(place)}</td>
        <td class="nowrap">${this.#app.time(record.at)}</td>
        <td>${eventName(record.event)}</td>
        <td><span class="badge ${colourOf(record.outcome)}">${record.outcome}</span></td>
        <td>${record.state}</td>
        <td class="wide">${record.by ?? record.origin}</td>
        <td class="text mono wide" title=${record.payload ? JSON.stringify(record.payload).slice(0, 2_000) : ''}>
          ${record.reason ?? (record.payload ? JSON.stringify(record.payload).slice(0, 300) : '')}
        </td>`;
    return this.#list([...this.#records.keys()], row, ['', 'when', 'event', 'outcome', 'state', 'by', 'what']);
  }

  /** How long it was in each state, to scale and as a list. */
  #timeline() {
    const places = this.#changes();
    const over = this.#gone || this.#actor?.legal.length === 0;
    const end = over ? Date.parse(this.#records[places.at(-1)].at) : Date.now();
    const spans = places.map((place, index) => {
      const record = this.#records[place];
      const next = places[index + 1];
      const from = Date.parse(record.at);
      return { place, record, from, to: next === undefined ? Math.max(from, end) : Date.parse(this.#records[next].at) };
    });
    const start = spans[0].from;
    const whole = Math.max(1, spans.at(-1).to - start);
    const names = [...new Set(spans.map(({ record }) => record.state))];
    const height = names.length * 22 + 4;
    const sums = names.map((name) =>
      spans.filter(({ record }) => record.state === name).reduce((sum, { from, to }) => sum + to - from, 0),
    );
    const left = 190;
    return html`<svg class="spans plot" viewBox="0 0 800 ${height}" role="img" aria-label="Time in each state">
        ${names.map(
          (name, line) =>
            svg`<text x="0" y=${line * 22 + 16}>${name.split('.').at(-1)} · ${duration(sums[line])}</text>
              <line class="axis" x1=${left} x2="800" y1=${line * 22 + 12} y2=${line * 22 + 12}></line>`,
        )}
        ${spans.slice(-2_000).map(({ record, from, to }) => {
          const x = left + ((from - start) / whole) * (800 - left);
          const width = Math.max(2, ((to - from) / whole) * (800 - left));
          return svg`<rect class=${colourOf(record.state)} x=${Math.min(x, 798)} width=${width} y=${names.indexOf(record.state) * 22 + 5} height="14" rx="2"><title>${record.state}: ${duration(to - from)}</title></rect>`;
        })}
      </svg>
      ${this.#list(
        places,
        (record, place) => {
          const span = spans.find((one) => one.place === place);
          return html`<td>${this.#place(place)}</td>
            <td><span class="badge ${colourOf(record.state)}">${record.state}</span></td>
            <td class="nowrap">${duration(span.to - span.from)}</td>
            <td>
              ${eventName(record.event)}${record.payload?.attempt ? html` <span class="soft">attempt ${record.payload.attempt}</span>` : nothing}
            </td>
            <td class="mono wide">
              ${record.payload?.agent ?? record.payload?.reason ?? record.payload?.error?.message ?? ''}
            </td>`;
        },
        ['', 'state', 'for', 'by event', ''],
      )}`;
  }
}
