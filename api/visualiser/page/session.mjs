/** Who is signed in, and calls of the API in their name. The token stays in this tab. */

const tokenKey = 'console.token';

/** An answer of the API that is no success. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.problem = problem;
  }
}

export class Session {
  #token = sessionStorage.getItem(tokenKey) ?? undefined;
  #onEnd;

  /** @param {() => void} onEnd is called when the token is not taken any more */
  constructor(onEnd) {
    this.#onEnd = onEnd;
  }

  get signedIn() {
    return this.#token !== undefined;
  }

  /** What the token says of itself; the server checks it with every call. */
  get claims() {
    try {
      const part = this.#token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
      return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
    } catch {
      return {};
    }
  }

  can(scope) {
    const scopes = String(this.claims.scope ?? '').split(' ');
    return scopes.includes('admin') || scopes.includes(scope);
  }

  async signIn(token) {
    this.#token = token.trim();
    await this.call('/api/v1/status');
    sessionStorage.setItem(tokenKey, this.#token);
  }

  signOut() {
    this.#token = undefined;
    sessionStorage.removeItem(tokenKey);
  }

  /** @throws ApiError, TypeError when the server cannot be reached */
  async call(path, { method = 'GET', body, headers = {}, text = false, signal } = {}) {
    const response = await fetch(path, {
      method,
      signal,
      headers: {
        Authorization: `Bearer ${this.#token}`,
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (response.ok) return text ? response.text() : response.json();
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401 && sessionStorage.getItem(tokenKey)) {
      this.signOut();
      this.#onEnd();
    }
    throw new ApiError(response.status, problem);
  }
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The same call for a terminal; the token is read from $TOKEN. */
export function asCurl(path, { method = 'GET', body } = {}) {
  const parts = ['curl -s', ...(method === 'GET' ? [] : [`-X ${method}`]), '-H "Authorization: Bearer $TOKEN"'];
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return [...parts, quoted(`${location.origin}${path}`)].join(' ');
}
