/** A statechart on the page: the server's picture, in which states are lit and ways are shown by switching classes. */

const pictures = new Map();

/** @returns the chart as data and its picture; asked for once in the life of a page */
async function load(session, definition) {
  if (!pictures.has(definition)) {
    const path = `/api/v1/machines/${encodeURIComponent(definition)}`;
    const loading = Promise.all([session.call(path), session.call(`${path}/chart.svg`, { text: true })]);
    pictures.set(definition, loading);
    loading.catch(() => pictures.delete(definition));
  }
  return pictures.get(definition);
}

export class StateChart {
  /** The element to put on the page. */
  element = Object.assign(document.createElement('div'), { className: 'chart-host', tabIndex: 0 });
  #chart;
  #svg;
  #states = new Map();
  #lines = new Map();
  #lit = new Set();

  static async open(session, definition) {
    const [chart, text] = await load(session, definition);
    const self = new StateChart();
    self.#chart = chart;
    const parsed = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
    self.#svg = document.importNode(parsed, true);
    self.#svg.style.setProperty('--natural', `${self.#svg.viewBox.baseVal.width}px`);
    self.element.append(self.#svg);
    for (const node of self.#svg.querySelectorAll('[data-state]')) self.#states.set(node.dataset.state, node);
    for (const node of self.#svg.querySelectorAll('[data-edge]')) self.#lines.set(node.dataset.edge, node);
    return self;
  }

  get chart() {
    return this.#chart;
  }

  fit(whole) {
    this.element.classList.toggle('whole', whole);
  }

  /** Lights states, and the way that led there. */
  show(lit, edge, { moving = false } = {}) {
    this.#lit = new Set(lit);
    // Every actor is in the root: lighting it would say nothing.
    this.#lit.delete(this.#chart.states[0].id);
    for (const [id, node] of this.#states) node.classList.toggle('lit', this.#lit.has(id));
    this.#intoView([...this.#lit].map((id) => this.#states.get(id)).findLast((state) => state?.matches('.atomic')));
    for (const node of this.#svg.querySelectorAll('.taken')) node.classList.remove('taken', 'moving');
    const line = edge && this.#lines.get(edge.id);
    if (!line) return;
    line.classList.add('taken');
    const way = line.closest('.way');
    way?.classList.add('taken');
    if (moving) way?.classList.add('moving');
  }

  /** Where the picture is larger than its place, what is lit stays in sight. */
  #intoView(node) {
    const host = this.element;
    if (!node || !host.isConnected) return;
    const [inner, outer] = [node.getBoundingClientRect(), host.getBoundingClientRect()];
    if (inner.top < outer.top || inner.bottom > outer.bottom)
      host.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2;
    if (inner.left < outer.left || inner.right > outer.right)
      host.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }

  /** Ids that a state text lights, root first; undefined where regions are parallel, which only the server spells out. */
  litBy(state) {
    if (state.includes(',')) return undefined;
    const root = this.#chart.states[0].id;
    const parts = state.split('.');
    const ids = [root, ...parts.map((_, index) => [root, ...parts.slice(0, index + 1)].join('.'))];
    return ids.every((id) => this.#states.has(id) || id === root) ? ids : undefined;
  }

  /** The way that an event took from one set of lit states to another. */
  edgeFor(before, event, after) {
    const [from, to] = [new Set(before), new Set(after)];
    const name = /^xstate\.after\.(.+)$/.exec(event)?.[1];
    const fits = this.#chart.edges.filter((edge) => {
      if (before.length > 0 && !from.has(edge.from)) return false;
      if (edge.kind === 'after' ? name !== `${edge.event}.${edge.from}` : edge.event !== event) return false;
      return edge.to === undefined || to.has(edge.to);
    });
    // Inner states decide before outer ones, and a way that leads somewhere new before one that stays.
    const depth = ({ from: id }) => id.split('.').length;
    const moves = ({ to: id }) => (id !== undefined && !from.has(id) ? 1 : 0);
    return fits.sort((left, right) => moves(right) - moves(left) || depth(right) - depth(left))[0];
  }

  /**
   * Two histories that part: the states and ways of each, over one another.
   * @param fork what was lit where they part
   * @param branches `{won, entries: [{event, to}]}`, in order
   */
  branches(fork, branches) {
    for (const node of this.#states.values()) node.classList.remove('kept', 'given-up', 'fork');
    const atomic = (ids) => ids.map((id) => this.#states.get(id)).filter((node) => node?.matches('.atomic, .final'));
    for (const node of atomic(fork)) node.classList.add('fork');
    // Not on the page before the next frame but one.
    requestAnimationFrame(() => requestAnimationFrame(() => this.#intoView(atomic(fork)[0])));
    for (const { won, entries } of branches) {
      const name = won ? 'kept' : 'given-up';
      let before = fork;
      for (const { event, to } of entries) {
        const lit = this.litBy(to) ?? [];
        for (const node of atomic(lit)) node.classList.add(name);
        const edge = this.edgeFor(before, event, lit);
        const line = edge && this.#lines.get(edge.id);
        line?.classList.add(name);
        line?.closest('.way')?.classList.add(name);
        before = lit;
      }
    }
  }

  /** A number below the label where that stands alone, because beside it another one may stand; else behind it. */
  #write(line, count) {
    const way = line.closest('.way');
    // In the box of a state there is no room for it.
    if (!way) return;
    const part = document.createElementNS(line.namespaceURI, 'tspan');
    const alone = way.querySelectorAll('.line').length === 1;
    if (alone) part.setAttribute('x', line.getAttribute('x'));
    if (alone) part.setAttribute('dy', '13');
    part.textContent = alone ? count : ` ${count}`;
    line.append(part);
  }

  /** A label with its number is larger than the server reckoned. */
  #widen() {
    for (const way of this.#svg.querySelectorAll('.way')) {
      const behind = way.querySelector('.behind');
      const boxes = [...way.querySelectorAll('.line')].map((line) => line.getBBox());
      const left = Math.min(...boxes.map(({ x }) => x));
      const right = Math.max(...boxes.map(({ x, width }) => x + width));
      const bottom = Math.max(...boxes.map(({ y, height }) => y + height));
      if (!behind || !(right > left)) continue;
      behind.setAttribute('x', left - 3);
      behind.setAttribute('width', right - left + 6);
      behind.setAttribute('height', bottom + 2 - Number(behind.getAttribute('y')));
    }
  }

  /** How many actors are in each state, and how often each way was taken. */
  heat(states, transitions, { onState }) {
    this.#svg.classList.add('heat');
    const most = Math.max(1, ...this.#chart.states.filter(leaf(this.#chart)).map(({ id }) => states[id] ?? 0));
    for (const [id, node] of this.#states) {
      const count = states[id] ?? 0;
      const isLeaf = !node.classList.contains('compound');
      const isRoot = id === this.#chart.states[0].id;
      node.querySelector('.count').textContent = count > 0 && !isRoot ? compact(count) : '';
      node.classList.remove('warm1', 'warm2', 'warm3');
      if (isLeaf && count > 0) node.classList.add(`warm${grade(count, most)}`);
      node.onclick = (event) => {
        event.stopPropagation();
        onState(id);
      };
    }
    const counts = new Map();
    for (const { event, from = [], to, count } of transitions) {
      const edge = this.edgeFor(from, event, to);
      if (edge) counts.set(edge.id, (counts.get(edge.id) ?? 0) + count);
    }
    const busiest = Math.max(1, ...counts.values());
    for (const way of this.#svg.querySelectorAll('.way')) {
      way.classList.remove('flow1', 'flow2', 'flow3');
      const ids = [...way.querySelectorAll('[data-edge]')].map((line) => line.dataset.edge);
      const sum = ids.reduce((total, id) => total + (counts.get(id) ?? 0), 0);
      if (sum > 0) way.classList.add(`flow${grade(sum, busiest)}`);
    }
    for (const [id, line] of this.#lines) {
      const label = (line.dataset.label ??= line.textContent);
      const count = counts.get(id) ?? 0;
      line.textContent = label;
      if (count > 0) this.#write(line, compact(count));
      line.classList.toggle('taken', count > 0);
    }
    // What is not on the page yet has no size.
    requestAnimationFrame(() => requestAnimationFrame(() => this.#widen()));
    return counts;
  }
}

const leaf =
  ({ states }) =>
  ({ id }) =>
    !states.some(({ parent }) => parent === id);

const grade = (value, most) => (value > most * 0.5 ? 3 : value > most * 0.1 ? 2 : 1);

/** At most four characters up to a billion. */
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 2 });
const compact = (value) => (value < 1_000 ? String(value) : short.format(value).toLowerCase());
