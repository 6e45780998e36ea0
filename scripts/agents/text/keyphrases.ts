/**
 * Key phrases by RAKE (Rose et al., 2010): phrases are what stands between function words and punctuation; a word counts
 * by its degree (the words it stands with) over its frequency. Plain RAKE prefers long phrases that occur once, so the
 * score here also grows with how often a phrase occurs, and long phrases are not taken.
 */
import { stopwords } from './stopwords.ts';
import type { Sentence, Word } from './tokens.ts';

export interface Keyphrase {
  phrase: string;
  score: number;
}

const phraseWordsMax = 3;
const wordCharactersMax = 40;

interface Candidate {
  surface: string;
  words: string[];
  count: number;
}

/** @param language ISO 639-1 or `und`; decides which function words split */
export function keyphrases(sentences: readonly Sentence[], language: string, count: number): Keyphrase[] {
  const candidates = new Map<string, Candidate>();
  const frequency = new Map<string, number>();
  const degree = new Map<string, number>();
  const stops = stopwords(language);
  for (const sentence of sentences) {
    for (const phrase of phrasesOf(sentence, stops)) {
      const words = phrase.map(({ lower }) => lower);
      for (const word of words) {
        frequency.set(word, (frequency.get(word) ?? 0) + 1);
        degree.set(word, (degree.get(word) ?? 0) + words.length);
      }
      for (const part of withPairs(phrase)) {
        const surface = sentence.text.slice(part[0]!.start, part.at(-1)!.end);
        const key = surface.toLowerCase();
        const known = candidates.get(key);
        if (known) known.count += 1;
        else candidates.set(key, { surface, words: part.map(({ lower }) => lower), count: 1 });
      }
    }
  }
  const scored = [...candidates.values()].map(({ surface, words, count }) => {
    const rake = words.reduce((sum, word) => sum + degree.get(word)! / frequency.get(word)!, 0);
    return { phrase: surface, score: round(Math.sqrt(rake) * Math.log2(1 + count)) };
  });
  scored.sort((a, b) => b.score - a.score || compare(a.phrase, b.phrase));
  return distinct(scored, count);
}

/** A verb often hangs on to a phrase of two: the pair is found again where the three are not. */
function withPairs(phrase: Word[]): Word[][] {
  return phrase.length < 3 ? [phrase] : [phrase, ...phrase.slice(1).map((_, index) => phrase.slice(index, index + 2))];
}

function phrasesOf({ text, words }: Sentence, stops: ReadonlySet<string>): Word[][] {
  const phrases: Word[][] = [];
  let run: Word[] = [];
  const flush = () => {
    if (run.length > 0 && run.length <= phraseWordsMax && (run.length > 1 || worthAlone(run[0]!))) phrases.push(run);
    // Scripts without spaces have long runs of content words; their pairs are the phrases.
    else if (run.length > phraseWordsMax) {
      for (let index = 0; index < run.length; index += 2) phrases.push(run.slice(index, index + 2));
    }
    run = [];
  };
  for (const word of words) {
    const previous = run.at(-1);
    if (previous && text.slice(previous.end, word.start).trim() !== '') flush();
    if (stops.has(word.lower) || !meaningful(word)) flush();
    else run.push(word);
  }
  flush();
  return phrases.filter((phrase) => phrase.length > 1 || worthAlone(phrase[0]!));
}

const ideograph = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]/u;

function meaningful({ text }: Word): boolean {
  return text.length <= wordCharactersMax && /\p{L}/u.test(text) && (text.length > 1 || ideograph.test(text));
}

function worthAlone({ text }: Word): boolean {
  return text.length > (ideograph.test(text) ? 1 : 2);
}

/** The best phrases, none of which is part of a better one or a better one of two words with more around it. */
function distinct(scored: readonly Keyphrase[], count: number): Keyphrase[] {
  const chosen: Keyphrase[] = [];
  for (const candidate of scored) {
    if (chosen.length >= count) break;
    const lower = ` ${candidate.phrase.toLowerCase()} `;
    const repeats = chosen.some(({ phrase }) => {
      const better = ` ${phrase.toLowerCase()} `;
      return better.includes(lower) || (phrase.includes(' ') && lower.includes(better));
    });
    if (!repeats) chosen.push(candidate);
  }
  return chosen;
}

/** By code unit: `localeCompare` depends on the machine. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
