/** The console: sign-in, and one view at a time that is kept fresh while somebody can see it. */
import { html, nothing, render } from './lib.mjs';
import { exact, nextTimeMode, time } from './format.mjs';
import { header, messages, question, staleness } from './frame.mjs';
import { base, href, places, routeOf } from './router.mjs';
import { asCurl, Session } from './session.mjs';
import { signIn } from './signin.mjs';

const themeKey = 'console.theme';
const themes = ['system', 'light', 'dark'];
const toastMs = 6_000;
const keyPauseMs = 1_000;

class App {
  session = new Session(() => this.#signOut('The token is not valid any more. Sign in again.'));
  href = href;
  query = new URLSearchParams();
  #view;
  #place;
  #theme = 'system';
  #going;
  #queued = false;
  #timer;
  #loading;
  #freshAtMs;
  #problem;
  #connected = true;
  #toasts = [];
  #signInProblem;
  #dialog;

  start() {
    this.#setTheme(localStorage.getItem(themeKey) ?? 'system');
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

  actorHref(definition, id) {
    return href(`actors/${definition}/${encodeURIComponent(id)}`);
  }

  go(href) {
    history.pushState(null, '', href);
    this.#route();
    scrollTo(0, 0);
  }

  /** Puts the filters of a view into its address. */
  setQuery(values) {
    this.setAddress(values);
    void this.refresh();
  }

  /** The same where nothing has to be loaded for it. */
  setAddress(values) {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined || value === '') this.query.delete(name);
      else this.query.set(name, value);
    }
    const text = this.query.toString();
    history.replaceState(null, '', `${location.pathname}${text ? `?${text}` : ''}`);
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
        this.#freshAtMs = Date.now();
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
    }, toastMs);
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
    this.query = new URLSearchParams(location.search);
    this.#view?.leave?.();
    this.#view = undefined;
    this.#freshAtMs = undefined;
    this.#problem = undefined;
    this.#connected = true;
    const route = routeOf(location.pathname);
    this.#place = route?.place;
    if (route && this.session.signedIn) this.#view = new route.View(this, route.params);
    this.update();
    void this.refresh();
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
    } else if (this.#going && Date.now() - this.#going < keyPauseMs) {
      const place = places.find(({ key }) => key === event.key);
      this.#going = undefined;
      if (place) this.go(href(place.path));
    } else this.#going = event.key === 'g' ? Date.now() : undefined;
  }

  #setTheme(theme) {
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    localStorage.setItem(themeKey, theme);
    this.#theme = theme;
    this.update();
  }

  #page() {
    if (!this.session.signedIn) {
      document.title = 'Sign in · Orchestrator';
      return signIn(this.#signInProblem, (token) => void this.#signIn(token));
    }
    const view = this.#view;
    document.title = view ? `${view.title} · Orchestrator` : 'Orchestrator';
    return html`${header({
        place: this.#place,
        theme: this.#theme,
        subject: this.session.claims.sub,
        onTimes: () => (nextTimeMode(), this.update()),
        onTheme: () => this.#setTheme(themes[(themes.indexOf(this.#theme) + 1) % themes.length]),
        onSignOut: () => this.#signOut(),
      })}
      ${staleness({
        problem: this.#problem,
        freshAtMs: this.#freshAtMs,
        everyMs: view?.everyMs ?? 0,
        connected: this.#connected || !view?.events,
        onRetry: () => void this.refresh(),
      })}
      <main id="main" tabindex="-1">
        ${
          view
            ? view.template()
            : html`<div class="card empty">There is no such page. <a href=${href('')}>To the overview</a></div>`
        }
      </main>
      ${messages(this.#toasts)} ${this.#dialog ? question(this.#dialog) : nothing}`;
  }

  async #signIn(token) {
    try {
      await this.session.signIn(token);
      this.#signInProblem = undefined;
      this.#route();
    } catch (error) {
      this.session.signOut();
      this.#signInProblem = `This token is not taken: ${error.message}`;
      this.update();
    }
  }

  #signOut(problem) {
    this.session.signOut();
    this.#view?.leave?.();
    this.#view = undefined;
    this.#signInProblem = problem;
    this.update();
  }
}

new App().start();
