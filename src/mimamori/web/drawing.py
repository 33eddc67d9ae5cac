"""From views to HTML: the Jinja templates, and the few figures that they show. The same macros draw pages and events.

May import model, the desk, web.records and words. Pure but for loading its own templates; reads no clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mimamori.alerts.roster import is_holiday
from mimamori.model.alert import Alert
from mimamori.model.metrics import BASE
from mimamori.model.notice import NoticeState
from mimamori.model.times import MINUTE, NEVER
from mimamori.web.desk import Desk, Tile, View, worst_first
from mimamori.web.reasons import length, retold
from mimamori.web.records import Records
from mimamori.web.words import LANGS, Lang, ago, brief, catalogue, clock, day_words, number, say, say_or, span

TITLES = {m.name: {"ja": m.title_ja, "en": m.title_en} for m in BASE}
FRESH = {"heart_rate": 2 * MINUTE, "respiration_rate": 2 * MINUTE, "spo2": 2 * MINUTE, "body_movement": 2 * MINUTE}
FRESH_ELSE = 35 * MINUTE  # meters and climate sensors report every half hour
UNIT_KEYS = {"1/min": "1min", "Cel": "Cel", "%RH": "RH", "1": "one"}
_DENSE = ((24, "few"), (80, "some"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with its age. fresh_for: ns; older than that it is never shown as live."""

    title: str
    text: str
    unit: str
    taken: int
    fresh_for: int
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An alert as the queue shows it: with its place, its owner's name, and what was sent to whom."""

    alert: Alert
    place: str
    owner: str
    sent: tuple[tuple[str, NoticeState], ...]


def figures(tile: Tile, lang: Lang, now: int) -> list[Figure]:
    """The tile's numbers in words."""
    made = []
    for metric, value, unit, taken in tile.values:
        fresh = FRESH.get(metric, FRESH_ELSE)
        title = TITLES[metric][lang] if metric in TITLES else metric
        unit_text = say_or(lang, "unit", UNIT_KEYS.get(unit, unit))
        stale = NEVER in {taken, now} or now - taken > fresh
        figure = Figure(title=title, text=number(value), unit=unit_text, taken=taken, fresh_for=fresh, stale=stale)
        made.append(figure)
    return made


def gathered(rows: Iterable[tuple[str, NoticeState]]) -> list[tuple[str, NoticeState, int]]:
    """(who, newest message, how many) for each person and channel, what did not arrive apart from what did.

    rows: newest first. A reminder every five minutes all night must not push the buttons off the screen.
    """
    found: dict[tuple[str, str, bool], tuple[str, NoticeState, int]] = {}
    for name, state in rows:
        key = (name, state.notice.channel, state.status == "failed")
        _, newest, count = found.get(key, (name, state, 0))
        found[key] = (name, newest, count + 1)
    return list(found.values())


def gathered_calls(states: Iterable[NoticeState]) -> list[tuple[str, NoticeState, int]]:
    """As `gathered`, by recipient."""
    return gathered((s.notice.recipient, s) for s in states)


def percent(share: float) -> str:
    """99.2%; rounded down, so that only what is whole reads 100%."""
    tenths = math.floor(share * 1000 + 1e-9)
    return "100%" if tenths >= 1000 else f"{tenths // 10}.{tenths % 10}%"


def spoken(phone: str) -> str:
    """A Japanese number as people here write it; others as they are."""
    local = "0" + phone[3:] if phone.startswith("+81") else phone
    if len(local) == 11 and local.startswith("0"):
        return f"{local[:3]}-{local[3:7]}-{local[7:]}"
    return local


def density(tiles: int) -> str:
    """How closely the wall is set: few, some or many."""
    return next((name for most, name in _DENSE if tiles <= most), "many")


async def names_of(records: Records, ids: Iterable[str]) -> Mapping[str, str]:
    """Staff ids to names; an id that nobody has stays as it is."""
    found = {}
    for who in sorted(set(ids)):
        person = await records.staff(who) if who else None
        found[who] = person.name if person else who
    return found


async def cards(desk: Desk, records: Records, alerts: Iterable[Alert]) -> list[Card]:
    """Cards for alerts, in their order."""
    made = []
    for alert in alerts:
        sent = await records.notices(alert=alert.id)
        names = await names_of(records, [alert.owner, *(s.notice.recipient for s in sent)])
        tile = desk.tile(alert.household)
        place = " ".join(filter(None, (tile.room, tile.code))) if tile else alert.household
        told = tuple((names[s.notice.recipient], s) for s in sent)
        made.append(Card(alert=alert, place=place, owner=names.get(alert.owner, ""), sent=told))
    return made


class Drawing:
    """The templates of one language."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        env = Environment(
            loader=PackageLoader("mimamori.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        env.globals |= {
            "lang": lang, "NEVER": NEVER, "nan": math.isnan, "number": number, "density": density,
            "gathered": gathered, "gathered_calls": gathered_calls, "percent": percent, "spoken": spoken,
            "t": lambda key, **values: say(lang, key, **values),
            "word": lambda part, name: say_or(lang, part, name),
            "own": lambda thing, name: getattr(thing, f"{name}_{lang}"),
            "span": lambda length: span(lang, length),
            "ago": lambda at, now: ago(lang, at, now),
            "clock": lambda at, view: clock(lang, at, view.zone, view.now),
            "brief": lambda at, view: brief(lang, at, view.zone, view.now),
            "moment": lambda at, zone, now: clock(lang, at, zone, now),
            "day": lambda day: day_words(lang, day), "holiday": lambda day: day.weekday() >= 5 or is_holiday(day),
            "figures": lambda tile, view: figures(tile, lang, view.now),
            "ms": lambda at: "" if at == NEVER else at // 1_000_000,
            "worst_first": worst_first,
            "link": lambda path: quote(path, safe="/"),
            "retold": lambda text: retold(lang, text),
            "length": lambda text: length(str(text)) if lang == "ja" else str(text),
            "js_words": _js_words(lang),
        }  # fmt: skip
        self._env = env
        self._parts: Any = env.get_template("parts.html").module

    def page(self, name: str, **values: Any) -> str:
        """A whole page."""
        return self._env.get_template(f"{name}.html").render(**values)

    def tile(self, tile: Tile, view: View) -> str:
        """One tile of the wall."""
        return str(self._parts.tile(tile, view))

    def card(self, card: Card, view: View) -> str:
        """One card of the queue."""
        return str(self._parts.card(card, view))

    def bar(self, view: View) -> str:
        """The part of the page's head that changes."""
        return str(self._parts.bar(view))


def drawings() -> Mapping[str, Drawing]:
    """One for each language."""
    return {lang: Drawing(lang) for lang in LANGS}


def sounding(view: View) -> list[tuple[str, str]]:
    """(id, priority) of the alerts that nobody has taken: what the console must sound."""
    return [
        (a.id, a.priority)
        for a in view.alerts
        if a.state == "open" and a.returned_at == NEVER and a.shelved_until <= view.now
    ]


_JS_KEYS = (
    "time.seconds", "time.minutes", "time.hours", "time.days", "time.ago", "time.for", "refused.failed",
    "refused.network", "act.done", "sound.on", "sound.off", "sound.muted", "sound.blocked", "sound.missing",
    "site.lost", "site.stalled",
)  # fmt: skip


def _js_words(lang: Lang) -> Markup:
    """The texts that the scripts need, raw with their braces, as JSON safe inside a script element."""
    texts = {key: catalogue()[key][lang] for key in _JS_KEYS}
    return Markup(json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c"))  # noqa: S704 - escaped for its place
