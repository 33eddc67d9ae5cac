"""Alarm-load figures after EEMUA 191 and ISA-18.2: how much people are told, in which bursts, by what, and how much
of it was false.

May import model only. Pure: a value of what was told and how alerts were closed. Limits are those standards'.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from mimamori.model.alert import AlertEvent, Outcome, Priority
from mimamori.model.notice import Notice
from mimamori.model.times import DAY, MINUTE

SLOT = 10 * MINUTE
FLOOD_BEGINS, FLOOD_ENDS = 10, 5
"""A flood begins with more than ten calls in ten minutes and ends with fewer than five (ISA-18.2)."""
MANAGEABLE = 1.0
"""Calls in ten minutes that one person can bear for long (EEMUA 191)."""
STALE = DAY
CALLS = frozenset({"first", "repeat", "escalated", "bundle"})
FALSE: frozenset[Outcome] = frozenset({"false-alarm", "device-fault"})
JUDGED: frozenset[Outcome] = frozenset(set(get_args(Outcome)) - {"ended", "test"})
TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """From the begin of its first slot to the end of its last; calls in all, and in its worst ten minutes."""

    begins: int
    ends: int
    calls: int
    peak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLoad:
    """One person's calls. mean: per ten minutes of the whole span. busy: share of slots over MANAGEABLE."""

    person: str
    calls: int
    mean: float
    peak: int
    busy: float
    flooded: float
    floods: tuple[Flood, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLoad:
    """One rule's alerts. share: of all alerts. false: share of those closed with a judgement, None if none was."""

    rule: str
    alerts: int
    share: float
    judged: int
    false: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """All figures of [begins, ends). households: the noisiest, with their share. mix: share of each priority."""

    begins: int
    ends: int
    alerts: int
    people: tuple[PersonLoad, ...]
    rules: tuple[RuleLoad, ...]
    households: tuple[tuple[str, int, float], ...]
    mix: Mapping[Priority, float]
    stale: int


def load(events: Sequence[AlertEvent], notices: Sequence[Notice], begins: int, ends: int) -> Load:
    """events: of all alerts, oldest first. notices: what was sent. Raises ValueError for an empty span."""
    if ends <= begins:
        msg = "the span is empty; let it end after it begins"
        raise ValueError(msg)
    opened = [e for e in events if e.kind in {"opened", "reopened"} and begins <= e.at < ends]
    told: dict[str, list[int]] = defaultdict(list)
    for notice in notices:
        if notice.kind in CALLS and notice.channel != "console" and begins <= notice.due < ends:
            told[notice.recipient].append(notice.due)
    homes = Counter(e.household for e in opened)
    mix = Counter(e.priority for e in opened)
    return Load(
        begins=begins, ends=ends, alerts=len(opened),
        people=tuple(_person(person, times, begins, ends) for person, times in sorted(told.items())),
        rules=_rules(events, opened),
        households=tuple((home, n, n / len(opened)) for home, n in _most(homes)),
        mix={p: mix[p] / len(opened) if opened else 0.0 for p in get_args(Priority)},
        stale=_stale(events, begins, ends),
    )  # fmt: skip


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:TOP]


def _person(person: str, times: Sequence[int], begins: int, ends: int) -> PersonLoad:
    slots = -(-(ends - begins) // SLOT)
    counts = Counter((t - begins) // SLOT for t in times)
    floods = _floods(counts, begins)
    flooded = sum(f.ends - f.begins for f in floods) / (slots * SLOT)
    return PersonLoad(
        person=person, calls=len(times), mean=len(times) * SLOT / (ends - begins), peak=max(counts.values()),
        busy=sum(n > MANAGEABLE for n in counts.values()) / slots, flooded=flooded, floods=tuple(floods),
    )  # fmt: skip


def _floods(counts: Mapping[int, int], begins: int) -> list[Flood]:
    """Stretches of slots from one with more than FLOOD_BEGINS up to the first with fewer than FLOOD_ENDS."""
    floods: list[Flood] = []
    run: list[int] = []  # the slots of the flood we are in
    for slot in sorted(counts):
        if run and (slot != run[-1] + 1 or counts[slot] < FLOOD_ENDS):
            floods.append(_flood(counts, run, begins))
            run = []
        if run or counts[slot] > FLOOD_BEGINS:
            run.append(slot)
    return [*floods, _flood(counts, run, begins)] if run else floods


def _flood(counts: Mapping[int, int], run: Sequence[int], begins: int) -> Flood:
    within = [counts[slot] for slot in run]
    return Flood(
        begins=begins + run[0] * SLOT, ends=begins + (run[-1] + 1) * SLOT, calls=sum(within), peak=max(within)
    )  # fmt: skip


def _rules(events: Sequence[AlertEvent], opened: Sequence[AlertEvent]) -> tuple[RuleLoad, ...]:
    counts = Counter(e.rule for e in opened)
    mine = {e.alert for e in opened}
    last: dict[str, AlertEvent] = {e.alert: e for e in events if e.kind == "resolved" and e.alert in mine}
    judged = Counter(e.rule for e in last.values() if e.outcome in JUDGED)
    false = Counter(e.rule for e in last.values() if e.outcome in FALSE)
    return tuple(
        RuleLoad(
            rule=rule, alerts=n, share=n / len(opened), judged=judged[rule],
            false=false[rule] / judged[rule] if judged[rule] else None,
        )
        for rule, n in _most(counts)
    )  # fmt: skip


def _stale(events: Sequence[AlertEvent], begins: int, ends: int) -> int:
    """Alerts that stood open for more than a day of the span without anybody closing them."""
    since: dict[str, int] = {}
    stale: set[str] = set()
    for event in events:
        if event.kind in {"opened", "reopened"}:
            since.setdefault(event.alert, max(event.at, begins))
        elif event.kind == "resolved" and event.alert in since and event.at - since.pop(event.alert) > STALE:
            stale.add(event.alert)
    return len(stale | {alert for alert, at in since.items() if ends - at > STALE})
