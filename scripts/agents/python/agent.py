#!/usr/bin/env python3
"""A sample agent in Python 3.9+: the standard library and redis-py (Debian: python3-redis).

It registers over REST, takes `text_processing` tasks from its inbox stream and reports on its outbox stream.

    ORCHESTRATOR_TOKEN=... python3 agent.py --api http://127.0.0.1:8000 --slots 2

Of a pair of sites it takes both addresses, `--api http://one:8000,http://two:8010`, and follows the active one.

To write an agent of your own, change `process_text`: it gets the parameters of a task and returns its result.
"""
import argparse
import functools
import json
import logging
import math
import os
import queue
import re
import signal
import sys
import threading
import time
import unicodedata
import urllib.error
import urllib.request
from collections import Counter

import redis

log = logging.getLogger("agent")

BLOCK_MS = 1000
CALL_DEADLINE_S = 5.0
RESULT_BYTES_MAX = 256 * 1024
CHUNK_BYTES_MAX = 64 * 1024
SHUTDOWN_GRACE_S = 10.0
TOKENS_REMEMBERED_MAX = 10_000
ENDS_KEPT_S = 60.0


class BadParameters(ValueError):
    """Wrong parameters stay wrong however often they are tried."""


class Cancelled(Exception):
    """The server no longer wants the result."""


# --- The work -----------------------------------------------------------------------------------------------------

STOPWORDS = {
    "en": "a about after all also an and any are as at be because been before but by can could do does each for from had "
    "has have he her his how i if in into is it its just like may more most must no not of on one only or other our "
    "out over she should so some such than that the their them then there these they this those to under up use was "
    "we were what when where which while who will with would you your",
    "de": "aber als am an auch auf aus bei bis das dass dem den der des die doch durch ein eine einem einen einer es "
    "für hat ich ihr im in ist ja kann mit nach nicht noch nur oder sich sie sind so um und uns vom von vor war was "
    "wenn werden wie wir wird wurde zu zum zur über",
    "fr": "au aux avec ce ces cette dans de des du elle en est et il ils je la le les leur mais ne nous on ou par pas "
    "plus pour qu que qui sa se ses son sont sur un une vous à été être",
    "es": "al como con de del el ella en entre es esta este ha la las lo los más no o para pero por que se sin sobre su "
    "sus también un una y ya está muy",
    "it": "al alla anche che con come da dal dei del della delle di e è gli ha i il in la le lo ma nel nella non o per "
    "più questo se si sono sua suo un una",
    "pt": "a ao aos as com como da das de do dos e em é foi mais mas na nas no nos não o os ou para pela pelo por que se "
    "sem ser seu sua são também um uma está muito",
    "nl": "aan als bij dat de deze die dit door een en er het hij ik in is maar met naar niet nog of om omdat ook op te "
    "tot uit van voor was wat we worden wordt zich zijn zij zo",
    "sv": "att av de den det detta du en ett från för har hon han i inte jag kan med men och om på sig som så till var vi "
    "är eller efter också",
    "pl": "a ale być co czy dla do go i ich jak jako jego jest już które który lub ma na nie o od oraz po przez przy się "
    "są tak to tym w we z za że",
}
STOPWORDS = {language: frozenset(words.split()) for language, words in STOPWORDS.items()}
SCRIPTS = (("CYRILLIC", "ru"), ("ARABIC", "ar"), ("HANGUL", "ko"), ("GREEK", "el"), ("HEBREW", "he"))
WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])")


def prose(text):
    """Blocks of prose: code, addresses and markup of Markdown go."""
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" else c for c in text)
    text = re.sub(r"\A---\n(?:[^\n]*\n){0,200}?---\n", "", text)
    lines, fenced = [], False
    for line in text.split("\n"):
        if re.match(r" {0,3}(```|~~~)", line):
            fenced = not fenced
            lines.append("")
        elif not fenced:
            lines.append(line)
    for block in re.split(r"\n(?=\s*\n)|\n(?=\s{0,8}(?:[-*+#|>]|\d{1,3}[.)]))", "\n".join(lines)):
        block = re.sub(r"!?\[([^\[\]]{0,1000})\]\([^()\s]{0,2000}\)", r"\1", block)
        block = re.sub(r"https?://\S{1,2000}|<[^<>\n]{1,1000}>|[`*~|#]+|^\s*(?:[-+>]|\d{1,3}[.)])\s", " ", block)
        block = " ".join(block.split())
        if block:
            yield block


def words_of(sentence):
    words = []
    for match in WORD.finditer(sentence):
        # Without a dictionary, a sign of a script that writes no spaces counts as a word.
        words.extend(match.group() if UNSPACED.search(match.group()) else [match.group()])
    return words


def detect_language(words):
    letters = Counter()
    for word in words[:5000]:
        name = unicodedata.name(word[0], "")
        if UNSPACED.match(word):
            letters["ja" if "HIRAGANA" in name or "KATAKANA" in name else "zh"] += 1
        else:
            letters[next((code for script, code in SCRIPTS if name.startswith(script)), "latin")] += len(word)
    if not letters:
        return {"code": "und", "confidence": 0}
    script, count = letters.most_common(1)[0]
    share = count / sum(letters.values())
    if script == "zh" and letters["ja"] > letters["zh"] * 0.1:
        script, share = "ja", 1.0
    if script != "latin":
        return {"code": script, "confidence": round(share * (1 - math.exp(-count / 10)), 2)}
    hits = Counter()
    for word in words[:20000]:
        languages = [code for code, stops in STOPWORDS.items() if word.lower() in stops]
        for code in languages:
            hits[code] += 1 / len(languages)
    ranked = hits.most_common(2) + [("und", 0), ("und", 0)]
    (code, best), (_, second) = ranked[0], ranked[1]
    if best < 1.5:
        return {"code": "und", "confidence": 0}
    return {"code": code, "confidence": round((best - second) / best * (1 - math.exp(-best / 2)) * share, 2)}


def key_phrases(sentences, stops, count=10):
    """RAKE, with a bonus for phrases that come again."""
    phrases, frequency, degree = Counter(), Counter(), Counter()
    for sentence in sentences:
        for part in re.split(r"[^\w\s'’\-]+", sentence):
            run = []
            for word in words_of(part.lower()) + [None]:
                if word is not None and word not in stops and len(word) > 1 and not word[0].isdigit():
                    run.append(word)
                    continue
                if 0 < len(run) <= 3 and len(" ".join(run)) > 2:
                    phrases[" ".join(run)] += 1
                    for each in run:
                        frequency[each] += 1
                        degree[each] += len(run)
                run = []
    scored = [
        (math.sqrt(sum(degree[w] / frequency[w] for w in phrase.split())) * math.log2(1 + times), phrase)
        for phrase, times in phrases.items()
    ]
    scored.sort(key=lambda item: (-item[0], item[1]))
    return [{"phrase": phrase, "score": round(score, 3)} for score, phrase in scored[:count]]


def summarise(sentences, stops, cancelled, count=3):
    """TextRank over at most 400 sentences; the best ones in the order of the text."""
    candidates = [s for s in sentences if 5 <= len(words_of(s)) <= 50] or sentences
    step = max(1, math.ceil(len(candidates) / 400))
    nodes = [(s[:400], {w for w in words_of(s.lower()) if w not in stops}) for s in candidates[::step]]
    weights = [{} for _ in nodes]
    for i, (_, mine) in enumerate(nodes):
        if cancelled.is_set():
            raise Cancelled
        for j in range(i):
            shared = len(mine & nodes[j][1])
            if shared:
                weight = shared / (math.log(1 + len(mine)) + math.log(1 + len(nodes[j][1])))
                weights[i][j] = weights[j][i] = weight
    totals = [sum(row.values()) or 1 for row in weights]
    ranks = [1.0] * len(nodes)
    for _ in range(20):
        ranks = [0.15 + 0.85 * sum(w / totals[j] * ranks[j] for j, w in row.items()) for row in weights]
    chosen = []
    for index in sorted(range(len(nodes)), key=lambda i: (-ranks[i], i)):
        mine = nodes[index][1]
        if all(len(mine & nodes[c][1]) <= 0.6 * max(1, min(len(mine), len(nodes[c][1]))) for c in chosen):
            chosen.append(index)
        if len(chosen) == count:
            break
    return [nodes[index][0] for index in sorted(chosen)]


def process_text(parameters, cancelled, chunk):
    """
    The task `text_processing`: {text, name?, stream?} -> {words, sentences, characters, language, keyphrases, summary}.
    With `stream` the parts of the result are reported as soon as they are known.
    """
    if not isinstance(parameters, dict) or not isinstance(parameters.get("text"), str):
        raise BadParameters("the parameters need a member 'text' that is a string")
    text = parameters["text"]
    sentences = [s.strip() for block in prose(text) for s in SENTENCE_END.split(block)]
    sentences = [s for s in sentences if words_of(s)]
    words = [word for s in sentences for word in words_of(s)]
    language = detect_language(words)
    stops = STOPWORDS.get(language["code"], STOPWORDS["en"])
    result = {
        **({"name": parameters["name"]} if isinstance(parameters.get("name"), str) else {}),
        "words": len(words),
        "sentences": len(sentences),
        "characters": len(text),
        "language": language,
    }
    say = chunk if parameters.get("stream") else lambda value: None
    say({"language": language})
    result["keyphrases"] = key_phrases(sentences, stops)
    say({"keyphrases": result["keyphrases"]})
    result["summary"] = summarise(sentences, stops, cancelled)
    return result


# --- The agent ----------------------------------------------------------------------------------------------------


class Agent:
    def __init__(self, options, handler):
        self.options, self.handler = options, handler
        self.id = options.id
        self.leaving, self.draining = threading.Event(), False
        self.lock = threading.Lock()
        self.attempts = {}  # token -> {task, cancelled}; queued and running
        self.seen = {}  # tokens in order of arrival: an entry that is delivered twice is not done twice
        self.work = queue.Queue()
        self.stale = False
        self.registration = {}
        self.connection = None
        self.apis = [api.strip().rstrip("/") for api in options.api.split(",") if api.strip()]
        self.epoch = 0  # the highest that a message named: what a site of a lower one still says is void
        self.ends = []  # (when, kind, attempt, fields) of the last minute, to be said once more to another site

    def register(self):
        """Asks until the server takes it. Leaves the program when asking again cannot help."""
        body = {"type": self.options.type, "slots": self.options.slots, "labels": {"runtime": "python"}, "version": "1"}
        if self.id:
            body["id"] = self.id
        wait = 0.25
        while not self.leaving.is_set():
            for api in self.apis:
                try:
                    self.registration = self.ask(api, "/api/v1/agents", body)
                    break
                except urllib.error.HTTPError as error:
                    detail = error.read(2000).decode("utf-8", "replace")
                    if error.code < 500 and error.code not in (307, 408, 409, 425, 429):
                        sys.exit(f"agent.py: {api} answered {error.code}: {detail}")
                    log.warning("registration at %s answered %s: %s; trying again", api, error.code, detail)
                except (OSError, ValueError) as error:
                    log.warning("registration at %s failed: %s; trying again", api, error)
            else:
                self.leaving.wait(wait)
                wait = min(wait * 2, 5)
                continue
            break
        else:
            return
        self.id = self.registration["id"]
        self.stale = False
        self.connect()
        log.info("registered as %s, generation %s", self.id, self.registration["generation"])

    def ask(self, api, path, body=None):
        """One request to a site. Raises HTTPError, OSError or ValueError."""
        request = urllib.request.Request(
            api + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Bearer " + self.options.token, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def connect(self):
        # The time-out is the watchdog: a half-open link would keep a blocking read for ever.
        url = self.options.redis or self.registration["redis"]["url"]
        certificate = {}
        if self.options.certificate and url.startswith("rediss:"):
            certificate = {"ssl_certfile": self.options.certificate, "ssl_keyfile": self.options.key}
        self.connection = redis.Redis.from_url(
            url,
            **certificate,
            decode_responses=True,
            socket_timeout=BLOCK_MS / 1000 + 1.5,
            socket_connect_timeout=3,
            health_check_interval=0,
        )

    def follow(self, ended):
        """While there is another site, looks which one is active, and goes there; attempts go on."""
        interval = self.registration.get("heartbeat_interval_ms", 5000) / 1000
        while len(self.apis) > 1 and not self.options.redis and not ended.wait(interval):
            for api in self.apis:
                try:
                    found = self.ask(api, f"/api/v1/agents/{self.id}/registration")
                except urllib.error.HTTPError as error:
                    if error.code in (404, 409):
                        self.stale = True  # the active site has given this agent up
                    continue
                except (OSError, ValueError):
                    continue  # it is away; the other one may be there
                present = self.registration
                if found["generation"] != present["generation"]:
                    self.stale = True
                elif found["redis"]["url"] != present["redis"]["url"]:
                    log.warning("the other site is active now; the agent follows")
                    self.registration = found
                    self.connect()
                    # The word may have been lost on the way; the token makes a second one harmless.
                    with self.lock:
                        again, self.ends = self.ends, []
                    for at, kind, attempt, fields in again:
                        if time.monotonic() - at < ENDS_KEPT_S:
                            self.report(kind, attempt, **fields)
                break

    def report(self, kind, attempt=None, deadline_s=30.0, **fields):
        """Appends one report; tries again while Redis is away. A duplicate is harmless: the token decides."""
        entry = {"kind": kind, "agent": self.id, "generation": self.registration["generation"], **fields}
        if attempt:
            entry.update(task=attempt["task"], token=attempt["token"])
            if kind == "chunk":
                entry.update(attempt=attempt["attempt"])
        if kind in ("completed", "failed", "cancelled", "released") and len(self.apis) > 1:
            with self.lock:
                recent = [end for end in self.ends if time.monotonic() - end[0] < ENDS_KEPT_S]
                self.ends = recent + [(time.monotonic(), kind, attempt, fields)]
        until = time.monotonic() + deadline_s
        while True:
            try:
                self.connection.xadd(self.registration["redis"]["outbox"], entry)
                return
            except redis.RedisError as error:
                if time.monotonic() > until:
                    log.error("report %s was not delivered: %s", kind, error)
                    return
                time.sleep(0.25)

    def chunk(self, attempt, value):
        """Reports a partial result; whoever follows the task gets them in this order."""
        text = json.dumps(value)
        if len(text.encode()) > CHUNK_BYTES_MAX:
            raise BadParameters(f"a partial result has more than {CHUNK_BYTES_MAX} bytes")
        attempt["chunks"] += 1
        self.report("chunk", attempt, number=attempt["chunks"], chunk=text)

    def heartbeat(self, ended):
        interval = self.registration.get("heartbeat_interval_ms", 5000) / 1000
        while not ended.is_set():
            with self.lock:
                running = [{"task": a["task"], "token": token} for token, a in self.attempts.items()]
            self.report("heartbeat", deadline_s=interval, attempts=json.dumps(running))
            ended.wait(interval * 0.7)

    def worker(self):
        while True:
            attempt = self.work.get()
            if attempt is None:
                return
            # A deadline is nothing but a cancellation that comes by the clock.
            rest = attempt["deadline"] / 1000 - time.time() if attempt["deadline"] else None
            timer = threading.Timer(max(0, rest), attempt["cancelled"].set) if rest is not None and rest < 1e6 else None
            try:
                if attempt["cancelled"].is_set():
                    raise Cancelled
                self.report("started", attempt)
                if timer:
                    timer.start()
                chunk = functools.partial(self.chunk, attempt)
                result = json.dumps(self.handler(attempt["parameters"], attempt["cancelled"], chunk))
                if attempt["cancelled"].is_set():
                    raise Cancelled
                if len(result.encode()) > RESULT_BYTES_MAX:
                    raise BadParameters(f"the result has more than {RESULT_BYTES_MAX} bytes")
                final = ("completed", {"result": result})
            except Cancelled:
                late = attempt["deadline"] and time.time() * 1000 >= attempt["deadline"] and not attempt["by_server"]
                error = json.dumps({"message": "the deadline has passed", "code": "deadline"})
                final = ("failed", {"error": error, "retryable": "true"}) if late else ("cancelled", {})
            except Exception as error:  # whatever the handler raises fails its attempt, not the agent
                log.warning("task %s failed: %s", attempt["task"], error)
                details = json.dumps({"message": str(error)[:4000], "code": type(error).__name__})
                retryable = "false" if isinstance(error, BadParameters) else "true"
                final = ("failed", {"error": details, "retryable": retryable})
            finally:
                if timer:
                    timer.cancel()
            with self.lock:
                wanted = self.attempts.pop(attempt["token"], None) is attempt
            if wanted:
                self.report(final[0], attempt, **final[1])

    def receive(self, message):
        kind, token, epoch = message.get("kind"), message.get("token", ""), int(message.get("epoch") or 0)
        if epoch and epoch < self.epoch:
            log.warning("a message of a former active site is void")
            return
        self.epoch = max(self.epoch, epoch)
        if kind == "assign":
            self.take(message, token)
        elif kind == "cancel":
            with self.lock:
                attempt = self.attempts.get(token)
                unknown = token not in self.seen
                self.seen[token] = True
            if attempt:
                attempt["by_server"] = True
                attempt["cancelled"].set()
            elif unknown:
                self.report("cancelled", {"task": message["task"], "token": token})
        elif kind == "drain":
            self.draining = True
        elif kind == "resume":
            self.draining = False
        elif kind == "shutdown":
            self.leaving.set()
        elif kind == "refused":
            log.warning("report %s was refused: %s", message.get("report"), message.get("reason"))
            if token:
                self.forget(token)
            elif message.get("report") == "heartbeat":
                self.stale = True  # the server has given this agent up

    def take(self, message, token):
        attempt = {
            "task": message["task"],
            "token": token,
            "attempt": int(message.get("attempt") or 1),
            "chunks": 0,
            "parameters": json.loads(message.get("parameters") or "null"),
            "deadline": int(float(message.get("deadline") or 0)),
            "cancelled": threading.Event(),
            "by_server": False,
        }
        with self.lock:
            if token in self.seen:
                return
            self.seen[token] = True
            if len(self.seen) > TOKENS_REMEMBERED_MAX:
                del self.seen[next(iter(self.seen))]
            full = len(self.attempts) >= self.options.slots
            refuse = full or self.draining or self.leaving.is_set()
            if not refuse:
                self.attempts[token] = attempt
        if refuse:
            self.report("released", attempt, reason="no free slot" if full else "the agent takes no new work")
        else:
            self.work.put(attempt)

    def forget(self, token):
        """Its token is dead: stop the work and report nothing."""
        with self.lock:
            attempt = self.attempts.pop(token, None)
        if attempt:
            attempt["cancelled"].set()

    def read(self):
        """Reads the inbox until this generation ends."""
        streams, position, connection = self.registration["redis"], "0", self.connection
        while not self.leaving.is_set() and not self.stale:
            if connection is not self.connection:
                connection, position = self.connection, "0"
            try:
                reply = connection.xreadgroup(
                    streams["group"], self.id, {streams["inbox"]: position}, count=100, block=BLOCK_MS
                )
                entries = reply[0][1] if reply else []
                for entry, message in entries:
                    try:
                        self.receive(message)
                    except (KeyError, ValueError) as error:
                        log.warning("inbox entry %s is passed over: %r", entry, error)
                if entries:
                    connection.xack(streams["inbox"], streams["group"], *(entry for entry, _ in entries))
                if position != ">":
                    position = entries[-1][0] if entries else ">"
            except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
                log.warning("the server has taken this agent's account with Redis away: %s", error)
                self.stale = True
            except redis.ResponseError as error:
                log.warning("the inbox is gone: %s", error)
                if str(error).startswith(("NOGROUP", "NOPERM", "WRONGPASS", "NOAUTH", "WRONGTYPE")):
                    self.stale = True
                self.leaving.wait(0.25)
            except redis.RedisError as error:
                log.warning("the inbox cannot be read: %s; trying again", error)
                position = "0"  # what was delivered while the link broke is pending
                self.leaving.wait(0.25)

    def run(self):
        workers = [threading.Thread(target=self.worker, daemon=True) for _ in range(self.options.slots)]
        for thread in workers:
            thread.start()
        while not self.leaving.is_set():
            self.register()
            if self.leaving.is_set():
                break
            ended = threading.Event()
            beating = threading.Thread(target=self.heartbeat, args=(ended,), daemon=True)
            beating.start()
            following = threading.Thread(target=self.follow, args=(ended,), daemon=True)
            following.start()
            self.read()
            if not self.leaving.is_set():
                for token in list(self.attempts):
                    self.forget(token)
                self.leaving.wait(0.25)
            else:
                self.finish(workers)
            ended.set()
            beating.join(timeout=CALL_DEADLINE_S)
        if self.registration:
            self.report("goodbye", deadline_s=3.0)
        log.info("stopped")

    def finish(self, workers):
        """Lets running work end, gives back what has not started."""
        while True:
            try:
                attempt = self.work.get_nowait()
            except queue.Empty:
                break
            with self.lock:
                self.attempts.pop(attempt["token"], None)
            self.report("released", attempt, deadline_s=3.0, reason="the agent shuts down")
        for _ in workers:
            self.work.put(None)
        until = time.monotonic() + SHUTDOWN_GRACE_S
        for thread in workers:
            thread.join(timeout=max(0.0, until - time.monotonic()))
        with self.lock:
            unfinished, self.attempts = list(self.attempts.values()), {}
        for attempt in unfinished:
            attempt["cancelled"].set()
            self.report("released", attempt, deadline_s=3.0, reason="the agent shuts down")


def main():
    parser = argparse.ArgumentParser(description="Sample agent: text_processing over Redis Streams.")
    parser.add_argument("--api", default=os.environ.get("ORCHESTRATOR_API", "http://127.0.0.1:8000"))
    parser.add_argument("--token", default=os.environ.get("ORCHESTRATOR_TOKEN"))
    parser.add_argument("--redis", default=os.environ.get("ORCHESTRATOR_REDIS_URL"), help="instead of the address that the server names")
    parser.add_argument("--certificate", help="PEM file, for a Redis that asks its clients for one; SSL_CERT_FILE names the CA")
    parser.add_argument("--key", help="PEM file with the key of the certificate")
    parser.add_argument("--type", default="text_processing")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--id", default=None, help="stable id; without it the server makes one")
    options = parser.parse_args()
    if not options.token:
        parser.error("no token: pass --token or set ORCHESTRATOR_TOKEN")
    if (options.certificate is None) != (options.key is None):
        parser.error("--certificate and --key go together")
    if options.slots < 1:
        parser.error("--slots takes a whole number from 1")
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    agent = Agent(options, process_text)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.leaving.set())
    agent.run()


if __name__ == "__main__":
    main()
