/** What an actor went through, record by record, as its replay tells it. */
export class Past {
  records;
  truncated;
  divergence;
  #lit;

  /** @param replay the answer of `…/replay`; nothing where there is no history yet */
  constructor({ records = [], lit = {}, truncated = false, divergence = null } = {}) {
    this.records = records;
    this.#lit = lit;
    this.truncated = truncated;
    this.divergence = divergence;
  }

  get last() {
    return this.records.length - 1;
  }

  /** The record that made the state at a place: what was refused or repeated changed nothing. */
  decisive(place) {
    let at = place;
    while (at > 0 && this.records[at]?.outcome !== 'applied') at--;
    return at;
  }

  /** Ids of the states that were lit after a record. */
  litAt(place) {
    const record = this.records[this.decisive(place)];
    return record?.outcome === 'applied' ? (this.#lit[record.state] ?? []) : [];
  }

  /** Places at which the state became another. */
  changes() {
    const places = [];
    let before;
    for (const [place, { outcome, state }] of this.records.entries()) {
      if (outcome !== 'applied') continue;
      if (state !== before) places.push(place);
      before = state;
    }
    return places;
  }

  /** How long each state lasted, in milliseconds since the epoch; the last one until `endMs`. */
  spans(endMs) {
    const places = this.changes();
    return places.map((place, index) => {
      const record = this.records[place];
      const next = places[index + 1];
      const fromMs = Date.parse(record.at);
      const toMs = next === undefined ? Math.max(fromMs, endMs) : Date.parse(this.records[next].at);
      return { place, record, fromMs, toMs };
    });
  }
}
