/** One actor: its chart as it stands, what it takes, and its past, instant by instant. */
import { html, nothing } from '../lib.mjs';
import { StateChart } from '../chart.mjs';
import { colourOf, duration } from '../format.mjs';
import { Live } from '../live.mjs';
import { Past } from '../past.mjs';
import { Histories } from './actor/histories.mjs';
import { present } from './actor/present.mjs';
import { Travel } from './actor/travel.mjs';

/** PostgreSQL has a record a little after its event was heard. */
const projectionPauseMs = 400;
const chunksShownMax = 200;

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
  #travel;
  #histories;
  #live;
  #looking;
  /** Of the last event that was heard: the revision it made, and the way it took. */
  #heard;
  #chunks = [];
  #pastTimer;
  #gone = false;
  #whole = false;

  constructor(app, { definition, id }) {
    this.#app = app;
    this.#definition = definition;
    this.#id = id;
    this.#travel = new Travel(app, this.#path, (moving) => {
      this.#light(moving);
      app.update();
    });
    this.#histories = new Histories(app, (place) => this.#travel.to(place));
  }

  get title() {
    return `${this.#definition} ${this.#id}`;
  }

  get #path() {
    return `/api/v1/actors/${this.#definition}/${encodeURIComponent(this.#id)}`;
  }

  leave() {
    clearTimeout(this.#pastTimer);
    this.#travel.leave();
    this.#live?.close();
  }

  async load() {
    this.#chart ??= await StateChart.open(this.#app.session, this.#definition);
    this.#follow();
    await Promise.all([this.#loadPresent(), this.#loadPast()]);
    this.#light(false);
    this.#travel.begin();
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
        this.#hear(transition);
        void this.#moved();
      },
      again: () => void this.#moved(),
      state: (connected) => this.#app.connected(connected),
    });
  }

  /** The event itself says where it led: the chart does not wait for the whole of it. */
  #hear({ outcome, revision, state, event }) {
    const actor = this.#actor;
    if (outcome !== 'applied' || !actor || !this.#chart || revision <= actor.revision) return;
    const lit = this.#chart.litBy(state);
    if (!lit) return;
    this.#heard = { revision, way: this.#chart.edgeFor(actor.lit, event, lit) };
    Object.assign(actor, { revision, state, lit });
    this.#light(true);
    this.#app.update();
  }

  /** Something happened: the present at once, the past when PostgreSQL has it. One look at a time. */
  async #moved() {
    clearTimeout(this.#pastTimer);
    this.#pastTimer = setTimeout(() => void this.#again(() => this.#loadPast()), projectionPauseMs);
    if (this.#looking) {
      this.#looking = 'again';
      return;
    }
    this.#looking = 'once';
    await this.#again(() => this.#loadPresent());
    const again = this.#looking === 'again';
    this.#looking = undefined;
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
    // An answer may be older than what its events have said meanwhile.
    if (actor && !(actor.revision < this.#actor?.revision)) this.#actor = actor;
  }

  async #loadPast() {
    if (this.#definition === 'task') await this.#loadChunks();
    try {
      this.#past = new Past(await this.#app.session.call(`${this.#path}/replay`));
    } catch (error) {
      if (error.status !== 404) throw error;
      this.#past = new Past();
    }
  }

  /** Partial results that came since the last look; a page at a time, because an agent may have sent thousands. */
  async #loadChunks() {
    const last = this.#chunks.at(-1);
    const after = last ? `?after=${last.attempt}.${last.number}` : '';
    const { items } = await this.#app.session.call(`/api/v1/tasks/${encodeURIComponent(this.#id)}/chunks${after}`);
    this.#chunks = this.#chunks.concat(items).slice(-chunksShownMax);
  }

  /** Lights the chart for the instant that is looked at. */
  #light(moving) {
    const [chart, past] = [this.#chart, this.#past];
    if (!chart || !past) return;
    const { at, fork } = this.#travel;
    if (fork) {
      chart.show(fork.lit[fork.steps.at(-1).state] ?? [], undefined);
      return;
    }
    const place = past.decisive(at ?? past.last);
    const record = past.records[place];
    const actor = at === undefined ? this.#actor : undefined;
    const lit = actor ? actor.lit : past.litAt(place);
    // The present may be ahead of what PostgreSQL has: then only an event can have told the way that led there.
    if (actor && !(record?.revision >= actor.revision)) {
      const way = this.#heard?.revision === actor.revision ? this.#heard.way : undefined;
      chart.show(lit, way, { moving });
      return;
    }
    const way = record && chart.edgeFor(place > 0 ? past.litAt(place - 1) : [], record.event, lit);
    chart.show(lit, way, { moving });
  }

  template() {
    if (!this.#chart || !this.#past) return html`<div class="card empty">Loading …</div>`;
    const present = this.#travel.at === undefined;
    const over = this.#gone || this.#actor?.legal.length === 0;
    return html`${this.#heading()} ${this.#notices()}
      <div class="actor">
        <div>
          <section class="card">
            <div class="row between">
              <h2>Statechart</h2>
              <button class="quiet" @click=${() => this.#fit()}>${this.#whole ? 'Larger' : 'Whole chart'}</button>
            </div>
            ${this.#chart.element}
          </section>
          ${this.#travel.slider(this.#past)}
          <section class="card">${this.#histories.template(this.#past, this.#travel.at, over)}</section>
        </div>
        <div>${present ? this.#present() : this.#travel.instant(this.#past)}</div>
      </div>`;
  }

  #heading() {
    const actor = this.#gone ? undefined : this.#actor;
    const status = this.#task?.status ?? this.#actor?.state ?? this.#past.records.at(-1)?.state ?? 'unknown';
    const path = this.#definition === 'task' ? `/api/v1/tasks/${this.#id}` : this.#path;
    const all = { actor: this.#actor, task: this.#task, history: this.#past };
    return html`<div class="heading">
      <h1><span class="soft">${this.#definition}</span> ${this.#id}</h1>
      <span class="badge ${colourOf(status)}" data-status=${status}>${status}</span>
      ${
        actor
          ? html`<span class="soft small"
              >for ${duration(Date.now() - Date.parse(actor.since))} · revision ${actor.revision}</span
            >`
          : nothing
      }
      <div class="actions">
        <button @click=${() => this.#app.copyCurl(path)}>Copy as curl</button>
        <button @click=${() => this.#app.download(`${this.#id}.json`, all)}>Download JSON</button>
      </div>
    </div>`;
  }

  #notices() {
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

  #present() {
    return present(this.#app, {
      actor: this.#gone ? undefined : this.#actor,
      task: this.#task,
      chunks: this.#chunks,
      onSend: (event) => void this.#send(event),
    });
  }

  #fit() {
    this.#whole = !this.#whole;
    this.#chart.fit(this.#whole);
    this.#app.update();
  }

  async #send(event) {
    if (!(await this.#app.confirm(`Send “${event}” to this ${this.#definition}?`, this.#id, event))) return;
    await this.#app.act(event, async () => {
      const answer = await this.#app.session.call(`${this.#path}/events`, { method: 'POST', body: { type: event } });
      return `${event}: ${answer.outcome}`;
    });
  }
}
