/**
 * Function words of each language: phrases are split at them, and they are the best sign of the language itself,
 * because any text of a few sentences holds several.
 */
export type StopwordLanguage = 'ar' | 'de' | 'en' | 'es' | 'fr' | 'it' | 'ja' | 'nl' | 'pl' | 'pt' | 'ru' | 'sv' | 'zh';

const lists: Record<StopwordLanguage, string> = {
  en: `a about above according across after again against all almost alone along already also although always am among
    an and another any anyone anything are aren't around as at away back be became because become been before behind
    being below between both but by came can can't cannot could couldn't did didn't do does doesn't doing don't done
    down during each either else enough etc even ever every everyone everything few first for from further get gets
    give given go goes going got had has hasn't have haven't having he her here hers herself him himself his how
    however i if in inside instead into is isn't it it's its itself just keep kept last least less let like made make
    makes many may maybe me might more most much must my myself near need needs neither never next no nobody none nor
    not nothing now of off often on once one ones only onto or other others our ours ourselves out outside over own
    per perhaps put quite rather really said same say says see seem seems several shall she should since so some
    someone something sometimes soon still such take takes than that that's the their theirs them themselves then there
    therefore these they thing things this those though three through thus to together too toward towards two under
    until unless up upon us use used uses using very via want wants was wasn't way we well went were what when whenever
    where whether which while who whole whom whose why will with within without won't would yes yet you your yours
    yourself`,
  de: `ab aber alle allein allem allen aller alles als also am an andere anderem anderen anderer anderes auch auf aus
    außerdem bei beide beiden beim bereits bevor bin bis bist da dabei dadurch dafür dagegen daher damit danach daran
    darauf daraus darin darum das dass dazu dein deine dem den denn der deren des deshalb dessen dich die dies diese
    diesem diesen dieser dieses dir doch dort du durch ein eine einem einen einer eines einige einigen einmal er erst
    es etwa etwas euch euer für ganz gar gegen gewesen gibt habe haben hat hatte hatten her hier hin hinter ich ihm ihn
    ihnen ihr ihre ihrem ihren ihrer im immer in indem ins ist ja jede jedem jeden jeder jedes jedoch jemand jetzt kann
    kein keine keinem keinen keiner können könnte machen man mehr mein meine mich mir mit muss müssen nach nachdem
    neben nicht nichts noch nun nur ob oder ohne sehr seine seinem seinen seiner seit sein selbst sich sie sind so
    sobald sogar solche solchen soll sollte sondern sonst sowie über um und uns unser unsere unter viel viele vielen
    vom von vor während wann war waren warum was weil weiter welche welchen welcher wenig wenn wer werde werden wie
    wieder will wir wird wo wurde wurden würde zu zum zur zwar zwei zwischen`,
  fr: `à afin ai ainsi alors après as au aucun aucune aujourd'hui auquel aussi autre autres aux avant avec avez avoir
    avons beaucoup bien car ce ceci cela celle celles celui cependant ces cet cette ceux chaque chez comme comment
    contre d'un d'une dans de déjà depuis des dès deux devant doit doivent donc dont du elle elles en encore entre
    est et étaient était étant été être eu eux fait faire fois font fut grâce hors ici il ils jamais je jusque jusqu'à
    l'on la là laquelle le lequel les lesquels leur leurs lors lorsque lui ma mais malgré me même mêmes mes moins mon
    ne ni non nos notre nous on ont ou où par parce parfois parmi pas pendant peu peut peuvent plus plusieurs pour
    pourquoi pouvait près puis qu'elle qu'il qu'ils qu'on qu'un qu'une quand que quel quelle quelles quelque quelques
    quels qui quoi sa sans se selon sera seront ses seulement si sien son sont sous souvent suis sur ta tandis tant te
    tes toi ton toujours tous tout toute toutefois toutes très trop tu un une vers voici voilà vos votre vous y c'est
    n'est s'est n'a j'ai d'abord`,
  es: `a al algo algunas algunos alguna alguno algún ante antes aquel aquella aquellos aquí así aun aún aunque bajo
    bien cada casi como cómo con contra cual cuál cuales cualquier cuando cuándo de del desde después donde dónde dos
    durante e el él ella ellas ello ellos en entonces entre era eran eres es esa esas ese eso esos está estaba
    estaban estado están estar estas estas este esto estos fue fueron ha había habían haber hace hacen hacer hacia han
    hasta hay he incluso la las le les lo los luego más me mediante menos mi mientras mis mismo misma mismos mucho
    muchas muchos muy nada ni ningún ninguna no nos nosotros nuestra nuestro nuestros nunca o os otra otras otro otros
    para pero poco por porque pues puede pueden que qué quien quién quienes se según sea sean ser será si sí sido
    siempre sin sino sobre solo sólo son su sus suyo tal también tampoco tan tanto te tener tenía ti tiene tienen toda
    todas todavía todo todos tras tu tú tus un una unas uno unos usted ustedes ya y yo`,
  it: `a ad agli ai al alcune alcuni alla alle allo allora altra altre altri altro anche ancora avere aveva avevano
    avuto c'è che chi ci ciò ciascuno cioè col come con contro così cosa cui da dagli dai dal dall dalla dalle dallo
    degli dei del dell della delle dello dentro di dopo dove dunque due durante e è ed era erano essa essere essi
    esso fa fare fino fra fu furono già gli ha hai hanno ho i il in infatti inoltre io l la lei le li lo loro lui ma
    mai me meno mentre mi mia mie mio molte molti molto ne negli nei nel nell nella nelle nello nessun nessuna nessuno
    noi non nostra nostri nostro o ogni ognuno oltre oppure ora per perché perciò però più poco poi prima proprio può
    possono qualche quale quali qualcosa quando quanto quasi quella quelle quelli quello quello questa queste questi
    questo qui quindi sarà se secondo sei sempre senza si sia siamo siano solo sono sopra sotto stata state stati
    stato su sua sue sugli sui sul sull sulla sulle suo suoi tale tali tanto te tra troppo tu tutta tutte tutti tutto
    un una uno va verso vi voi`,
  pt: `a à agora ainda além algo alguém alguma algumas algum alguns ali ante antes ao aos apenas após aquela aquelas
    aquele aqueles aqui aquilo as às assim até através bem cada com como contra cuja cujo da dar das de dela delas
    dele deles dentro depois desde dessa desse desta deste deve devem disso do dois dos durante e é ela elas ele eles
    em embora enquanto então entre era eram essa essas esse esses esta está estão estas estava este estes eu faz fazer
    foi foram fora há isso isto já lá lhe lhes lo logo mais mas me mediante mesma mesmo mesmos meu minha muita muitas
    muito muitos na nada não nas nem nenhum nenhuma nessa nesse nesta neste no nos nós nossa nosso nunca num numa o
    onde os ou outra outras outro outros para pela pelas pelo pelos pode podem pois por porém porque pouco quais qual
    qualquer quando quanto quase que quem se seja sem sempre sendo ser será seu seus sido sob sobre somente sua suas
    também tanto tão tem têm tendo ter teve tinha toda todas todo todos tu tudo um uma umas uns vai você vocês vos`,
  nl: `aan achter af al alle alleen alles als altijd andere anders ben bij binnen boven daar daarbij daardoor daarna
    daarom dan dat de deze die dit doch doen door dus echter een eens elk elke en enige enkele er erg even ge geen
    geweest geworden had hadden heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je jij jullie kan
    kon kunnen maar mag me meer meest men met mij mijn misschien moet moeten na naar naast net niet niets nog nooit nu
    of om omdat onder ons onze ook op over reeds samen sinds slechts sommige steeds te tegen ten ter terwijl tijdens
    toch toen tot tussen twee u uit uw vaak van vanaf veel vele via volgens voor voordat vooral waar waarbij waarom
    wanneer want waren was wat weer wel welke werd werden wie wij wil worden wordt ze zal zelf zelfs zich zij zijn zo
    zoals zonder zou zouden zowel zullen`,
  sv: `aldrig alla allt alltid alltså annan annat andra att av bara behöver bli blir blev blivit både båda de dem den
    denna deras dess dessa det detta dig din dina ditt du där därför då efter eftersom ej eller en endast er ett
    exempelvis finns flera fler fram från får för före genom gör göra ha hade han hans har hela helt henne hennes hon
    honom hur här i ibland icke igen inför innan inom ingen inget inte ja jag kan kommer kunde lika lite man med mellan
    men mer mera mest min mina mitt mot mycket måste många ned ner nog nu något någon några när nästan och också om
    oss på redan samma samt sedan ska skall skulle själv sig sin sina sitt som så sådan sådana således till tills trots
    två under upp ut utan var vara varför varit varje vars vad vem vi vid vidare vilka vilken vilket vill våra vår
    vårt än ännu är även över`,
  pl: `a aby albo ale ani aż bardzo bez bo być był była było były bowiem by byli całą cały chociaż choć ci co coś czy
    czyli dla dlaczego dlatego do dwa dwie gdy gdyby gdyż gdzie go i ich im inne inny innych iż ja jak jakie jako
    jaki jednak jedno jeden jego jej jemu jest jestem jeszcze jeśli jeżeli już każda każdy każdego kiedy kilka kto
    która które którego której który których którym którzy lecz lub ma mają mamy mi mimo między może można mnie mój
    musi my na nad nam nas nasz nawet nic nich nie niej nigdy nim niż no o obok od około on ona one oni oraz po pod
    podczas ponad ponieważ poza przed przede przez przy raz są się sam siebie skąd sobie swoje swoją swój swoich ta
    tak także taki takie tam te tego tej temu ten też to tu tutaj twój ty tych tylko tym u w wam was wasz we wiele
    wielu więc wszyscy wszystkich wszystkie wszystko wtedy z za zaś zawsze ze że żeby`,
  ru: `а без более больше будет будто будут бы был была были было быть в вам вас вдруг ведь во вот впрочем все всегда
    всего всех всю всё вы где да даже два для до другие другой его ей если есть ещё еще её ее ж же за здесь и из
    или им иногда их к каждый как какая какой когда конечно кто куда ли лучше между меня мне много может можно мой моя
    мы на над надо наконец нас не него неё нее ней нельзя нет ни нибудь никогда ним них ничего но ну о об один она они
    оно опять от перед по под после потом потому почти при про раз разве с сам свою своей своих себе себя сейчас со
    совсем так такой такие там тебя тем теперь то тогда того тоже только том тот три тут ты у уж уже хорошо хоть чего
    чем через что чтобы чуть эта эти этих это этого этой этом этот эту я который которая которое которые которых
    которого также однако`,
  zh: `的 了 和 是 在 就 都 而 及 与 與 着 或 一个 一個 一些 没有 沒有 我 我们 我們 你 你们 你們 他 他们 他們 她 她们 它 它们
    它們 这 這 那 这个 這個 那个 那個 这些 這些 那些 这样 這樣 那样 不 也 很 会 會 能 可以 要 到 说 說 对 對 把 被 让 讓 给 給
    从 從 以 为 為 于 於 之 其 并 並 但 但是 因为 因為 所以 如果 虽然 雖然 然后 然後 还 還 还是 又 再 更 最 已 已经 已經 上 下
    中 里 裡 有 个 個 来 來 去 地 得 吗 嗎 呢 吧 啊 什么 什麼 怎么 怎麼 哪 谁 誰 每 各 某 只 才 等 由 向 将 將 使 用 年 月 日 时 時
    后 後 前 次 通过 以及 进行 一 二 三 两`,
  ja: `の に は を た が で て と し れ さ ある いる も する から な こと として い や れる など なっ ない この ため その あっ よう また
    もの という あり まで られ なる へ か だ これ によって により おり より による ず なり られる において ば なかっ なく しかし について せ
    だっ その後 できる それ う ので なお のみ でき き つ における および いう さらに でも ら たり その他 に関する たち ます ん なら です
    ました まし でし でした ません ね よ わ する され して され いっ くる そして どの どう ここ そこ あの する 私 彼 彼女 年 月 日 者 人 一つ
    さん なり られ たく せる そう いく き み お ご`,
  ar: `من في على إلى الى عن أن ان إن هذا هذه ذلك تلك التي الذي الذين اللذان ما لا لم لن ليس هو هي هم هن نحن أنا أنت
    كان كانت كانوا يكون تكون قد لقد ثم أو او و ف ب ل ك كل كما لكن ولكن بل بعد قبل بين عند عندما حيث حين حتى مع منذ
    خلال أي اي أيضا أيضًا غير فقط فوق تحت أمام وراء هنا هناك إذا اذا إذ لأن لأنه بها به له لها لهم فيه فيها منه منها عليه
    عليها إليه إليها عنه عنها وهو وهي وفي ومن وعلى والتي والذي بعض جدا جدًا أكثر أقل نحو يمكن تم يتم دون ضد ذات مثل سوى
    لماذا كيف متى أين وقد كانوا بأن وأن إنه إنها أنه أنها مما`,
};

const sets = new Map<string, ReadonlySet<string>>(
  Object.entries(lists).map(([language, words]) => [language, new Set(words.split(/\s+/u))]),
);

const none: ReadonlySet<string> = new Set();

/** Lower-case function words. English for a language that is not known, because mixed and short texts mostly hold it. */
export function stopwords(language: string): ReadonlySet<string> {
  return sets.get(language) ?? (language === 'und' ? sets.get('en') : undefined) ?? none;
}

export const stopwordLanguages = Object.keys(lists) as readonly StopwordLanguage[];
