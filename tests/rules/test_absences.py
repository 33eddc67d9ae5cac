"""Declared absences against a naive twin, and what is held while somebody is away."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mimamori.model.declared import Declaration
from mimamori.model.findings import DECLARED_AWAY, FindingBatch, Verdict
from mimamori.model.homes import Homes
from mimamori.model.metrics import Metrics
from mimamori.model.readings import HISTORICAL, ReadingBatch, no_readings, reading_batch
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, parse_instant
from mimamori.rules import told as as_entered
from mimamori.rules.absences import AWAITED, AWAY, EARLY, FLEETING, HOME, LONGEST, holds
from mimamori.rules.engine import Engine
from mimamori.rules.spec import Drift, Rule, Usual
from mimamori.site import Site, load_site

METRICS = Metrics()
MIDNIGHT = parse_instant("2026-11-23T00:00:00+09:00")
Reading = tuple[int, str, str, float]  # ns after midnight, device, metric, value


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site()


def a_day(*readings: Reading, until: int = 24 * HOUR) -> list[Reading]:
    """A hall that is alive all the time, with what else was told."""
    return sorted([*readings, *[(t, "hall", "heartbeat", 1.0) for t in range(0, until, 10 * MINUTE)]])


def moves(begin: int, end: int, device: str = "hall") -> list[Reading]:
    return [(t, device, "motion", 1.0) for t in range(begin, end, 5 * MINUTE)]


def batch_of(homes: Homes, readings: list[Reading]) -> ReadingBatch:
    rows = [
        (
            0,
            homes.add_device("A", device),
            METRICS.index(metric),
            value,
            MIDNIGHT + at + SECOND,
            MIDNIGHT + at + SECOND,
            0,
        )
        for at, device, metric, value in sorted(readings)
    ]
    return reading_batch(rows)


@dataclass
class Told:
    """An engine over one household, stepped minute by minute; `declared` at those times after midnight."""

    site: Site
    readings: list[Reading]
    declared: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    states: dict[int, int] = field(default_factory=dict)
    parts: list[FindingBatch] = field(default_factory=list)
    engine: Any = None

    def upto(self, end: int) -> Told:
        homes = Homes()
        batch = batch_of(homes, self.readings)
        rules = self.rules or tuple(self.site.rules)
        self.engine, done = Engine(homes, rules, METRICS, self.site.zone), 0
        for at in range(MINUTE, end + 1, MINUTE):
            now = MIDNIGHT + at + 30 * SECOND
            upto = int(np.searchsorted(batch.got, now, side="right"))
            self.parts.append(self.engine.step(batch.take(slice(done, upto)), now))
            done = upto
            if at in self.declared:
                spans = [(MIDNIGHT + b, e if e == NEVER else MIDNIGHT + e) for b, e in self.declared[at]]
                self.engine.declare({0: spans})
            self.states[at] = int(self.engine.view("absence")[0])
        return self

    def lines(self, rule: str) -> list[tuple[int, str]]:
        """(minutes after midnight, verdict) of one rule."""
        index = [r.name for r in self.engine.rules].index(rule)
        return [
            (int(f.at[i] - MIDNIGHT) // MINUTE, Verdict(f.verdict[i]).name.lower())
            for f in self.parts for i in range(len(f)) if f.rule[i] == index
        ]  # fmt: skip

    def fired(self, rule: str) -> list[int]:
        return [at for at, verdict in self.lines(rule) if verdict == "firing"]


def naive(
    at: int, spans: dict[int, list[tuple[int, int]]], signs: list[int], before: tuple[int, int, int]
) -> tuple[int, int, int]:
    """(state, from, until) at the minute `at`, from those of the minute before: the module's words, for one home."""
    state, begin, end = before
    said = [t for t in spans if t < at]
    mine = [(b, b + LONGEST if e == NEVER else min(e, b + LONGEST)) for b, e in (spans[max(said)] if said else [])]
    over = [(e, b) for b, e in mine if b <= at < e]
    if over and max(over) != (end, begin):
        state, (end, begin) = AWAY, max(over)
    elif not over and state != HOME:
        same = [e for b, e in mine if b == begin]
        by_hand = end not in same if same else end > at
        state = HOME if by_hand else AWAITED
    if state != HOME and any(max(end - EARLY, (begin + end) // 2) < s < at for s in signs):
        state = HOME
    return state, begin, end


@pytest.mark.parametrize("seed", range(12))
def test_who_is_away_equals_the_naive_twin(site: Site, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spans: dict[int, list[tuple[int, int]]] = {}
    held: list[tuple[int, int]] = []
    for said in sorted(rng.choice(np.arange(10, 1400), 6, replace=False) * MINUTE):
        begin = int(said + rng.integers(-60, 300) * MINUTE)
        if held and rng.random() < 0.6:  # changed: ended now, ended later, or called off
            which = int(rng.integers(len(held)))
            b, _ = held.pop(which)
            if rng.random() < 0.7:
                held.append((b, int(max(b + 1, said + rng.choice([0, 90]) * MINUTE))))
        else:
            held.append((begin, NEVER if rng.random() < 0.1 else int(begin + rng.integers(20, 500) * MINUTE)))
        spans[int(said)] = sorted(held)
    signs = sorted(int(m) * MINUTE for m in rng.choice(np.arange(5, 1430), 8, replace=False))
    readings = a_day(*[(0, "hall", "motion", 1.0)], *[(s, "hall", "motion", 1.0) for s in signs])
    told = Told(site, readings, declared=spans).upto(1439 * MINUTE)
    before = (HOME, NEVER, NEVER)
    for at in range(MINUTE, 1439 * MINUTE, MINUTE):
        before = naive(at, spans, [0, *signs], before)
        assert told.states[at] == before[0], at // MINUTE


def test_away_overnight_and_back_at_the_hour_calls_nobody(site: Site) -> None:
    readings = a_day(*moves(0, 9 * HOUR), *moves(33 * HOUR, 40 * HOUR), until=40 * HOUR)
    told = Told(site, readings, declared={HOUR: [(9 * HOUR, 33 * HOUR)]}).upto(40 * HOUR)
    assert {told.states[t * HOUR] for t in range(10, 33)} == {AWAY}
    assert told.states[34 * HOUR] == HOME
    resident = [r.name for r in site.rules if r.category == "resident"]
    assert [(rule, told.fired(rule)) for rule in resident if told.fired(rule)] == []
    assert [v for at, v in told.lines("inactivity") if at >= 540] == ["unknown", "clear"]


def test_nobody_comes_home_and_a_call_is_raised_once_and_ends_with_the_return(site: Site) -> None:
    readings = a_day(*moves(0, 9 * HOUR), *moves(34 * HOUR, 35 * HOUR), until=36 * HOUR)
    told = Told(site, readings, declared={HOUR: [(9 * HOUR, 20 * HOUR)]}).upto(36 * HOUR)
    assert told.states[21 * HOUR] == AWAITED
    lines = told.lines("not-returned")
    assert [v for _, v in lines] == ["clear", "pending", "firing", "firing", "clear"]  # medium, then high
    assert [at for at, _ in lines][1:4] == [20 * 60, 23 * 60, 32 * 60]
    assert told.fired("inactivity") == []  # it says so in its own words, once


def test_somebody_enters_the_return_and_the_watch_goes_on_at_once(site: Site) -> None:
    said = {HOUR: [(9 * HOUR, 33 * HOUR)], 12 * HOUR: [(9 * HOUR, 12 * HOUR)]}
    told = Told(site, a_day(*moves(0, 9 * HOUR), until=40 * HOUR), declared=said).upto(40 * HOUR)
    assert told.states[12 * HOUR - MINUTE] == AWAY
    assert told.states[12 * HOUR + MINUTE] == HOME
    assert told.fired("inactivity")  # at home, and never seen: this is what we are for
    assert not told.fired("not-returned")


def test_somebody_awaited_is_entered_as_back_and_the_watch_goes_on(site: Site) -> None:
    said = {HOUR: [(9 * HOUR, 20 * HOUR)], 22 * HOUR: [(9 * HOUR, 22 * HOUR)]}
    told = Told(site, a_day(*moves(0, 9 * HOUR), until=24 * HOUR), declared=said).upto(23 * HOUR)
    assert (told.states[22 * HOUR], told.states[22 * HOUR + MINUTE]) == (AWAITED, HOME)
    assert not told.fired("not-returned")


def test_signs_far_from_the_end_are_asked_about_once_and_hold_on(site: Site) -> None:
    readings = a_day(
        *moves(0, 9 * HOUR), (HOUR, "bed", "in_bed", 0.0), *moves(14 * HOUR, 15 * HOUR),
        (14 * HOUR + 20 * MINUTE, "bed", "in_bed", 1.0),
        *moves(19 * HOUR, 21 * HOUR), until=24 * HOUR,
    )  # fmt: skip
    told = Told(site, readings, declared={HOUR: [(9 * HOUR, 60 * HOUR)]}).upto(24 * HOUR)
    assert len(told.fired("unexpected-presence")) == 1
    assert 14 * 60 < told.fired("unexpected-presence")[0] <= 14 * 60 + 30
    assert told.states[22 * HOUR] == AWAY


def test_backfill_while_away_alarms_nobody(site: Site) -> None:
    homes = Homes()
    batch = batch_of(homes, a_day(*moves(0, 9 * HOUR), *moves(13 * HOUR, 16 * HOUR), until=24 * HOUR))
    late = batch.take(batch.metric == METRICS.index("motion"))
    late = late.take(late.taken > MIDNIGHT + 9 * HOUR)
    rest = batch.take((batch.metric != METRICS.index("motion")) | (batch.taken <= MIDNIGHT + 9 * HOUR))
    come = MIDNIGHT + 17 * HOUR
    late = replace(late, got=np.full(len(late), come), flags=np.full(len(late), HISTORICAL, np.uint8))
    engine = Engine(homes, site.rules, METRICS, site.zone)
    engine.declare({0: [(MIDNIGHT + 9 * HOUR, MIDNIGHT + 60 * HOUR)]})
    found = [
        engine.step(rest.take(rest.got < come), come - 1),
        engine.step(late, come),
        engine.step(rest.take(rest.got > come), MIDNIGHT + DAY),
    ]
    assert not any((f.verdict == Verdict.FIRING).any() for f in found)
    assert int(engine.view("absence")[0]) == AWAY


def test_no_absence_counts_for_longer_than_the_cap(site: Site) -> None:
    homes = Homes()
    told = [r for r in site.rules if r.name in {"inactivity", "not-returned"}]  # a month: just these
    engine = Engine(homes, told, METRICS, site.zone)
    engine.step(batch_of(homes, a_day(*moves(0, 9 * HOUR), until=10 * HOUR)), MIDNIGHT + 10 * HOUR)
    engine.declare({0: [(MIDNIGHT + 9 * HOUR, NEVER)]})
    engine.step(no_readings(), MIDNIGHT + 9 * HOUR + LONGEST)
    assert int(engine.view("absence")[0]) == AWAY
    found = engine.step(no_readings(), MIDNIGHT + 9 * HOUR + LONGEST + 4 * HOUR)
    overdue = [r.name for r in told].index("not-returned")
    assert Verdict.FIRING in found.verdict[found.rule == overdue]
    engine.declare({0: [(MIDNIGHT + 9 * HOUR, NEVER), (MIDNIGHT + LONGEST, NEVER)]})  # declared anew
    engine.step(no_readings(), MIDNIGHT + 9 * HOUR + LONGEST + 5 * HOUR)
    assert int(engine.view("absence")[0]) == AWAY


def test_a_home_with_power_alone_is_watched_again_at_the_declared_end(site: Site) -> None:
    readings = [(t, "meter", "power", 60.0) for t in range(0, 30 * HOUR, 5 * MINUTE)]
    told = Told(site, readings, declared={HOUR: [(9 * HOUR, 20 * HOUR)]}).upto(21 * HOUR)
    assert told.states[20 * HOUR - MINUTE] == AWAY
    assert told.states[20 * HOUR] == HOME


def test_what_is_held_knows_nothing_of_the_time_between(site: Site) -> None:
    day = [*moves(0, 30 * HOUR), *moves(0, 30 * HOUR, "bath")]
    for t in range(0, 30 * HOUR, 2 * MINUTE):
        day += [(t, "bed", "in_bed", float(t // HOUR % 3 == 0)), (t, "bed", "heart_rate", 60.0 + t // HOUR % 7)]
        day += [(t, "bed", "respiration_rate", 14.0), (t, "room", "temperature", 8.0 + t // HOUR % 30)]
        day += [(t, "room", "humidity", 60.0), (t, "bed", "body_movement", 12.0)]
    told = Told(site, day, declared={HOUR: [(9 * HOUR, 29 * HOUR)]}, rules=site.rules)
    nine = told.upto(9 * HOUR).engine.snapshot()
    later = Told(site, day, declared={HOUR: [(9 * HOUR, 29 * HOUR)]}, rules=site.rules).upto(26 * HOUR)
    held = [r for r in site.rules if holds(r.condition)]
    assert len(held) >= 12
    after: dict[str, NDArray[Any]] = later.engine.snapshot()
    forget = ("level_table", "level_day", "level_seen", "level_meant")  # with the calendar, as all habits
    names = [n for n in nine if n.partition(".")[0] in {r.name for r in held} and "." in n]
    changed = [n for n in names if nine[n].tobytes() != after[n].tobytes() and not n.endswith(forget)]
    assert [n for n in changed if "inactivity" not in n] == []
    assert {n.partition(".")[2] for n in changed} <= {"active", "activity"}  # forgetting alone
    held_at = [f for f in later.parts if len(f) and (f.score == DECLARED_AWAY).any()]
    assert len(held_at) == 1
    assert set(held_at[0].verdict[held_at[0].score == DECLARED_AWAY].tolist()) == {Verdict.UNKNOWN}


def test_an_absence_called_off_just_before_a_restart_holds_nobody_after_it(site: Site) -> None:
    homes = Homes()
    readings = batch_of(homes, a_day(*moves(0, 9 * HOUR), until=12 * HOUR))
    engine = Engine(homes, site.rules, METRICS, site.zone)
    engine.declare({0: [(MIDNIGHT + 9 * HOUR, NEVER)]})
    engine.step(readings, MIDNIGHT + 12 * HOUR)
    assert int(engine.view("absence")[0]) == AWAY
    engine.declare({})
    again = Engine(homes, site.rules, METRICS, site.zone)
    again.restore(engine.snapshot())
    for one in (engine, again):
        one.step(no_readings(), MIDNIGHT + 12 * HOUR + 2 * MINUTE)
        assert int(one.view("absence")[0]) == HOME


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_cut_anywhere_is_told_of_absences_as_a_service_that_ticks(site: Site, seed: int) -> None:
    """The journal of a service that ticks every twenty seconds, over batches of any length: equal bit by bit."""
    rng = np.random.default_rng(seed)
    homes, rules = Homes(), [r for r in site.rules if not isinstance(r.condition, Drift | Usual)]
    batch = batch_of(homes, a_day(*moves(0, 5 * HOUR), *moves(9 * HOUR, 12 * HOUR), until=12 * HOUR))
    live, journal, done = Engine(homes, rules, METRICS, site.zone), list[Declaration](), 0
    ticks = range(MIDNIGHT + 7 * SECOND, MIDNIGHT + 12 * HOUR, 20 * SECOND)
    told = set(rng.choice(len(ticks), 5, replace=False).tolist())
    for i, now in enumerate(ticks):
        upto = int(np.searchsorted(batch.got, now, side="right"))
        live.step(batch.take(slice(done, upto)), now)
        done = upto
        if i in told:
            spans = [(now + int(rng.integers(-60, 90)) * MINUTE, now + int(rng.integers(100, 200)) * MINUTE)]
            journal.append(Declaration(at=now, household="A", spans=tuple(spans[: int(rng.integers(2)) or 1])))
            live.declare({0: journal[-1].spans})
    again = Engine(homes, rules, METRICS, site.zone)
    stream, now = as_entered.Told(again, homes, journal), 0
    for part in np.split(np.arange(done), np.sort(rng.choice(done, 6, replace=False))):
        now = int(batch.got[part].max(initial=now))
        stream.step(batch.take(part), now)
    stream.step(no_readings(), ticks[-1])
    one, other = live.snapshot(), again.snapshot()
    assert [name for name in one if one[name].tobytes() != other[name].tobytes()] == []
    assert (live.view("absent_from") != NEVER).all()


def test_every_fleeting_column_is_one_that_the_rule_keeps(site: Site) -> None:
    engine = Engine(Homes(), site.rules, METRICS, site.zone)
    for rule in site.rules:
        for name in FLEETING.get(type(rule.condition), ()):
            assert f"{rule.name}.{name}" in engine.snapshot()
