"""The line of life: gapless, plausible, and the same from the same seed."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mimamori.model.content import Text
from mimamori.model.times import DAY, HOUR, MINUTE
from mimamori.simulator.days import Timeline
from mimamori.simulator.faults import overlay
from mimamori.simulator.households import SimulatedHome
from mimamori.simulator.life import UTC_OFFSET, Place, Step, hours_of, life_of, midnight, plan_day, weekday
from mimamori.simulator.scene import Act, Persona, Scene

PERSONA = Persona(title=Text(ja="人", en="person"))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), home=st.integers(0, 9999), day=st.integers(15_000, 40_000), pick=st.integers(0, 9))
def test_days_follow_each_other_without_gap_or_overlap(scene: Scene, seed: int, home: int, day: int, pick: int) -> None:
    persona = scene.personas[sorted(scene.personas)[pick]]
    one = plan_day(persona, seed=seed, home=home, day=day)
    two = plan_day(persona, seed=seed, home=home, day=day + 1)
    starts = [s[0] for s in one]
    assert starts == sorted(starts)
    assert starts[0] == hours_of(persona, seed=seed, home=home, day=day)[0]
    assert starts[-1] < two[0][0] < midnight(day + 2)
    assert one == plan_day(persona, seed=seed, home=home, day=day)


def test_who_goes_to_bed_at_two_and_rises_at_four_lives_one_day_after_the_other() -> None:
    owl = PERSONA.model_copy(update={"sleep": PERSONA.sleep.model_copy(update={"bed": 26 * HOUR, "rise": 4 * HOUR})})
    for day in range(20_700, 20_710):
        rises = hours_of(owl, seed=1, home=0, day=day + 1)[0]
        starts = [s[0] for s in plan_day(owl, seed=1, home=0, day=day)]
        assert starts == sorted(starts)
        assert starts[-1] < rises


def test_beds_and_rooms_agree_with_acts(full: tuple[SimulatedHome, ...]) -> None:
    for home in full:
        life = Timeline(home, seed=3).life(20_780)
        in_bed = life.place == Place.BED
        assert (np.isin(life.act, (Act.SLEEP, Act.LIE)) == in_bed).all()
        assert ((life.place == Place.OUT) == (life.act == Act.OUT)).all()
        assert (np.diff(life.start) > 0).all()


def test_people_sleep_at_night_and_their_own_hours(scene: Scene) -> None:
    for name, low, high in (("early-riser", 7.0, 9.5), ("night-owl", 6.5, 10.0), ("frail", 9.0, 13.0)):
        lengths = []
        for home in range(5):
            for day in range(20_700, 20_730):
                steps = plan_day(scene.personas[name], seed=1, home=home, day=day)
                ends = [s[0] for s in steps[1:]] + [hours_of(scene.personas[name], seed=1, home=home, day=day + 1)[0]]
                lengths.append(sum(e - s[0] for s, e in zip(steps, ends, strict=True) if s[1] == Place.BED) / HOUR)
        assert low < np.median(lengths) < high, name


def test_day_service_goes_out_on_its_days_only_by_the_bus(scene: Scene) -> None:
    persona = scene.personas["day-service"]
    for day in range(20_700, 20_728):
        out = [s for s in plan_day(persona, seed=1, home=0, day=day) if s[1] == Place.OUT]
        if weekday(day) in persona.outing.day_service:
            assert len(out) == 1
            assert abs((out[0][0] + UTC_OFFSET) % DAY - persona.outing.leave) < 40 * MINUTE


def test_weekday_is_the_calendars() -> None:
    for day in (0, 20_779, 20_780, 20_785):
        assert weekday(day) == (date(1970, 1, 1) + timedelta(days=day)).strftime("%a").lower()


STEPS = st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(Place), st.sampled_from(Act)), min_size=1, max_size=12)


@given(steps=STEPS, start=st.integers(0, 1000), length=st.integers(1, 300), probe=st.integers(-5, 1400))
def test_an_overlay_changes_its_own_span_only(steps: list[Step], start: int, length: int, probe: int) -> None:
    steps = sorted(steps, key=lambda s: s[0])
    steps = [(0, Place.LIVING, Act.SIT), *[s for i, s in enumerate(steps) if s[0] > (steps[i - 1][0] if i else 0)]]
    new: list[Step] = [(start, Place.HALL, Act.DOWN)]
    after = life_of(overlay(steps, start, start + length, new)).at(probe)
    if start <= probe < start + length:
        assert after == (Place.HALL, Act.DOWN)
    elif probe >= 0:
        assert after == life_of(steps).at(probe)
