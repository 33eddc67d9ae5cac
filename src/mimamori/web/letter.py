"""The family's monthly letter: how the month went, in warm and plain words, and what it leaves out. No vital figure.

May import past, words, alerts' fold and web.records. Reads no clock: the month and `now` are arguments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from mimamori.alerts.fold import fold_all
from mimamori.model.alert import Alert
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, from_datetime, to_datetime
from mimamori.web.past import Night, Past
from mimamori.web.records import Records
from mimamori.web.words import Lang, about, day_words, say

ENOUGH = 5  # nights, before anything is said of habits
MONTHS = 12
TRUE = ("true-emergency", "help-given")
"""Outcomes of which the family is told one by one; of the others only how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A month's letter as sentences, ready to print. until: ns, the month's end or now; whole: the month is over."""

    month: date
    until: int
    whole: bool
    sentences: tuple[str, ...]
    helped: tuple[str, ...]
    words: str
    by: str


def month_of(now: int, zone: str, back: int = 0) -> date:
    """The first of the month that lies `back` months before now's."""
    today = to_datetime(now, zone).date()
    count = today.year * 12 + today.month - 1 - back
    return date(count // 12, count % 12 + 1, 1)


def span_of(month: date, zone: str) -> tuple[int, int]:
    """[begin, end) of a local month, ns UTC."""
    over = (month + timedelta(days=32)).replace(day=1)
    first, last = (to_datetime(0, zone).replace(year=d.year, month=d.month, day=1, hour=0, minute=0, second=0,
                   microsecond=0, tzinfo=ZoneInfo(zone)) for d in (month, over))  # fmt: skip
    return from_datetime(first), from_datetime(last)


async def letter_of(
    records: Records, household: str, month: date, *, past: Past | None, zone: str, lang: Lang, now: int
) -> Letter:
    """The letter of one month up to now. past: the household's readings, None where there are none at hand."""
    begins, ends = span_of(month, zone)
    until = min(now, ends)
    sentences: list[str] = []
    if past is not None:
        days = max(1, -(-(until - begins) // DAY))
        here = replace(past, until=until)
        nights = [n for n in await here.nights(days) if n.day >= month]
        sentences += of_nights(nights, lang) + of_outings(await here.outings(until - begins), here, lang)
    alerts = [a for a in fold_all(await records.household_events(household)).values() if begins <= a.opened < until]
    kind = f"letter {month:%Y-%m}"
    own = next((n for n in await records.notes(household) if n.kind == kind), None)
    person = await records.staff(own.by) if own else None
    return Letter(
        month=month, until=until, whole=now >= ends, sentences=(*sentences, *of_alerts(alerts, lang)),
        helped=helped(alerts, lang, zone), words=own.text if own else "", by=person.name if person else "",
    )  # fmt: skip


def of_nights(nights: Sequence[Night], lang: Lang) -> list[str]:
    """About going to bed and getting up; that little is known, where it is."""
    if len(nights) < ENOUGH:
        return [say(lang, "letter.few-nights")]
    midnight = [(n.began + 12 * HOUR) // DAY * DAY for n in nights]
    bed = [(n.began - m) / MINUTE for n, m in zip(nights, midnight, strict=True)]
    rise = [(n.ended - m) / MINUTE for n, m in zip(nights, midnight, strict=True)]
    told = [
        say(lang, "letter.bed", at=about(lang, float(np.median(bed))), how=_steady(bed, lang)),
        say(lang, "letter.rise", at=about(lang, float(np.median(rise))), how=_steady(rise, lang)),
    ]
    risings = float(np.median([n.risings for n in nights]))
    return [*told, say(lang, "letter.calm" if risings < 1.5 else "letter.risings", n=round(risings))]


def _steady(minutes: Sequence[float], lang: Lang) -> str:
    """By the middle half of the days: within an hour, within two, or wider."""
    low, high = np.percentile(minutes, [25, 75])
    key = "letter.steady" if high - low <= 60 else "letter.fair" if high - low <= 120 else "letter.varied"
    return say(lang, key)


def of_outings(outings: Sequence[tuple[int, int]] | None, past: Past, lang: Lang) -> list[str]:
    """How often the person went out, as the door and the quiet between tell."""
    if outings is None:
        return [say(lang, "letter.no-door")]
    days = len({past.zone.local(begin) // DAY for begin, _ in outings})
    return [say(lang, "letter.outings", n=len(outings), days=days) if outings else say(lang, "letter.no-outing")]


def of_alerts(alerts: Sequence[Alert], lang: Lang) -> list[str]:
    """How often we looked after something, without what it was measured by."""
    mine = [a for a in alerts if a.category != "technical"]
    counts = Counter("true" if a.outcome in TRUE else "other" for a in mine if a.resolved_at != NEVER)
    going = sum(a.resolved_at == NEVER for a in mine)
    if not mine:
        told = [say(lang, "letter.no-alert")]
    elif counts["other"]:
        told = [say(lang, "letter.looked", n=len(mine), well=counts["other"])]
    else:  # "of which none ended well" is no sentence for a family
        told = [say(lang, "letter.looked-only", n=len(mine))]
    return [*told, say(lang, "letter.going", n=going)] if going else told


def helped(alerts: Sequence[Alert], lang: Lang, zone: str) -> tuple[str, ...]:
    """Each time help was given: the day, what it was about in a word, how it ended. Oldest first."""
    about_what: Mapping[str, str] = {"resident": "letter.about-resident", "environment": "letter.about-room"}
    return tuple(
        say(
            lang, "letter.help", day=day_words(lang, to_datetime(a.opened, zone).date()),
            what=say(lang, about_what[a.category]),
            end=say(lang, "letter.end-emergency" if a.outcome == "true-emergency" else "letter.end-help"),
        )
        for a in sorted(alerts, key=lambda a: a.opened)
        if a.outcome in TRUE and a.category in about_what
    )  # fmt: skip
