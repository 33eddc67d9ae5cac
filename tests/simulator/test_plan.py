"""Random events are plausible, repeatable and apart; those of the demonstration come soon."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest

from mimamori.model.times import DAY, HOUR, MINUTE, parse_instant
from mimamori.simulator.days import Timeline
from mimamori.simulator.households import SimulatedHome, households
from mimamori.simulator.life import Place, day_of
from mimamori.simulator.plan import HABITS, demo_events, own_events, plan_events
from mimamori.simulator.scene import Scene
from mimamori.simulator.truth import KINDS, TruthEvent, check_events

START = parse_instant("2026-12-01T00:00:00+09:00")
END = START + 60 * DAY
FIRST = START + 14 * DAY


@pytest.fixture(scope="module")
def homes(scene: Scene) -> tuple[SimulatedHome, ...]:
    return households(scene, count=40, seed=3)


@pytest.fixture(scope="module")
def planned(homes: tuple[SimulatedHome, ...]) -> tuple[TruthEvent, ...]:
    return plan_events(homes, start=START, end=END, seed=3, first_after=FIRST)


def test_every_kind_has_a_habit() -> None:
    assert set(HABITS) == set(KINDS)


def test_plans_repeat_and_hang_on_the_seed(homes: tuple[SimulatedHome, ...], planned: tuple[TruthEvent, ...]) -> None:
    check_events(planned, [home.id for home in homes])
    assert planned == plan_events(homes, start=START, end=END, seed=3, first_after=FIRST)
    assert planned != plan_events(homes, start=START, end=END, seed=4, first_after=FIRST)


def test_events_fall_in_the_time_allowed_and_apart(planned: tuple[TruthEvent, ...]) -> None:
    assert list(planned) == sorted(planned, key=lambda e: (e.start, e.household))
    by_home = defaultdict(list)
    for event in planned:
        assert FIRST <= event.start < event.end <= END
        by_home[event.household].append(event)
    for events in by_home.values():
        assert all(b.start - a.end > DAY for a, b in pairwise(events))


def test_the_truth_knows_of_a_wanderers_own_walks(scene: Scene) -> None:
    homes = [h for h in households(scene, count=40, seed=3) if h.persona_name in {"wandering", "active"}]
    wander = {h.id: h.persona.sleep.wander_chance for h in homes}
    asked = TruthEvent(household=next(h for h in wander if wander[h]), kind="wandering", start=FIRST, end=FIRST + HOUR)
    walks = own_events(homes, (asked,), start=START, end=END, seed=3)
    assert {wander[w.household] > 0 for w in walks} == {True}
    assert len(walks) / (60 * sum(c > 0 for c in wander.values())) == pytest.approx(0.18, abs=0.06)
    assert not [w for w in walks if w.household == asked.household and asked.start <= w.start < asked.end]
    for walk in walks[:20]:
        line = Timeline(next(h for h in homes if h.id == walk.household), seed=3, events=(asked,))
        at = [line.life(day_of(t)).at(t)[0] for t in (walk.start - MINUTE, walk.start + 2 * MINUTE, walk.end + MINUTE)]
        assert [place == Place.BED for place in at] == [True, False, True]


def test_all_roles_are_met_in_plausible_numbers(planned: tuple[TruthEvent, ...]) -> None:
    count = defaultdict(int)
    for event in planned:
        count[KINDS[event.kind]] += 1
    assert 10 <= count["emergency"] <= 30
    assert count["fooler"] > 60
    assert count["technical"] > 30
    assert not any(event.kind == "hot-room" for event in planned)  # it is winter


def test_a_power_cut_strikes_the_whole_district(planned: tuple[TruthEvent, ...]) -> None:
    cuts = defaultdict(list)
    for event in planned:
        if event.kind == "power-cut":
            cuts[event.start, event.end].append(event.household)
    assert max(len(struck) for struck in cuts.values()) > 2  # those whose own events leave the time free
    for struck in cuts.values():
        assert len({(int(home.removeprefix("home-")) - 1) // 10 for home in struck}) == 1


def test_falls_need_somebody_there(homes: tuple[SimulatedHome, ...], planned: tuple[TruthEvent, ...]) -> None:
    by_id = {home.id: home for home in homes}
    checked = 0
    for event in planned:
        place = Timeline(by_id[event.household], seed=3).life(day_of(event.start)).at(event.start)[0]
        if event.kind == "collapse":
            assert place < Place.BED
        elif event.kind in {"night-fall", "no-breathing"}:
            assert place == Place.BED
        else:
            continue
        checked += 1
    assert checked > 3


@pytest.mark.parametrize("hour", [0, 6, 14, 20])
def test_the_demonstration_has_emergencies_soon_at_any_hour(scene: Scene, hour: int) -> None:
    homes = households(scene, count=12, seed=1)
    start = START + hour * HOUR
    events = demo_events(homes, start=start, seed=1)
    check_events(events, [home.id for home in homes])
    assert len({e.household for e in events}) == len(events)
    soon = [e.kind for e in events if KINDS[e.kind] == "emergency" and e.start < start + 45 * MINUTE]
    assert set(soon) == {"no-breathing", "tachycardia", "night-fall", "collapse"}
    assert events[0].start >= start
    assert min(e.start for e in events) < start + 15 * MINUTE


def test_a_larger_demonstration_is_no_catastrophe(scene: Scene) -> None:
    homes = households(scene, count=200, seed=1)
    events = demo_events(homes, start=START, seed=1)
    assert len({e.household for e in events}) == len(events)
    assert 100 < len(events) < 180
