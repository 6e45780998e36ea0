/** The console: sign-in, navigation, and one view at a time that is kept fresh while somebody can see it. */
import { html, nothing, render } from './lib.mjs';
import { exact, nextTimeMode, time, timeMode } from './format.mjs';
import { asCurl, Session } from './session.mjs';
import { ActorView } from './views/actor.mjs';
import { ActorsView } from './views/actors.mjs';
import { AgentsView } from './views/agents.mjs';
import { MachineView, MachinesView } from './views/machines.mjs';
import { OverviewView } from './views/overview.mjs';
import { QueuesView } from './views/queues.mjs';
import { SetAsideView } from './views/setaside.mjs';
import { StreamsView } from './views/streams.mjs';
import { TasksView } from './views/tasks.mjs';

const base = '/visualiser';
const routes = [
  ['', OverviewView, 'Overview'],
  ['tasks', TasksView, 'Tasks'],
  ['agents', AgentsView, 'Agents'],
  ['queues', QueuesView, 'Queues'],
  ['machines', MachinesView, 'Machines'],
  ['machines/:definition', MachineView],
  ['set-aside', SetAsideView, 'Set aside'],
  ['streams', StreamsView, 'Streams'],
  ['actors/:definition', ActorsView],
  ['actors/:definition/:id', ActorView],
];

const themeKey = 'console.theme';
const themes = ['system', 'light', 'dark'];

class App {
  session = new Session(() => this.#ended());
  query = new URLSearchParams();
  #view;
  #nav = '';
  #queued = false;
  #timer;
  #loading;
  #freshAt;
  #problem;
  #connected = true;
  #toasts = [];
  #signInProblem;
  #dialog;

  start() {
    this.#theme(localStorage.getItem(themeKey) ?? 'system');
    addEventListener('popstate', () => this.#route());
    document.addEventListener('click', (event) => this.#click(event));
    document.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) clearTimeout(this.#timer);
      else void this.refresh();
    });
    // Relative times grow while nothing happens.
    setInterval(() => !document.hidden && this.update(), 1_000);
    this.#route();
  }

  href(path, query) {
    const text = query ? new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString() : '';
    return `${base}${path ? `/${path}` : ''}${text ? `?${text}` : ''}`;
  }

  actorHref(definition, id) {
    return this.href(`actors/${definition}/${encodeURIComponent(id)}`);
  }

  go(href) {
    history.pushState(null, '', href);
    this.#route();
    scrollTo(0, 0);
  }

  /** Puts the filters of a view into its address. */
  setQuery(values) {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || value === '') this.query.delete(name);
      else this.query.set(name, value);
    }
    const text = this.query.toString();
    history.replaceState(null, '', `${location.pathname}${text ? `?${text}` : ''}`);
    void this.refresh();
  }

  /** Draws at the next frame. */
  update() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      render(this.#page(), document.body);
    });
  }

  /** Loads the view's data now, and again after its pause. */
  async refresh() {
    clearTimeout(this.#timer);
    const view = this.#view;
    if (!view || !this.session.signedIn) return;
    if (this.#loading) {
      this.#loading.again = true;
      return;
    }
    const loading = (this.#loading = { again: false });
    try {
      await view.load();
      if (this.#view === view) {
        this.#freshAt = Date.now();
        this.#problem = undefined;
      }
    } catch (error) {
      if (this.#view === view) this.#problem = error;
    } finally {
      this.#loading = undefined;
    }
    this.update();
    if (loading.again || this.#view !== view) void this.refresh();
    else if (view.everyMs && !document.hidden) this.#timer = setTimeout(() => void this.refresh(), view.everyMs);
  }

  connected(is) {
    this.#connected = is;
    this.update();
  }

  notify(text, kind = '') {
    const toast = { text, kind };
    this.#toasts.push(toast);
    setTimeout(() => {
      this.#toasts = this.#toasts.filter((one) => one !== toast);
      this.update();
    }, 6_000);
    this.update();
  }

  /** Runs an action of the user and says what became of it. */
  async act(words, action) {
    try {
      const said = await action();
      this.notify(typeof said === 'string' ? said : words);
    } catch (error) {
      this.notify(`${words}: ${error.message}`, 'bad');
    }
    await this.refresh();
  }

  /** Asks before something is done that cannot be undone. */
  confirm(question, detail = '', verb = 'Yes') {
    return new Promise((resolve) => {
      this.#dialog = {
        question,
        detail,
        verb,
        answer: (yes) => {
          this.#dialog = undefined;
          this.update();
          resolve(yes);
        },
      };
      this.update();
      requestAnimationFrame(() => requestAnimationFrame(() => document.querySelector('dialog')?.showModal()));
    });
  }

  async copyCurl(path, options) {
    const text = asCurl(path, options);
    try {
      await navigator.clipboard.writeText(text);
      this.notify('Copied as curl; it reads the token from $TOKEN');
    } catch {
      this.notify(text);
    }
  }

  download(name, value) {
    const url = URL.createObjectURL(new Blob([JSON.stringify(value, undefined, 2)], { type: 'application/json' }));
    Object.assign(document.createElement('a'), { href: url, download: name }).click();
    URL.revokeObjectURL(url);
  }

  time(iso) {
    return html`<time datetime=${iso ?? ''} title=${exact(iso)}>${time(iso)}</time>`;
  }

  #route() {
    const path = location.pathname.slice(base.length).replace(/^\/|\/$/g, '');
    this.query = new URLSearchParams(location.search);
    this.#view?.leave?.();
    this.#view = undefined;
    this.#freshAt = undefined;
    this.#problem = undefined;
    this.#connected = true;
    for (const [pattern, View] of routes) {
      const params = match(pattern, path);
      if (!params) continue;
      this.#nav = pattern.startsWith('actors')
        ? params.definition === 'agent'
          ? 'agents'
          : 'tasks'
        : pattern.split('/')[0];
      if (pattern.startsWith('actors') && !['task', 'agent'].includes(params.definition)) this.#nav = 'machines';
      if (this.session.signedIn) this.#view = new View(this, params);
      break;
    }
    this.update();
    void this.refresh();
  }

  #ended() {
    this.#view?.leave?.();
    this.#view = undefined;
    this.#signInProblem = 'The token is not valid any more. Sign in again.';
    this.update();
  }

  #click(event) {
    const link = event.target.closest?.('a[href]');
    if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey)
      return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith(base) || link.download || url.hash) return;
    event.preventDefault();
    this.go(`${url.pathname}${url.search}`);
  }

  /** `g` and a letter goes to a view, `/` to its search. */
  #key(event) {
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.target.closest?.('input, textarea, select, dialog')) return;
    if (event.key === '/') {
      const search = document.querySelector('input[type="search"]');
      if (search) event.preventDefault();
      search?.focus();
    } else if (this.#going && Date.now() - this.#going < 1_000) {
      const to = { o: '', t: 'tasks', a: 'agents', q: 'queues', m: 'machines', s: 'set-aside', r: 'streams' }[
        event.key
      ];
      this.#going = undefined;
      if (to !== undefined) this.go(this.href(to));
    } else this.#going = event.key === 'g' ? Date.now() : undefined;
  }
  #going;

  #theme(theme) {
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem(themeKey, theme);
    this.theme = theme;
  }

  #page() {
    if (!this.session.signedIn) return this.#signIn();
    const view = this.#view;
    document.title = view ? `${view.title} · Orchestrator` : 'Orchestrator';
    return html`<a class="skip" href="#main">To the content</a>
      <header class="top">
        <a class="brand" href=${this.href('')}
          ><img src="/visualiser/assets/icon.svg" alt="" /><span>Orchestrator</span></a
        >
        <nav aria-label="Views">
          ${routes.map(([path, , name]) =>
            name
              ? html`<a href=${this.href(path)} aria-current=${path === this.#nav ? 'page' : nothing}>${name}</a>`
              : nothing,
          )}
        </nav>
        <div class="tools">
          <button class="quiet" title="How times are shown" @click=${() => (nextTimeMode(), this.update())}>
            ${timeMode()}
          </button>
          <button
            class="quiet"
            title="Light or dark"
            aria-label="Theme: ${this.theme}"
            @click=${() => this.#nextTheme()}
          >
            ${{ system: '◐', light: '☀', dark: '☾' }[this.theme]}
          </button>
          <button class="quiet" title="Signed in as ${this.session.claims.sub}" @click=${() => this.#signOut()}>
            Sign out
          </button>
        </div>
      </header>
      ${this.#staleness()}
      <main id="main" tabindex="-1">
        ${
          view
            ? view.template()
            : html`<div class="card empty">There is no such page. <a href=${this.href('')}>To the overview</a></div>`
        }
      </main>
      <div class="toasts" role="status" aria-live="polite">
        ${this.#toasts.map(({ text, kind }) => html`<div class="notice ${kind}">${text}</div>`)}
      </div>
      ${this.#dialog ? this.#dialogTemplate(this.#dialog) : nothing}`;
  }

  #staleness() {
    const { everyMs = 0, events } = this.#view ?? {};
    const ageMs = this.#freshAt === undefined ? 0 : Date.now() - this.#freshAt;
    if (this.#problem)
      return html`<div class="notice bad stale" role="alert">
        ${
          this.#freshAt
            ? `Not up to date: what is shown is ${Math.round(ageMs / 1_000)} s old. ${this.#problem.message}`
            : this.#problem.message
        }
        <button class="quiet" @click=${() => this.refresh()}>Try again</button>
      </div>`;
    if (events && !this.#connected)
      return html`<div class="notice warn stale" role="alert">
        The event stream is interrupted; it reconnects by itself.
      </div>`;
    if (everyMs && ageMs > 3 * everyMs + 2_000)
      return html`<div class="notice warn stale" role="alert">
        Not up to date: what is shown is ${Math.round(ageMs / 1_000)} s old.
      </div>`;
    return nothing;
  }

  #dialogTemplate({ question, detail, verb, answer }) {
    return html`<dialog @cancel=${() => answer(false)}>
      <form @submit=${(event) => (event.preventDefault(), answer(true))}>
        <h2>${question}</h2>
        ${detail ? html`<p class="soft">${detail}</p>` : nothing}
        <div class="row">
          <button class="main" autofocus>${verb}</button>
          <button type="button" @click=${() => answer(false)}>No</button>
        </div>
      </form>
    </dialog>`;
  }

  #signIn() {
    document.title = 'Sign in · Orchestrator';
    return html`<main>
      <form class="card signin" @submit=${(event) => this.#submitToken(event)}>
        <div class="row">
          <img src="/visualiser/assets/icon.svg" width="30" height="30" alt="" />
          <h1>Orchestrator</h1>
        </div>
        <label class="field"
          >Token
          <input
            name="token"
            type="password"
            autocomplete="off"
            spellcheck="false"
            required
            autofocus
            placeholder="eyJ…"
          />
        </label>
        ${this.#signInProblem ? html`<p class="notice bad" role="alert">${this.#signInProblem}</p>` : nothing}
        <button class="main">Sign in</button>
        <p class="small soft">
          A token comes from <span class="mono">npm run --silent orchestrator -- token --scope read</span>. It stays in
          this tab. With the scope read this console shows everything and changes nothing; further scopes bring their
          buttons.
        </p>
      </form>
    </main>`;
  }

  async #submitToken(event) {
    event.preventDefault();
    const token = new FormData(event.target).get('token');
    try {
      await this.session.signIn(String(token));
      this.#signInProblem = undefined;
      this.#route();
    } catch (error) {
      this.session.signOut();
      this.#signInProblem = `This token is not taken: ${error.message}`;
      this.update();
    }
  }

  #signOut() {
    this.session.signOut();
    this.#view?.leave?.();
    this.#view = undefined;
    this.#signInProblem = undefined;
    this.update();
  }

  #nextTheme() {
    this.#theme(themes[(themes.indexOf(this.theme) + 1) % themes.length]);
    this.update();
  }
}

/** `actors/:definition/:id` against a path; undefined when it is another. */
function match(pattern, path) {
  const [wanted, given] = [pattern.split('/'), path.split('/')];
  if (wanted.length !== given.length) return undefined;
  const params = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(':')) params[part.slice(1)] = decodeURIComponent(given[index]);
    else if (part !== given[index]) return undefined;
  }
  return params;
}

new App().start();
