"""The console's texts in both languages: the catalogue, and times and numbers in words.

May import model only. Reads its own catalogue file once; never a clock.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal

from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, to_datetime

Lang = Literal["ja", "en"]
LANGS: tuple[Lang, ...] = ("ja", "en")
_DAYS = ("月火水木金土日", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))


_PARTS = ((4, "夜中の"), (11, "朝"), (12, "昼前の"), (16, "昼の"), (19, "夕方"), (24, "夜"))


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every text by dotted key: {"wall.title": {"ja": ..., "en": ...}}."""
    tables = tomllib.loads(files("mimamori.web").joinpath("catalogue.toml").read_text("utf-8"))
    return {f"{part}.{name}": text for part, texts in tables.items() for name, text in texts.items()}


def say(lang: Lang, key: str, **values: object) -> str:
    """The text of a key with its places filled. Raises KeyError for an unknown key."""
    return catalogue()[key][lang].format(**values)


def say_or(lang: Lang, part: str, name: str) -> str:
    """The text for a name that content or code elsewhere invented, or the name itself."""
    text = catalogue().get(f"{part}.{name}")
    return text[lang] if text else name


def span(lang: Lang, length: int) -> str:
    """A length of time in one short word: 42 s -> "42秒"; 95 min -> "1時間35分"; NEVER-safe callers only."""
    length = max(0, length)
    if length < MINUTE:
        return say(lang, "time.seconds", n=length // SECOND)
    if length < HOUR:
        return say(lang, "time.minutes", n=length // MINUTE)
    if length < DAY:
        return say(lang, "time.hours", n=length // HOUR, m=length % HOUR // MINUTE)
    return say(lang, "time.days", n=length // DAY)


def ago(lang: Lang, at: int, now: int) -> str:
    """How long ago, or a dash for what never was."""
    return "—" if NEVER in {at, now} else say(lang, "time.ago", span=span(lang, now - at))


def clock(lang: Lang, at: int, zone: str, now: int = NEVER) -> str:
    """Local time to the minute; with the day when it is not today's."""
    if at == NEVER:
        return "—"
    moment = to_datetime(at, zone)
    if now != NEVER and to_datetime(now, zone).date() == moment.date():
        return f"{moment:%H:%M}"
    day = _DAYS[LANGS.index(lang)][moment.weekday()]
    return f"{moment.month}/{moment.day}({day}) {moment:%H:%M}" if lang == "ja" else f"{day} {moment:%d %b %H:%M}"


def brief(lang: Lang, at: int, zone: str, now: int) -> str:
    """As short as can be: the time if it is today's, else the day."""
    moment = to_datetime(at, zone)
    if now != NEVER and to_datetime(now, zone).date() == moment.date():
        return f"{moment:%H:%M}"
    return f"{moment.month}/{moment.day}" if lang == "ja" else f"{moment:%d %b}"


def day_words(lang: Lang, day: date) -> str:
    """A day with its weekday: 11/23(月), Mon 23 Nov."""
    weekday = _DAYS[LANGS.index(lang)][day.weekday()]
    return f"{day.month}/{day.day}({weekday})" if lang == "ja" else f"{weekday} {day:%d %b}"


def about(lang: Lang, minutes: float) -> str:
    """A time of day as people say it, to the half hour: 夜10時ごろ, about 10 pm. minutes: since midnight, any day."""
    half = round(minutes / 30) % 48
    hour = half // 2
    if lang == "en":
        return f"about {hour % 12 or 12}{':30' if half % 2 else ''} {'am' if hour < 12 else 'pm'}"
    part = next(word for end, word in _PARTS if hour < end)
    return f"{part}{hour % 12 or (12 if hour else 0)}時{'半' if half % 2 else ''}ごろ"


def number(value: float | str) -> str:
    """A figure to three digits or so, a dash for NaN, and text as it is."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "—"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
