"""What messages say and what people answer: templates, their size in SMS segments, replies in words.

May import model and pydantic content only. Pure; holds no name and no diagnosis, only room or code, kind and time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Literal, TypeAlias, get_args

from mimamori.alerts.units import sms_length, sms_units
from mimamori.model.alert import Alert, Priority
from mimamori.model.content import Content, ContentError, Text
from mimamori.model.times import DAY, HOUR, MINUTE, Zone

Language: TypeAlias = Literal["ja", "en"]
PLACE, WHO, TITLE = 12, 12, {"ja": 14, "en": 28}
"""Longest place, staff id and title in a text message, in characters; longer ones are shortened."""
ONE_SEGMENT: Mapping[Language, int] = {"ja": 66, "en": 160}
"""Units of a message that every Japanese carrier takes as one piece: 66 UCS-2 at the strictest, 160 GSM-7."""

_CALL = frozenset({"priority", "place", "title", "since", "span", "time"})
PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "sms.first": _CALL, "sms.repeat": _CALL, "sms.escalated": _CALL,
    "sms.taken": frozenset({"priority", "place", "title", "time", "who"}),
    "sms.ended": frozenset({"priority", "place", "title", "time"}),
    "sms.bundle": frozenset({"priority", "title", "count", "places", "time"}),
    "sms.test": frozenset({"time"}),
    "reply.taken": frozenset({"place", "title"}), "reply.already": frozenset({"place", "title", "who"}),
    "reply.passed": frozenset({"place", "title"}), "reply.received": frozenset(), "reply.none": frozenset(),
    "reply.unclear": frozenset(), "reply.bundle": frozenset(),
    "voice.call": _CALL, "voice.keys": frozenset(), "voice.ask": frozenset(), "voice.test": frozenset(),
    "voice.taken": frozenset(), "voice.already": frozenset({"who"}), "voice.passed": frozenset(),
    "voice.well": frozenset(), "voice.help": frozenset(), "voice.received": frozenset(), "voice.over": frozenset(),
    "console.first": _CALL | {"why"}, "console.repeat": _CALL | {"why"}, "console.escalated": _CALL | {"why"},
    "words.several": frozenset(), "words.others": frozenset({"count"}),
}  # fmt: skip
"""Which words in braces each template may hold."""


class PriorityWords(Content):
    """The three priorities in words."""

    high: Text
    medium: Text
    low: Text


class SmsTexts(Content):
    """One template a kind of notice."""

    first: Text
    repeat: Text
    escalated: Text
    taken: Text
    ended: Text
    bundle: Text
    test: Text


class ReplyTexts(Content):
    """What we answer to an answer by SMS."""

    taken: Text
    already: Text
    passed: Text
    received: Text
    none: Text
    unclear: Text
    bundle: Text


class VoiceTexts(Content):
    """What is said on the telephone: the three calls, the keys of a call to staff, and the words after a key."""

    call: Text
    keys: Text
    ask: Text
    test: Text
    taken: Text
    already: Text
    passed: Text
    well: Text
    help: Text
    received: Text
    over: Text


class ConsoleTexts(Content):
    """Templates of the lines shown on the console."""

    first: Text
    repeat: Text
    escalated: Text


class Words(Content):
    """Small parts of texts."""

    several: Text
    others: Text


class Texts(Content):
    """`texts.toml`."""

    language: Language = "ja"
    priority: PriorityWords
    sms: SmsTexts
    reply: ReplyTexts
    voice: VoiceTexts
    console: ConsoleTexts
    words: Words


def say(text: Text, language: Language) -> str:
    """The text in one language."""
    return text.ja if language == "ja" else text.en


def clip(text: str, longest: int) -> str:
    """At most `longest` characters: both ends kept, since codes differ at their ends."""
    if len(text) <= longest:
        return text
    tail = (longest - 2) // 2
    return f"{text[: longest - 2 - tail]}..{text[-tail:]}"


def span_words(span: int, language: Language) -> str:
    """A span in its two largest units: 35分, 1時間05分, 2日3時間; 35m, 1h05m, 2d3h."""
    day, hour, minute = ("日", "時間", "分") if language == "ja" else ("d", "h", "m")
    span = min(max(span, 0), 99 * DAY + 23 * HOUR)
    if span >= DAY:
        return f"{span // DAY}{day}{span % DAY // HOUR}{hour}"
    if span >= HOUR:
        return f"{span // HOUR}{hour}{span % HOUR // MINUTE:02d}{minute}"
    return f"{span // MINUTE}{minute}"


def clock_words(at: int, zone: Zone) -> str:
    """Local time of day, HH:MM."""
    minutes = zone.time_of_day(at) // MINUTE
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def call_text(texts: Texts, kind: Literal["first", "repeat", "escalated"], alert: Alert, zone: Zone, now: int) -> str:
    """The text message that asks for an answer."""
    return _fill(say(getattr(texts.sms, kind), texts.language), _values(texts, texts.language, alert, zone, now))


def console_text(
    texts: Texts, kind: Literal["first", "repeat", "escalated"], alert: Alert, zone: Zone, now: int
) -> str:
    """The line on the console, Japanese first, English after a slash."""
    template: Text = getattr(texts.console, kind)
    ja = _fill(template.ja, _values(texts, "ja", alert, zone, now) | {"why": alert.why_ja})
    en = _fill(template.en, _values(texts, "en", alert, zone, now) | {"why": alert.why_en})
    return f"{ja} / {en}"


def taken_text(texts: Texts, alert: Alert, who: str, zone: Zone, now: int) -> str:
    """Tells the others who has taken it."""
    values = _values(texts, texts.language, alert, zone, now) | {"who": clip(who, WHO)}
    return _fill(say(texts.sms.taken, texts.language), values)


def ended_text(texts: Texts, alert: Alert, zone: Zone, now: int) -> str:
    """Tells those who were called that the condition is over."""
    return _fill(say(texts.sms.ended, texts.language), _values(texts, texts.language, alert, zone, now))


def reply_text(texts: Texts, key: str, alert: Alert | None = None) -> str:
    """Our answer by SMS. key: a field of `ReplyTexts`; who has the alert is its owner."""
    values = {} if alert is None else {
        "place": clip(alert.household, PLACE), "title": _title(alert, texts.language), "who": clip(alert.owner, WHO),
    }  # fmt: skip
    return _fill(say(getattr(texts.reply, key), texts.language), values)


def spoken(code: str, language: Language) -> str:
    """A code sign by sign, as it is read out: "A-12" -> "A、1、2"."""
    return ("、" if language == "ja" else ", ").join(c for c in code if c.isalnum())


def voice_text(texts: Texts, alert: Alert, zone: Zone, now: int) -> str:
    """What is read to staff on the telephone, keys included."""
    language = texts.language
    hours, minutes = clock_words(alert.since, zone).split(":")
    since = f"{int(hours)}時{int(minutes)}分" if language == "ja" else f"{hours}:{minutes}"
    values = _values(texts, language, alert, zone, now)
    values |= {"place": spoken(alert.household, language), "since": since}
    return f"{_fill(say(texts.voice.call, language), values)} {say(texts.voice.keys, language)}"


def voice_answer(texts: Texts, key: str, who: str = "") -> str:
    """What is said after a key. key: a field of `VoiceTexts`."""
    return _fill(say(getattr(texts.voice, key), texts.language), {"who": spoken(who, texts.language)})


def drill_text(texts: Texts, zone: Zone, now: int) -> str:
    """The weekly test of a telephone."""
    return _fill(say(texts.sms.test, texts.language), {"time": clock_words(now, zone)})


def bundle_text(texts: Texts, alerts: Sequence[Alert], zone: Zone, now: int) -> str:
    """Several alerts in one segment: the count, and as many places as fit; worst first as given."""
    language = texts.language
    titles = {_title(a, language) for a in alerts}
    values = {
        "priority": say(getattr(texts.priority, alerts[0].priority), language),
        "title": titles.pop() if len(titles) == 1 else say(texts.words.several, language),
        "count": str(len(alerts)), "time": clock_words(now, zone),
    }  # fmt: skip
    places, text = list(dict.fromkeys(clip(a.household, PLACE) for a in alerts)), ""
    for shown in range(len(places[:20]), -1, -1):
        rest = {"count": str(len(places) - shown)}
        listed = [",".join(places[:shown])] if shown else []
        listed += [_fill(say(texts.words.others, language), rest)] if shown < len(places) else []
        text = _fill(say(texts.sms.bundle, language), values | {"places": " ".join(listed)})
        if _fits(text, language):
            break
    return text


def _title(alert: Alert, language: Language) -> str:
    return clip(alert.title_ja if language == "ja" else alert.title_en, TITLE[language])


def _values(texts: Texts, language: Language, alert: Alert, zone: Zone, now: int) -> dict[str, str]:
    return {
        "priority": say(getattr(texts.priority, alert.priority), language),
        "place": clip(alert.household, PLACE),
        "title": _title(alert, language),
        "since": clock_words(alert.since, zone),
        "span": span_words(now - alert.since, language),
        "time": clock_words(now, zone),
    }


def _fill(template: str, values: Mapping[str, str]) -> str:
    return Formatter().vformat(template, (), values)


def _fits(text: str, language: Language) -> bool:
    encoding, segments = sms_units(text)
    return segments == 1 and sms_length(text) <= ONE_SEGMENT[language] and (language == "ja" or encoding == "GSM-7")


def check_texts(texts: Texts) -> list[ContentError]:
    """Every placeholder known, every text message one segment in its longest case, no stop word as an answer."""
    errors = []
    for key, allowed in PLACEHOLDERS.items():
        section, name = key.split(".")
        template: Text = getattr(getattr(texts, section), name)
        for language in ("ja", "en"):
            errors += _check_template(texts, key, say(template, language), language, allowed)
    return errors


def _check_template(
    texts: Texts, key: str, template: str, language: Language, allowed: frozenset[str]
) -> list[ContentError]:
    place, (section, name) = f"{key}.{language}", key.split(".")
    mend = f"use {', '.join('{' + w + '}' for w in sorted(allowed))}" if allowed else "write plain words"
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        return [ContentError("texts.toml", place, f"braces do not match ({error})", mend)]
    wrong = [n for _, n, spec, turn in parts if n is not None and (n not in allowed or spec or turn)]
    if wrong:
        return [ContentError("texts.toml", place, f"{{{n}}} cannot be filled in here", mend) for n in wrong]
    if section not in {"sms", "reply"}:
        return []
    longest = longest_text(texts, name, language, section)
    if _fits(longest, language):
        return []
    encoding, segments = sms_units(longest)
    reason = f"longest case takes {sms_length(longest)} units of {encoding} in {segments} segment(s)"
    return [ContentError("texts.toml", place, reason, f"shorten it to {ONE_SEGMENT[language]} units or fewer")]


def longest_text(texts: Texts, kind: str, language: Language, section: str = "sms") -> str:
    """The template filled with the longest values that `clip` and the roster allow."""
    priorities = [say(getattr(texts.priority, p), language) for p in get_args(Priority)]
    title, place = ("見" if language == "ja" else "W") * TITLE[language], "W" * PLACE
    template = say(getattr(getattr(texts, section), kind), language)
    values = {
        "priority": max(priorities, key=sms_length), "place": place, "title": title, "since": "23:59", "time": "23:59",
        "span": span_words(99 * DAY + 23 * HOUR, language), "who": "W" * WHO, "count": "9999",
        "places": _fill(say(texts.words.others, language), {"count": "9999"}),
    }  # fmt: skip
    return _fill(template, values)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person answered by SMS. "pass" asks for the next person; "unknown" needs a human to read it."""

    action: Literal["acknowledge", "pass", "stop", "start", "unknown"]
    text: str


_YES = frozenset({"1", "了解", "了解です", "了解しました", "対応", "対応します", "対応中", "向かいます", "ok"})
_PASS = frozenset({"2", "交代", "交代します", "交代お願いします", "無理", "対応できません"})
_STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
_START = frozenset({"start", "yes", "unstop"})
_FIRST_WORD = re.compile(r"\s*([12])(?!\d)|\s*([^\s,.。、:!]+)")


def parse_reply(text: str) -> Reply:
    """The meaning of an answer, full-width and half-width alike ("１", "1 了解", "了解です。").

    Carriers take the stop words themselves when they stand alone, so they are never answers of ours.
    """
    plain = unicodedata.normalize("NFKC", text).strip().casefold()
    if plain in _STOP:
        return Reply("stop", plain)
    if plain in _START:
        return Reply("start", plain)
    found = _FIRST_WORD.match(plain)
    word = (found.group(1) or found.group(2)) if found else ""
    if word in _YES:
        return Reply("acknowledge", plain)
    return Reply("pass" if word in _PASS else "unknown", plain)
