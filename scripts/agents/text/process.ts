/** The `text_processing` task: what one text says, in numbers and in its own words. Pure and deterministic. */
import { keyphrases, type Keyphrase } from './keyphrases.ts';
import { detectLanguage, type Language } from './language.ts';
import { summary } from './summary.ts';
import { sentencesOf } from './tokens.ts';

export interface TextReport {
  words: number;
  sentences: number;
  /** Unicode code points of the text as given. */
  characters: number;
  language: Language;
  /** Best first, at most ten. */
  keyphrases: Keyphrase[];
  /** At most three sentences in document order. */
  summary: string[];
}

export const keyphrasesMax = 10;
export const summarySentencesMax = 3;

/** @param text Markdown or plain text; anything else (binary, lone surrogates) is read as far as it goes */
export function processText(text: string): TextReport {
  const sentences = sentencesOf(text);
  const words = sentences.flatMap((sentence) => sentence.words);
  const language = detectLanguage(words);
  return {
    words: words.length,
    sentences: sentences.length,
    characters: codePoints(text),
    language,
    keyphrases: keyphrases(sentences, language.code, keyphrasesMax),
    summary: summary(sentences, language.code, summarySentencesMax),
  };
}

function codePoints(text: string): number {
  return text.length - (text.match(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g)?.length ?? 0);
}
