/** What stands around every view: navigation, the bar that says that what is shown is old, messages, the question. */
import { html, nothing } from './lib.mjs';
import { timeMode } from './format.mjs';
import { href, places } from './router.mjs';

export function header({ place, theme, subject, onTimes, onTheme, onSignOut }) {
  return html`<a class="skip" href="#main">To the content</a>
    <header class="top">
      <a class="brand" href=${href('')}><img src="/visualiser/assets/icon.svg" alt="" /><span>Orchestrator</span></a>
      <nav aria-label="Views">
        ${places.map(
          ({ path, name }) => html`<a href=${href(path)} aria-current=${path === place ? 'page' : nothing}>${name}</a>`,
        )}
      </nav>
      <div class="tools">
        <button class="quiet" title="How times are shown" @click=${onTimes}>${timeMode()}</button>
        <button class="quiet" title="Light or dark" aria-label="Theme: ${theme}" @click=${onTheme}>
          ${{ system: '◐', light: '☀', dark: '☾' }[theme]}
        </button>
        <button class="quiet" title="Signed in as ${subject}" @click=${onSignOut}>Sign out</button>
      </div>
    </header>`;
}

/**
 * @param problem of the last load, if it failed
 * @param freshAtMs when the last one succeeded; undefined when none did
 * @param everyMs how often the view is loaded; 0: once
 * @param connected whether the event stream of the view stands
 */
export function staleness({ problem, freshAtMs, everyMs, connected, onRetry }) {
  const ageMs = freshAtMs === undefined ? 0 : Date.now() - freshAtMs;
  const old = `Not up to date: what is shown is ${Math.round(ageMs / 1_000)} s old.`;
  if (problem)
    return html`<div class="notice bad stale" role="alert">
      ${freshAtMs === undefined ? problem.message : `${old} ${problem.message}`}
      <button class="quiet" @click=${onRetry}>Try again</button>
    </div>`;
  if (!connected)
    return html`<div class="notice warn stale" role="alert">
      The event stream is interrupted; it reconnects by itself.
    </div>`;
  if (everyMs && ageMs > 3 * everyMs + 2_000) return html`<div class="notice warn stale" role="alert">${old}</div>`;
  return nothing;
}

export function messages(toasts) {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.map(({ text, kind }) => html`<div class="notice ${kind}">${text}</div>`)}
  </div>`;
}

export function question({ question: words, detail, verb, answer }) {
  return html`<dialog @cancel=${() => answer(false)}>
    <form @submit=${(event) => (event.preventDefault(), answer(true))}>
      <h2>${words}</h2>
      ${detail ? html`<p class="soft">${detail}</p>` : nothing}
      <div class="row">
        <button class="main" autofocus>${verb}</button>
        <button type="button" @click=${() => answer(false)}>No</button>
      </div>
    </form>
  </dialog>`;
}
