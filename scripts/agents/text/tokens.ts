/**
 * Sentences and words. `Intl.Segmenter` needs time that grows with the square of the text (30 s for 256 KiB), so it only
 * ever sees short pieces: sentences are found in a sliding window, and words in scripts that write spaces by a pattern.
 */
import { proseBlocks } from './prose.ts';

export interface Word {
  /** As written. */
  text: string;
  lower: string;
  /** UTF-16 offset in the sentence. */
  start: number;
  end: number;
}

export interface Sentence {
  text: string;
  words: Word[];
  /** Whether the writer ended it with a mark; headings, table cells and lists mostly do not. */
  closed: boolean;
}

const sentenceSegmenter = new Intl.Segmenter('und', { granularity: 'sentence' });
const wordSegmenter = new Intl.Segmenter('und', { granularity: 'word' });

const windowCharacters = 2_048;
const unspacedRunCharactersMax = 128;

const wordPattern =
  /[\p{L}\p{N}][\p{L}\p{M}\p{N}\p{Pc}\u200C\u200D]*(?:['’.\-‑·][\p{L}\p{N}][\p{L}\p{M}\p{N}\p{Pc}\u200C\u200D]*)*/gu;
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const closing = /[.!?…。！？｡؟۔।]["'”’»)\]）」』]*$/u;
const abbreviation =
  /(?:^|[\s("'„“])(?:\p{Lu}|Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|Nr|vs|cf|etc|approx|Fig|Abs|Art|bzw|ca|vgl|e\.g|i\.e|z\.B|d\.h|u\.a|p\.ej|Sra?|M|Mme|Mlle|np|tj|bl\.a|t\.ex|bijv|dhr|mevr)\.\s*$/u;

/** Sentences of Markdown or plain text with their words, in document order. A block without a word gives none. */
export function sentencesOf(text: string): Sentence[] {
  const sentences: Sentence[] = [];
  for (const block of proseBlocks(text)) {
    for (const piece of blockSentences(block)) {
      const words = wordsOf(piece);
      if (words.length > 0) sentences.push({ text: piece, words, closed: closing.test(piece) });
    }
  }
  return sentences;
}

/** @param block prose without line breaks */
function blockSentences(block: string): string[] {
  const pieces: string[] = [];
  let open: string[] = [];
  const flush = () => {
    const sentence = open.join('').trim();
    if (sentence !== '') pieces.push(sentence);
    open = [];
  };
  const take = (segment: string) => {
    open.push(segment);
    if (!abbreviation.test(segment.slice(-16))) flush();
  };
  let position = 0;
  let size = windowCharacters;
  while (position < block.length) {
    const window = block.slice(position, position + size);
    const last = position + size >= block.length;
    const segments = Array.from(sentenceSegmenter.segment(window), ({ segment }) => segment);
    // The last segment may go on beyond the window: it is looked at again from its own start.
    const complete = last ? segments : segments.slice(0, -1);
    for (const segment of complete) {
      take(segment);
      position += segment.length;
    }
    size = complete.length === 0 ? size * 2 : windowCharacters;
  }
  flush();
  return pieces;
}

/** Words of one sentence: letters and digits, joined by apostrophe, hyphen or full stop inside. */
export function wordsOf(sentence: string): Word[] {
  const words: Word[] = [];
  for (const match of sentence.matchAll(wordPattern)) {
    if (unspaced.test(match[0])) unspacedWords(match[0], match.index, words);
    else words.push(word(match[0], match.index));
  }
  return words;
}

function unspacedWords(run: string, offset: number, words: Word[]): void {
  let position = 0;
  while (position < run.length) {
    let end = Math.min(run.length, position + unspacedRunCharactersMax);
    const edge = run.charCodeAt(end - 1);
    if (end < run.length && edge >= 0xd800 && edge <= 0xdbff) end += 1;
    const segments = Array.from(wordSegmenter.segment(run.slice(position, end)));
    const complete = end === run.length || segments.length === 1 ? segments : segments.slice(0, -1);
    for (const { segment, isWordLike } of complete) {
      if (isWordLike) words.push(word(segment, offset + position));
      position += segment.length;
    }
  }
}

function word(text: string, start: number): Word {
  return { text, lower: text.toLowerCase().replaceAll('’', "'"), start, end: start + text.length };
}
