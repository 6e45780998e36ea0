/**
 * Language of a text: the script decides where it can; among languages of one script, function words and typical
 * letter groups do. Nothing is learnt or loaded, so the answer is the same on every machine.
 */
import { stopwordLanguages, stopwords, type StopwordLanguage } from './stopwords.ts';
import type { Word } from './tokens.ts';

export interface Language {
  /** ISO 639-1, or `und` when there is not enough text to tell. */
  code: string;
  /** 0 (a guess) to 1 (certain). */
  confidence: number;
}

const undetermined: Language = { code: 'und', confidence: 0 };

/** Words that are looked at; more of them do not change the answer. */
const wordsMax = 20_000;
/** Sum of evidence below which the text is called undetermined. */
const evidenceMin = 1.5;

type Script = 'latin' | 'cyrillic' | 'arabic' | 'han' | 'kana' | 'hangul' | 'greek' | 'hebrew' | 'thai' | 'devanagari';

const scripts: readonly [Script, RegExp][] = [
  ['latin', /\p{Script=Latin}/u],
  ['han', /\p{Script=Han}/u],
  ['kana', /[\p{Script=Hiragana}\p{Script=Katakana}]/u],
  ['cyrillic', /\p{Script=Cyrillic}/u],
  ['arabic', /\p{Script=Arabic}/u],
  ['hangul', /\p{Script=Hangul}/u],
  ['greek', /\p{Script=Greek}/u],
  ['hebrew', /\p{Script=Hebrew}/u],
  ['thai', /\p{Script=Thai}/u],
  ['devanagari', /\p{Script=Devanagari}/u],
];

/** Letters and letter groups that are frequent in one language and rare in the others of its script. */
const profiles: Partial<Record<StopwordLanguage, RegExp>> = {
  en: /th|ing$|tion|ould|[^aeiou]ly$|wh|ght|ee/u,
  de: /sch|ich|ung(?:en)?$|keit|ß|ä|ö|ü|cht|ei.|tz|^ge.{3}/u,
  fr: /eau|eux$|ç|è|ê|œ|oi[rst]|tion|ais$|ment$|qu|^[dl]'/u,
  es: /ñ|ción|dad$|ando$|iendo$|[^aeiou]ue|ll|[aeo]s$|í|ó/u,
  it: /zion|gli|cch|tt|zz|[aeiou]re$|ità|ò$|à$|mente$|sc[ei]/u,
  pt: /ção|ções|ão|õe|nh|lh|ç|ê|â|mente$|dade$|ei/u,
  nl: /ij|aa|oo|ee|uu|sch|heid$|^ge.{3}|eu|ui|en$/u,
  sv: /å|ä|ö|sk|tt|kt|het$|ning|ade$|orna$|arna$/u,
  pl: /sz|cz|rz|ł|ą|ę|ś|ż|ź|ć|ń|ów$|ie|ych$/u,
};

const latinLanguages = stopwordLanguages.filter((language) => profiles[language] !== undefined);

/** Function word -> languages that have it: a word that many share says little about each. */
const languagesOfWord = new Map<string, string[]>();
for (const language of latinLanguages) {
  for (const word of stopwords(language)) {
    const languages = languagesOfWord.get(word);
    if (languages) languages.push(language);
    else languagesOfWord.set(word, [language]);
  }
}

export function detectLanguage(words: readonly Word[]): Language {
  const sample = evenly(words, wordsMax);
  const letters = new Map<Script, number>();
  for (const { lower } of sample) {
    const script = scriptOf(lower);
    // A Chinese or Korean sign stands for a syllable, about two and a half letters.
    const weight = script === 'han' || script === 'kana' || script === 'hangul' ? 2.5 : 1;
    if (script) letters.set(script, (letters.get(script) ?? 0) + lower.length * weight);
  }
  const total = [...letters.values()].reduce((sum, count) => sum + count, 0);
  const cjk = (letters.get('han') ?? 0) + (letters.get('kana') ?? 0);
  const [script, count] = [...letters].reduce((best, item) => (item[1] > best[1] ? item : best), ['latin', 0]);
  if (total === 0) return undetermined;
  if (cjk >= count) return scriptOnly((letters.get('kana') ?? 0) > cjk * 0.05 ? 'ja' : 'zh', cjk, total);
  switch (script) {
    case 'latin':
      return latin(sample, count / total);
    case 'cyrillic':
      return scriptOnly(cyrillic(sample), count, total);
    case 'arabic':
      return scriptOnly(share(sample, /[پچژگ]/u) > 0.03 ? 'fa' : 'ar', count, total);
    case 'hangul':
      return scriptOnly('ko', count, total);
    case 'greek':
      return scriptOnly('el', count, total);
    case 'hebrew':
      return scriptOnly('he', count, total);
    case 'thai':
      return scriptOnly('th', count, total);
    case 'devanagari':
      return scriptOnly('hi', count, total);
    case 'han':
    case 'kana':
      return undetermined;
  }
}

function scriptOf(word: string): Script | undefined {
  // Okurigana: a word of signs and kana counts as kana, because only Japanese mixes them.
  if (/[\p{Script=Hiragana}\p{Script=Katakana}]/u.test(word)) return 'kana';
  return scripts.find(([, pattern]) => pattern.test(word))?.[0];
}

function scriptOnly(code: string, letters: number, total: number): Language {
  if (letters < 8) return undetermined;
  return { code, confidence: round((letters / total) * (1 - Math.exp(-letters / 20))) };
}

function cyrillic(sample: readonly Word[]): string {
  if (share(sample, /[іїєґ]/u) > 0.05) return 'uk';
  return share(sample, /[ыэё]/u) > 0.01 || share(sample, /ъ/u) < 0.05 ? 'ru' : 'bg';
}

function latin(sample: readonly Word[], scriptShare: number): Language {
  const evidence = new Map<string, number>(latinLanguages.map((language) => [language, 0]));
  const add = (language: string, amount: number) => evidence.set(language, evidence.get(language)! + amount);
  for (const { lower } of sample) {
    const languages = languagesOfWord.get(lower) ?? [];
    for (const language of languages) add(language, 1 / languages.length);
    if (languages.length > 0 || lower.length < 4) continue;
    for (const language of latinLanguages) if (profiles[language]!.test(lower)) add(language, 0.2);
  }
  const [best, second] = [...evidence].sort((a, b) => b[1] - a[1]);
  if (!best || !second || best[1] < evidenceMin) return undetermined;
  // Names and numbers are no evidence, but prose of a language holds some in every dozen words.
  const density = Math.min(1, best[1] / sample.length / 0.15);
  const margin = (best[1] - second[1]) / best[1];
  const confidence = round(Math.sqrt(margin) * (1 - Math.exp(-best[1] / 2)) * density * scriptShare);
  return confidence < 0.1 ? undetermined : { code: best[0], confidence };
}

function share(sample: readonly Word[], pattern: RegExp): number {
  return sample.reduce((count, { lower }) => count + (pattern.test(lower) ? 1 : 0), 0) / sample.length;
}

/** At most `max` items, spread evenly over the list. */
export function evenly<Item>(items: readonly Item[], max: number): readonly Item[] {
  if (items.length <= max) return items;
  return Array.from({ length: max }, (_, index) => items[Math.floor((index * items.length) / max)]!);
}

function round(value: number): number {
  return Math.round(Math.min(1, Math.max(0, value)) * 100) / 100;
}
