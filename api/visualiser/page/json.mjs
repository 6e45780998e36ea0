/** JSON on the page: always as text, and never more of it than a page can bear. */
import { html, nothing } from './lib.mjs';

const shownMax = 40_000;

/** A page is drawn again every second, and megabytes take a while to write out: each value is written once. */
const texts = new WeakMap();

function textOf(value) {
  const known = isBranch(value) ? texts.get(value) : undefined;
  if (known) return known;
  const text = JSON.stringify(value, undefined, 2);
  const written = { shown: text.slice(0, shownMax), length: text.length };
  if (isBranch(value)) texts.set(value, written);
  return written;
}

export function jsonBlock(value, app) {
  if (value === undefined) return html`<p class="soft">nothing</p>`;
  const { shown, length } = textOf(value);
  return html`<pre class="json" tabindex="0">${shown}</pre>
    ${
      length > shownMax
        ? html`<p class="small soft">
            The first ${shownMax.toLocaleString('en')} of ${length.toLocaleString('en')} characters.
            <button class="quiet" @click=${() => app.download('value.json', value)}>Download all</button>
          </p>`
        : nothing
    }`;
}

const differencesMax = 200;

/** Places that differ, as `[pointer, before, after]`; a missing side is undefined. */
export function differences(before, after, path = '', found = []) {
  if (found.length >= differencesMax || Object.is(before, after)) return found;
  const bothObjects = isBranch(before) && isBranch(after) && Array.isArray(before) === Array.isArray(after);
  if (!bothObjects) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.push([path || '/', before, after]);
    return found;
  }
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)]))
    differences(before[name], after[name], `${path}/${name}`, found);
  return found;
}

const isBranch = (value) => typeof value === 'object' && value !== null;

const short = (value) => {
  if (value === undefined) return '';
  const text = JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
};

export function diffTable(before, after) {
  const found = differences(before ?? {}, after ?? {});
  if (found.length === 0) return html`<p class="soft small">The context is the same.</p>`;
  return html`<div class="scroll">
    <table class="diff">
      <thead>
        <tr>
          <th>place</th>
          <th>before</th>
          <th>after</th>
        </tr>
      </thead>
      <tbody>
        ${found.map(
          ([path, from, to]) =>
            html`<tr>
              <td>${path}</td>
              <td><del>${short(from)}</del></td>
              <td><ins>${short(to)}</ins></td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
