/** The form that asks for a token. */
import { html, nothing } from './lib.mjs';

/**
 * @param problem why the last token was not taken
 * @param onToken is called with what was typed
 */
export function signIn(problem, onToken) {
  const submit = (event) => {
    event.preventDefault();
    onToken(String(new FormData(event.target).get('token')));
  };
  return html`<main>
    <form class="card signin" @submit=${submit}>
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
      ${problem ? html`<p class="notice bad" role="alert">${problem}</p>` : nothing}
      <button class="main">Sign in</button>
      <p class="small soft">
        A token comes from <span class="mono">npm run --silent orchestrator -- token --scope read</span>. It stays in
        this tab. With the scope read this console shows everything and changes nothing; further scopes bring their
        buttons.
      </p>
    </form>
  </main>`;
}
