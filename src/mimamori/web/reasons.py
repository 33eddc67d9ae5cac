"""What the engine, the policy and the senders noted in English, in the reader's language.

The record stays as it was written, in one language; here its known sentences are told again. May import words only.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from mimamori.web.words import Lang, catalogue, say_or

_PLACE = re.compile(r"\\\{(\w+)\\\}")
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS = ("日", "時間", "分", "秒")
_LENGTH = re.compile(r"(?:(\d+)日)?(?:(\d+)時間)?(?:(\d+)分)?(?:(\d+)秒)?")


@cache
def _known() -> tuple[tuple[re.Pattern[str], str], ...]:
    """(pattern, Japanese) of every sentence; the fewest places first, so that the most exact one is taken."""
    texts = [text for key, text in catalogue().items() if key.startswith("reason.")]
    texts.sort(key=lambda text: (text["en"].count("{"), -len(text["en"])))
    return tuple(
        (re.compile(_PLACE.sub(lambda place: f"(?P<{place[1]}>.+?)", re.escape(text["en"])), re.DOTALL), text["ja"])
        for text in texts
    )


def retold(lang: Lang, text: str) -> str:
    """A noted sentence in Japanese; as it stands in English, or where it is not known (a person's words are none)."""
    if lang == "en" or not text:
        return text
    for pattern, ja in _known():
        found = pattern.fullmatch(text)
        if found:
            return ja.format(**{name: _part(lang, name, value) for name, value in found.groupdict().items()})
    return text


def _part(lang: Lang, name: str, value: str) -> str:
    if name in {"rest", "more"}:
        return retold(lang, value)
    if name == "span":
        return length(value)
    return say_or(lang, name.rstrip("2"), value)


def length(text: str) -> str:
    """1d20h as 1日20時間; what is no length stays as it is."""
    found = _SPAN.fullmatch(text)
    if not found or not text:
        return text
    return "".join(f"{n}{unit}" for n, unit in zip(found.groups(), _UNITS, strict=True) if n)


def short(text: str) -> str:
    """1日20時間 as 1d20h, as the rules' files have it, full-width digits too; what is no length stays as it is."""
    plain = unicodedata.normalize("NFKC", text).replace(" ", "")
    found = _LENGTH.fullmatch(plain)
    if not found or not plain:
        return plain
    return "".join(f"{n}{unit}" for n, unit in zip(found.groups(), "dhms", strict=True) if n)
