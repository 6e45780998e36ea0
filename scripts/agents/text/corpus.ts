/** The `corpus_report` task: the reports of many texts put together. Pure and deterministic. */
import { compare } from './keyphrases.ts';
import { keyphrasesMax, summarySentencesMax, type TextReport } from './process.ts';
import { summary } from './summary.ts';
import { wordsOf } from './tokens.ts';

export interface NamedReport {
  name: string;
  report: TextReport;
}

export interface CorpusPhrase {
  phrase: string;
  /** Texts that have it among their key phrases. */
  documents: number;
  /** Sum over the texts of its score relative to the best phrase of that text. */
  score: number;
}

export interface DocumentSize {
  name: string;
  words: number;
}

export interface CorpusReport {
  documents: number;
  words: number;
  sentences: number;
  /** Language code -> number of texts, most frequent first. */
  languages: Record<string, number>;
  keyphrases: CorpusPhrase[];
  /** Null when there is no text at all. */
  longest: DocumentSize | null;
  shortest: DocumentSize | null;
  summary: string[];
}

export function assembleCorpus(reports: readonly NamedReport[]): CorpusReport {
  const sizes = reports
    .map(({ name, report }): DocumentSize => ({ name, words: report.words }))
    .sort((a, b) => b.words - a.words || compare(a.name, b.name));
  return {
    documents: reports.length,
    words: total(reports, (report) => report.words),
    sentences: total(reports, (report) => report.sentences),
    languages: languageCounts(reports),
    keyphrases: mergedPhrases(reports),
    longest: sizes[0] ?? null,
    shortest: sizes.at(-1) ?? null,
    summary: corpusSummary(reports),
  };
}

function total(reports: readonly NamedReport[], of: (report: TextReport) => number): number {
  return reports.reduce((sum, { report }) => sum + of(report), 0);
}

function languageCounts(reports: readonly NamedReport[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { report } of reports) counts.set(report.language.code, (counts.get(report.language.code) ?? 0) + 1);
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1] || compare(a[0], b[0])));
}

function mergedPhrases(reports: readonly NamedReport[]): CorpusPhrase[] {
  const merged = new Map<string, CorpusPhrase>();
  for (const { report } of reports) {
    const best = Math.max(0, ...report.keyphrases.map(({ score }) => score));
    const seen = new Set<string>();
    for (const { phrase, score } of report.keyphrases) {
      const key = phrase.toLowerCase();
      if (seen.has(key)) continue;
      seen.add(key);
      const share = best > 0 ? score / best : 0;
      const known = merged.get(key);
      if (known) {
        known.documents += 1;
        known.score += share;
      } else merged.set(key, { phrase, documents: 1, score: share });
    }
  }
  return [...merged.values()]
    .map((phrase) => ({ ...phrase, score: Math.round(phrase.score * 1000) / 1000 }))
    .sort((a, b) => b.score - a.score || b.documents - a.documents || compare(a.phrase, b.phrase))
    .slice(0, keyphrasesMax);
}

/** Summary of the summaries, over the sentences of the language that most texts are in. */
function corpusSummary(reports: readonly NamedReport[]): string[] {
  const language = Object.keys(languageCounts(reports))[0] ?? 'und';
  const sentences = reports
    .filter(({ report }) => report.language.code === language)
    .flatMap(({ report }) => report.summary)
    .map((text) => ({ text, words: wordsOf(text), closed: true }));
  return summary(sentences, language, summarySentencesMax);
}
