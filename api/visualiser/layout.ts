/** Positions of a graph, from a worker thread that lives as long as it is needed. */
import { Worker } from 'node:worker_threads';
import type { Graph } from './chartgraph.ts';

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

/** All coordinates count from the top left corner of the whole picture, in pixels. */
export interface Laid {
  width: number;
  height: number;
  boxes: ReadonlyMap<string, Box>;
  ways: ReadonlyMap<string, { points: Point[]; label: Box | undefined }>;
}

interface LaidNode extends Box {
  id: string;
  children?: LaidNode[];
}

interface LaidGraph extends LaidNode {
  edges?: {
    id: string;
    sections?: { startPoint: Point; endPoint: Point; bendPoints?: Point[] }[];
    labels?: Box[];
  }[];
}

type Answer = { number: number; laid: LaidGraph } | { number: number; problem: string };

/** A graph that cannot be laid out. */
export class LayoutFailed extends Error {}

export class Layouts {
  readonly #waiting = new Map<number, { resolve: (laid: Laid) => void; reject: (error: Error) => void }>();
  #worker: Worker | undefined;
  #number = 0;

  /** @throws LayoutFailed */
  layout(graph: Graph): Promise<Laid> {
    const worker = (this.#worker ??= this.#start());
    const number = this.#number++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      worker.postMessage({ number, graph });
    });
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#fail(new LayoutFailed('the process is stopping'));
  }

  #start(): Worker {
    const worker = new Worker(new URL('./layout-worker.mjs', import.meta.url));
    worker.unref();
    worker.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.number);
      this.#waiting.delete(answer.number);
      if ('problem' in answer) waiting?.reject(new LayoutFailed(answer.problem));
      else waiting?.resolve(flat(answer.laid));
    });
    worker.on('error', (error) => {
      if (this.#worker === worker) this.#worker = undefined;
      this.#fail(new LayoutFailed(String(error)));
    });
    return worker;
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function flat(laid: LaidGraph): Laid {
  const boxes = new Map<string, Box>();
  const visit = (node: LaidNode): void => {
    const { x, y, width, height } = node;
    boxes.set(node.id, { x, y, width, height });
    for (const child of node.children ?? []) visit(child);
  };
  for (const child of laid.children ?? []) visit(child);
  const ways = new Map(
    (laid.edges ?? []).map(({ id, sections = [], labels }) => [
      id,
      {
        points: sections.flatMap(({ startPoint, bendPoints = [], endPoint }) => [startPoint, ...bendPoints, endPoint]),
        label: labels?.[0],
      },
    ]),
  );
  return { width: laid.width, height: laid.height, boxes, ways };
}
