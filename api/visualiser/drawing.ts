/**
 * A laid-out statechart as SVG. States and transitions carry their ids, so a page lights them by switching classes; what
 * colours mean is the style sheet's business.
 */
import type { Chart, ChartState } from '../../runtime/ports.ts';
import { initialPrefix, innerLines, waysOf, type Way } from './chartgraph.ts';
import type { Box, Laid, Point } from './layout.ts';
import { fonts, lineHeight } from './sizing.ts';

/** @param style put into the picture, for one that stands alone */
export function drawing(chart: Chart, laid: Laid, style = ''): string {
  const inner = innerLines(chart);
  const parents = new Set(chart.states.map(({ parent }) => parent));
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="${px(laid.width)}" height="${px(laid.height)}" ` +
      `viewBox="0 0 ${px(laid.width)} ${px(laid.height)}" role="img" aria-label="Statechart of ${escaped(chart.definition)}">`,
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto-start-reverse">' +
      '<path class="head" d="M0 0.5 L8 4 L0 7.5 z"/></marker></defs>',
    style === '' ? '' : `<style>${style}</style>`,
  ];
  for (const state of chart.states) {
    const box = laid.boxes.get(state.id);
    if (box) parts.push(stateShape(state, box, parents.has(state.id), chart, inner.get(state.id) ?? []));
  }
  for (const [id, box] of laid.boxes)
    if (id.startsWith(initialPrefix))
      parts.push(`<circle class="initial" cx="${px(box.x + 5)}" cy="${px(box.y + 5)}" r="5"/>`);
  for (const [id, { points }] of laid.ways)
    if (id.startsWith('start:')) parts.push(`<path class="start" d="${path(points)}" marker-end="url(#arrow)"/>`);
  for (const way of waysOf(chart)) {
    const place = laid.ways.get(way.id);
    if (place) parts.push(wayShape(way, way.back ? [...place.points].reverse() : place.points, place.label));
  }
  return `${parts.filter((part) => part !== '').join('\n')}\n</svg>\n`;
}

function stateShape(
  state: ChartState,
  { x, y, width, height }: Box,
  compound: boolean,
  chart: Chart,
  lines: readonly { edge: string; text: string }[],
): string {
  const region = chart.states.some(({ id, type }) => id === state.parent && type === 'parallel');
  const kinds = ['state', compound ? 'compound' : 'atomic', state.type, region ? 'region' : ''];
  const rect = (inset: number, rounding: number): string =>
    `<rect x="${px(x + inset)}" y="${px(y + inset)}" width="${px(width - 2 * inset)}" height="${px(height - 2 * inset)}" rx="${rounding}"/>`;
  const name = compound
    ? text(x + 14, y + 20, 'name', state.key, fonts.state, 'start')
    : text(x + width / 2, y + 22.5, 'name', state.key, fonts.state, 'middle');
  const inside = lines.map(({ edge, text: line }, index) => {
    const baseline = y + 36 + index * lineHeight;
    return compound
      ? text(x + 14, baseline, 'line', line, fonts.edge, 'start', edge)
      : text(x + width / 2, baseline + 2, 'line', line, fonts.edge, 'middle', edge);
  });
  // Beside the box: in it there is room for the name only.
  const count = text(x + width + 4, y + 11, 'count', '', fonts.edge, 'start');
  return (
    `<g class="${kinds.filter((kind) => kind !== '').join(' ')}" data-state="${escaped(state.id)}">` +
    `<title>${escaped(state.id)}</title>${rect(0, 8)}${state.type === 'final' ? rect(3, 6) : ''}${name}${inside.join('')}${count}</g>`
  );
}

function wayShape(way: Way, points: readonly Point[], label: Box | undefined): string {
  const attributes = `class="way" data-from="${escaped(way.from)}" data-to="${escaped(way.to)}"`;
  const line = `<path d="${path(points)}" marker-end="url(#arrow)"/>`;
  if (!label) return `<g ${attributes}>${line}</g>`;
  const behind = `<rect class="behind" x="${px(label.x)}" y="${px(label.y)}" width="${px(label.width)}" height="${px(label.height)}" rx="3"/>`;
  const words = way.lines.map(({ edge, text: words }, index) =>
    text(label.x + label.width / 2, label.y + 12 + index * lineHeight, 'line', words, fonts.edge, 'middle', edge),
  );
  return `<g ${attributes}>${line}${behind}${words.join('')}</g>`;
}

function text(
  x: number,
  y: number,
  kind: string,
  words: string,
  size: number,
  anchor: 'start' | 'middle' | 'end',
  edge?: string,
): string {
  const data = edge === undefined ? '' : ` data-edge="${edge}"`;
  return `<text class="${kind}" x="${px(x)}" y="${px(y)}" font-size="${size}" text-anchor="${anchor}"${data}>${escaped(words)}</text>`;
}

const rounding = 6;

/** A line with rounded corners. */
function path(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let d = `M${px(first.x)} ${px(first.y)}`;
  let before = first;
  for (const [index, corner] of rest.entries()) {
    const after = rest[index + 1];
    if (!after) d += `L${px(corner.x)} ${px(corner.y)}`;
    else {
      const into = towards(corner, before);
      const out = towards(corner, after);
      d += `L${px(into.x)} ${px(into.y)}Q${px(corner.x)} ${px(corner.y)} ${px(out.x)} ${px(out.y)}`;
    }
    before = corner;
  }
  return d;
}

function towards(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const share = length === 0 ? 0 : Math.min(rounding, length / 2) / length;
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}

function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

export function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
