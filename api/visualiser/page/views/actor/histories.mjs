/** The past of an actor three ways: its states, a timeline, every record. */
import { html, nothing, svg } from '../../lib.mjs';
import { colourOf, duration, eventName, number } from '../../format.mjs';

const rowsMax = 200;
const barsMax = 2_000;
const lineHeight = 22;
const left = 190;
const width = 800;

const tabs = [
  ['compact', 'States'],
  ['timeline', 'Timeline'],
  ['full', 'Everything'],
];

export class Histories {
  #app;
  #onLook;
  #tab;
  #rows = rowsMax;

  /** @param onLook is called with the place of a record that was chosen */
  constructor(app, onLook) {
    this.#app = app;
    this.#onLook = onLook;
    this.#tab = app.query.get('history') ?? 'compact';
  }

  /**
   * @param past
   * @param at place of the record that is looked at
   * @param over whether nothing will follow
   */
  template(past, at, over) {
    const shown = {
      compact: () => this.#compact(past, at),
      timeline: () => this.#timeline(past, at, over),
      full: () => this.#full(past, at),
    }[this.#tab];
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
      ${past.last < 0 ? html`<p class="empty">Nothing is in PostgreSQL yet.</p>` : shown?.()}
      ${past.truncated ? html`<p class="soft small">There is more history than is shown here.</p>` : nothing}`;
  }

  #show(tab) {
    this.#tab = tab;
    this.#rows = rowsMax;
    this.#app.setQuery({ history: tab });
  }

  /** Newest first, a page of them. */
  #list(places, at, row, head) {
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
                html`<tr class=${place === at ? 'chosen' : ''}>
                  <td>
                    <button class="quiet mono" title="Look at this instant" @click=${() => this.#onLook(place)}>
                      ${place + 1}
                    </button>
                  </td>
                  ${row(place)}
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

  #compact(past, at) {
    const row = (place) => {
      const record = past.records[place];
      return html`<td class="nowrap">${this.#app.time(record.at)}</td>
        <td>${eventName(record.event)}</td>
        <td><span class="badge ${colourOf(record.state)}">${record.state}</span></td>`;
    };
    return this.#list(past.changes(), at, row, ['', 'when', 'event', 'state']);
  }

  #full(past, at) {
    const row = (place) => {
      const record = past.records[place];
      const payload = record.payload ? JSON.stringify(record.payload) : '';
      return html`<td class="nowrap">${this.#app.time(record.at)}</td>
        <td>${eventName(record.event)}</td>
        <td><span class="badge ${colourOf(record.outcome)}">${record.outcome}</span></td>
        <td>${record.state}</td>
        <td class="wide">${record.by ?? record.origin}</td>
        <td class="text mono wide" title=${payload.slice(0, 2_000)}>${record.reason ?? payload.slice(0, 300)}</td>`;
    };
    return this.#list([...past.records.keys()], at, row, ['', 'when', 'event', 'outcome', 'state', 'by', 'what']);
  }

  /** How long it was in each state, to scale and as a list. */
  #timeline(past, at, over) {
    const last = past.records[past.decisive(past.last)];
    const spans = past.spans(over ? Date.parse(last.at) : Date.now());
    const byPlace = new Map(spans.map((span) => [span.place, span]));
    const row = (place) => {
      const { record, fromMs, toMs } = byPlace.get(place);
      const { attempt, agent, reason, error } = record.payload ?? {};
      return html`<td><span class="badge ${colourOf(record.state)}">${record.state}</span></td>
        <td class="nowrap">${duration(toMs - fromMs)}</td>
        <td>${eventName(record.event)}${attempt ? html` <span class="soft">attempt ${attempt}</span>` : nothing}</td>
        <td class="mono wide">${agent ?? reason ?? error?.message ?? ''}</td>`;
    };
    return html`${bars(spans)} ${this.#list([...byPlace.keys()], at, row, ['', 'state', 'for', 'by event', ''])}`;
  }
}

function bars(spans) {
  if (spans.length === 0) return nothing;
  const startMs = spans[0].fromMs;
  const wholeMs = Math.max(1, spans.at(-1).toMs - startMs);
  const sums = new Map();
  for (const { record, fromMs, toMs } of spans) sums.set(record.state, (sums.get(record.state) ?? 0) + toMs - fromMs);
  const lines = new Map([...sums.keys()].map((name, line) => [name, line * lineHeight]));
  const scale = (ms) => (ms / wholeMs) * (width - left);
  return html`<svg
    class="spans plot"
    viewBox="0 0 ${width} ${sums.size * lineHeight + 4}"
    role="img"
    aria-label="Time in each state"
  >
    ${[...sums].map(
      ([name, sumMs]) =>
        svg`<text x="0" y=${lines.get(name) + 16}>${name.split('.').at(-1)} · ${duration(sumMs)}</text>
          <line class="axis" x1=${left} x2=${width} y1=${lines.get(name) + 12} y2=${lines.get(name) + 12}></line>`,
    )}
    ${spans
      .slice(-barsMax)
      .map(
        ({ record, fromMs, toMs }) =>
          svg`<rect class=${colourOf(record.state)} x=${Math.min(left + scale(fromMs - startMs), width - 2)} width=${Math.max(2, scale(toMs - fromMs))} y=${lines.get(record.state) + 5} height="14" rx="2"><title>${record.state}: ${duration(toMs - fromMs)}</title></rect>`,
      )}
  </svg>`;
}
