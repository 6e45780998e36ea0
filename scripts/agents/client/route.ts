/**
 * Where the streams of an agent are: one Redis, or of a cluster the node that has them at present. Any node of a cluster says
 * by MOVED which one that is, so an agent needs no cluster client and no rights beyond its own. Of a pair of sites, the one that
 * is active: the agent is told by whoever looks for it.
 */
export class Route {
  #nodes: readonly string[];
  #url: string;
  #next = 0;
  #leave = new AbortController();

  /** @param nodes addresses of nodes with the account of the agent; empty where it is no cluster */
  constructor(url: string, nodes: readonly string[]) {
    this.#url = url;
    this.#nodes = nodes;
  }

  get url(): string {
    return this.#url;
  }

  /** Fires when the streams are elsewhere: what is connected is to connect anew. */
  get left(): AbortSignal {
    return this.#leave.signal;
  }

  moveTo(url: string, nodes: readonly string[]): void {
    this.#url = url;
    this.#nodes = nodes;
    const former = this.#leave;
    this.#leave = new AbortController();
    former.abort();
  }

  /** A call failed for this reason: the next connection goes where Redis says, or to another node when this one is away. */
  failed(reason: string): void {
    if (this.#nodes.length === 0) return;
    const moved = /^MOVED \d+ (.*):(\d+)$/u.exec(reason);
    // While a stream is on its way, both ends are known to be up: it is where it was, or where it will be.
    if (!moved && /^(?:ASK|TRYAGAIN|CLUSTERDOWN)\b/u.test(reason)) return;
    const address = new URL(moved ? this.#url : this.#nodes[this.#next++ % this.#nodes.length]!);
    const [, host, port] = moved ?? [];
    if (host) address.hostname = host.includes(':') ? `[${host}]` : host;
    if (port) address.port = port;
    this.#url = address.toString();
  }
}
