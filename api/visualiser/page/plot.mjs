/** Lines over time, as SVG. */
import { html, svg } from './lib.mjs';

const width = 420;
const height = 150;
const margin = { top: 8, right: 4, bottom: 18 };
/** Of one character of a label, a little more than it is wide. */
const characterWidth = 7;

/**
 * @param minutes with `at`
 * @param series `{name, of: (minute) => number | null, format}`
 */
export function plot(minutes, series, format) {
  const values = minutes.flatMap((minute) => series.map(({ of }) => of(minute) ?? 0));
  const most = nice(Math.max(1, ...values));
  const left = 12 + characterWidth * Math.max(...[0, 0.5, 1].map((share) => format(most * share).length));
  const x = (index) => left + (index / Math.max(1, minutes.length - 1)) * (width - left - margin.right);
  const y = (value) => height - margin.bottom - (value / most) * (height - margin.top - margin.bottom);
  const path = (of) => {
    let d = '';
    let pen = false;
    for (const [index, minute] of minutes.entries()) {
      const value = of(minute);
      if (value !== null) d += `${pen ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = value !== null;
    }
    return d;
  };
  /** Minutes with a value between two without: of them a line shows nothing. */
  const alone = (of) =>
    minutes.flatMap((minute, index) => {
      const beside = [minutes[index - 1], minutes[index + 1]].some((one) => one && of(one) !== null);
      return of(minute) === null || beside ? [] : [[x(index), y(of(minute))]];
    });
  const clock = (minute) => {
    const date = new Date(minute.at);
    return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
  };
  const ticks = [0, Math.floor(minutes.length / 2), minutes.length - 1].filter((index) => minutes[index]);
  const anchors = ['start', 'middle', 'end'];
  const label = `${series.map(({ name }) => name).join(' and ')} over the last hour; now ${series
    .map(({ of }) => format(of(minutes.at(-1)) ?? 0))
    .join(' and ')}`;
  return html`<svg class="plot" viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
      ${[0, 0.5, 1].map(
        (share) =>
          svg`<line class="axis" x1=${left} x2=${width} y1=${y(most * share)} y2=${y(most * share)}></line>
            <text x=${left - 6} y=${y(most * share) + 4} text-anchor="end">${format(most * share)}</text>`,
      )}
      ${ticks.map(
        (index, place) =>
          svg`<text x=${x(index)} y=${height - 3} text-anchor=${anchors[place]}>${clock(minutes[index])}</text>`,
      )}
      ${series.map(
        ({ of }, index) => svg`<path class="series series${index + 1}" d=${path(of)}></path>
          ${alone(of).map(([cx, cy]) => svg`<circle class=${`swatch series${index + 1}`} cx=${cx} cy=${cy} r="2.5"></circle>`)}`,
      )}
    </svg>
    <div class="legend">
      ${series.map(
        ({ name, of }, index) =>
          html`<span
            ><svg viewBox="0 0 10 10" aria-hidden="true">
              <rect class="swatch series${index + 1}" width="10" height="10" rx="2"></rect></svg
            >${name} <b>${format(of(minutes.at(-1)) ?? 0)}</b></span
          >`,
      )}
    </div>`;
}

/** The next larger of 1, 2, 5 times a power of ten. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
