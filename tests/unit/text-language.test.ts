import { describe, expect, test } from 'vitest';
import { processText } from '../../scripts/agents/text/process.ts';

const samples: Record<string, string> = {
  en: 'The library opens at nine in the morning. Visitors can borrow up to five books, which they have to bring back within a month.',
  de: 'Die Bibliothek öffnet um neun Uhr morgens. Besucher können bis zu fünf Bücher ausleihen, die sie innerhalb eines Monats zurückbringen müssen.',
  fr: "La bibliothèque ouvre à neuf heures du matin. Les visiteurs peuvent emprunter jusqu'à cinq livres, qu'ils doivent rendre dans le mois.",
  es: 'La biblioteca abre a las nueve de la mañana. Los visitantes pueden llevarse hasta cinco libros, que tienen que devolver en el plazo de un mes.',
  it: 'La biblioteca apre alle nove del mattino. I visitatori possono prendere in prestito fino a cinque libri, che devono restituire entro un mese.',
  pt: 'A biblioteca abre às nove horas da manhã. Os visitantes podem levar até cinco livros, que têm de devolver no prazo de um mês.',
  nl: 'De bibliotheek gaat om negen uur open. Bezoekers kunnen tot vijf boeken lenen, die ze binnen een maand moeten terugbrengen.',
  sv: 'Biblioteket öppnar klockan nio på morgonen. Besökare kan låna upp till fem böcker, som de måste lämna tillbaka inom en månad.',
  pl: 'Biblioteka jest otwarta od dziewiątej rano. Goście mogą wypożyczyć do pięciu książek, które muszą oddać w ciągu miesiąca.',
  ru: 'Библиотека открывается в девять часов утра. Посетители могут взять до пяти книг, которые нужно вернуть в течение месяца.',
  zh: '图书馆早上九点开门。读者最多可以借五本书，必须在一个月内归还。',
  ja: '図書館は朝九時に開きます。来館者は五冊まで本を借りることができ、一か月以内に返さなければなりません。',
  ar: 'تفتح المكتبة أبوابها في الساعة التاسعة صباحا. يمكن للزوار استعارة خمسة كتب يجب عليهم إعادتها في غضون شهر.',
  ko: '도서관은 아침 아홉 시에 문을 엽니다. 방문객은 책을 다섯 권까지 빌릴 수 있으며 한 달 안에 반납해야 합니다.',
  uk: "Бібліотека відчиняється о дев'ятій ранку. Відвідувачі можуть взяти до п'яти книжок, які треба повернути протягом місяця.",
};

describe('the language of a text', () => {
  test.each(Object.entries(samples))('%s is told, with two sentences counted', (code, text) => {
    const report = processText(text);
    expect(report.language.code).toBe(code);
    expect(report.language.confidence).toBeGreaterThan(0.4);
    expect(report.sentences).toBe(2);
    expect(report.summary.length).toBeGreaterThan(0);
    expect(report.keyphrases.length).toBeGreaterThan(0);
  });

  test.each(['', 'hello', '12345 67', '!!!', 'Kubernetes Redis', '猫'])('is not guessed from %j', (text) => {
    expect(processText(text).language).toEqual({ code: 'und', confidence: 0 });
  });

  test('is the one that most of a mixed text is in', () => {
    expect(processText(`${samples.de} ${samples.de} ${samples.en}`).language.code).toBe('de');
  });

  test('is surer with more text', () => {
    const short = processText('The cat is here.').language;
    expect(processText(samples.en!).language.confidence).toBeGreaterThan(short.confidence);
  });
});
