/**
 * Extractive summary by TextRank (Mihalcea and Tarau, 2004): sentences are nodes, shared content words are edges, and
 * the sentences with the highest rank are the summary.
 */
import { stopwords } from './stopwords.ts';
import type { Sentence } from './tokens.ts';
import { evenly } from './language.ts';

/** Pairs grow with the square: this many keep a 256 KiB text well below 200 ms. */
const sentencesMax = 400;
const sentenceCharactersMax = 400;
const sentenceWordsMin = 5;
const sentenceWordsMax = 50;
const damping = 0.85;
const rounds = 30;
const settled = 1e-4;
/** Share of common words from which two sentences say the same. */
const sameShare = 0.6;

interface Node {
  index: number;
  text: string;
  words: ReadonlySet<string>;
  rank: number;
}

/** At most `count` sentences in document order, each as it stands in the text (its beginning, when it is very long). */
export function summary(sentences: readonly Sentence[], language: string, count: number): string[] {
  const stops = stopwords(language);
  const nodes = evenly(eligible(sentences, count), sentencesMax).map(({ sentence, index }): Node => {
    const text = shortened(sentence);
    const content = sentence.words.filter(({ lower, end }) => end <= text.length && !stops.has(lower));
    return { index, text, words: new Set(content.map(({ lower }) => lower)), rank: 1 };
  });
  rank(nodes);
  const best = [...nodes].sort((a, b) => b.rank - a.rank || a.index - b.index);
  const chosen: Node[] = [];
  for (const node of best) {
    if (chosen.length >= count) break;
    if (!chosen.some((other) => alike(node, other))) chosen.push(node);
  }
  return chosen.sort((a, b) => a.index - b.index).map(({ text }) => text);
}

/** Full sentences where there are enough of them; headings and fragments only when there is nothing better. */
function eligible(sentences: readonly Sentence[], count: number): { sentence: Sentence; index: number }[] {
  const all = sentences.map((sentence, index) => ({ sentence, index }));
  const whole = all.filter(({ sentence }) => sentence.closed && sentence.words.length >= sentenceWordsMin);
  const readable = whole.filter(({ sentence }) => sentence.words.length <= sentenceWordsMax);
  if (readable.length >= count) return readable;
  if (whole.length >= count) return whole;
  const long = all.filter(({ sentence }) => sentence.closed || sentence.words.length >= sentenceWordsMin);
  return long.length > 0 ? long : all;
}

function shortened({ text, words }: Sentence): string {
  if (text.length <= sentenceCharactersMax) return text;
  const end = words.findLast((word) => word.end <= sentenceCharactersMax)?.end;
  if (end !== undefined) return text.slice(0, end);
  const edge = text.charCodeAt(sentenceCharactersMax - 1);
  return text.slice(0, edge >= 0xd800 && edge <= 0xdbff ? sentenceCharactersMax - 1 : sentenceCharactersMax);
}

function rank(nodes: readonly Node[]): void {
  const edges = similarities(nodes);
  const totals = edges.map((row) => row.reduce((sum, { weight }) => sum + weight, 0));
  for (let round = 0; round < rounds; round++) {
    const next = nodes.map((_, index) => {
      let received = 0;
      for (const { to, weight } of edges[index]!) received += (weight / totals[to]!) * nodes[to]!.rank;
      return 1 - damping + damping * received;
    });
    let change = 0;
    nodes.forEach((node, index) => {
      change = Math.max(change, Math.abs(node.rank - next[index]!));
      node.rank = next[index]!;
    });
    if (change < settled) return;
  }
}

interface Edge {
  to: number;
  weight: number;
}

function similarities(nodes: readonly Node[]): Edge[][] {
  const postings = new Map<string, number[]>();
  nodes.forEach(({ words }, index) => {
    for (const word of words) {
      const list = postings.get(word);
      if (list) list.push(index);
      else postings.set(word, [index]);
    }
  });
  return nodes.map(({ words }, index) => {
    const shared = new Map<number, number>();
    for (const word of words) {
      for (const other of postings.get(word)!) if (other !== index) shared.set(other, (shared.get(other) ?? 0) + 1);
    }
    const row: Edge[] = [];
    for (const [to, count] of shared) {
      row.push({ to, weight: count / (Math.log(1 + words.size) + Math.log(1 + nodes[to]!.words.size)) });
    }
    return row;
  });
}

function alike(a: Node, b: Node): boolean {
  if (a.text === b.text) return true;
  let shared = 0;
  for (const word of a.words) if (b.words.has(word)) shared += 1;
  const smaller = Math.min(a.words.size, b.words.size);
  return smaller > 0 && shared / smaller > sameShare;
}
