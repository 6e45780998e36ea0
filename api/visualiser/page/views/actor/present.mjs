/** An actor as it stands: the events that it takes, what is known of a task, timers, context. */
import { html, nothing } from '../../lib.mjs';
import { eventName } from '../../format.mjs';
import { jsonBlock } from '../../json.mjs';

const dangerous = ['cancel', 'retire'];

/**
 * @param actor its resource; undefined when only its history is left
 * @param task the resource of the task, where it is one
 * @param chunks partial results of the task, oldest first
 * @param onSend is called with the event of a button
 */
export function present(app, { actor, task, chunks, onSend }) {
  return html`<section class="card">
      <h2>Events that it takes now</h2>
      ${buttons(app, actor, onSend)}
    </section>
    ${task ? facts(app, task) : nothing} ${timers(app, actor?.timers ?? {})} ${task ? values(app, task) : nothing}
    ${partial(app, chunks)} ${actor ? snapshot(app, actor) : nothing}`;
}

function buttons({ session }, actor, onSend) {
  if (!actor) return html`<p class="soft">It is over; only its history is left.</p>`;
  const { legal } = actor;
  const allowed = legal.filter(({ scope }) => session.can(scope));
  if (legal.length === 0) return html`<p class="soft">It takes no command in this state.</p>`;
  if (allowed.length === 0)
    return html`<p class="soft">Your token sends none of: ${legal.map(({ event }) => event).join(', ')}.</p>`;
  return html`<div class="row">
    ${allowed.map(
      ({ event, scope }) =>
        html`<button
          class=${dangerous.includes(event) ? 'danger' : ''}
          title="needs the scope ${scope}"
          @click=${() => onSend(event)}
        >
          ${event}
        </button>`,
    )}
  </div>`;
}

function facts(app, task) {
  const { type, priority, tenant, attempt, agent, progress, note, reason, error } = task;
  const rows = {
    type: html`<a href=${app.href('tasks', { type })}>${type}</a>`,
    priority,
    tenant,
    attempt,
    agent: agent && html`<a href=${app.actorHref('agent', agent)}>${agent}</a>`,
    progress: progress !== undefined ? `${Math.round(progress * 100)} % ${note ?? ''}` : undefined,
    reason,
    error: error?.message,
    submitted: app.time(task.created_at),
    started: task.started_at && app.time(task.started_at),
    finished: task.finished_at && app.time(task.finished_at),
  };
  return html`<section class="card">
    <h2>Task</h2>
    <dl class="facts">
      ${Object.entries(rows)
        .filter(([, value]) => value !== undefined && value !== null && value !== '')
        .map(
          ([name, value]) =>
            html`<dt>${name}</dt>
              <dd>${value}</dd>`,
        )}
    </dl>
  </section>`;
}

function timers(app, due) {
  const rows = Object.entries(due);
  if (rows.length === 0) return nothing;
  return html`<section class="card">
    <h2>Timers</h2>
    <dl class="facts">
      ${rows.map(
        ([name, at]) =>
          html`<dt>${eventName(name)}</dt>
            <dd>${app.time(at)}</dd>`,
      )}
    </dl>
  </section>`;
}

function values(app, { parameters, result }) {
  return html`<section class="card">
      <h2>Parameters</h2>
      ${jsonBlock(parameters, app)}
    </section>
    ${
      result !== undefined
        ? html`<section class="card">
            <h2>Result</h2>
            ${jsonBlock(result, app)}
          </section>`
        : nothing
    }`;
}

function partial(app, chunks) {
  if (chunks.length === 0) return nothing;
  return html`<section class="card" data-chunks=${chunks.length}>
    <h2>Partial results</h2>
    <ol class="chunks">
      ${chunks.map(
        ({ attempt, number, chunk }) =>
          html`<li>
            <span class="small soft">attempt ${attempt}, ${number}</span>
            ${jsonBlock(chunk, app)}
          </li>`,
      )}
    </ol>
  </section>`;
}

function snapshot(app, { context, ...rest }) {
  return html`<section class="card">
    <details>
      <summary><b>Context</b></summary>
      ${jsonBlock(context, app)}
    </details>
    <details>
      <summary><b>Snapshot</b></summary>
      ${jsonBlock(rest, app)}
    </details>
  </section>`;
}
