"""Watch coverage: gaps injected one after another add up, each under its cause; a naive twin; restart and growth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mimamori.model.homes import Homes
from mimamori.model.readings import concat
from mimamori.model.times import DAY, HOUR, MINUTE, NEVER, SECOND, parse_instant
from mimamori.rules.engine import Engine
from mimamori.service.coverage import BROKER, CAUSES, DEVICES, Coverage
from mimamori.simulator.days import simulate
from mimamori.simulator.households import households
from mimamori.site import load_site

SITE = load_site(None)
T0 = parse_instant("2026-11-23T00:00:00+09:00")
CELL = 10 * SECOND


def lost(coverage: Coverage, homes: Homes, household: str, now: int) -> dict[str, int]:
    told: dict[str, int] = {}
    for gap in coverage.gaps(homes).get(household, ()):
        told[gap.cause] = told.get(gap.cause, 0) + (now if gap.ends == NEVER else gap.ends) - gap.begins
    return told


@pytest.fixture(scope="module")
def a_day() -> Any:
    """Two days of a simulated home, and the second's readings by minute."""
    home = households(SITE.scene, count=1, seed=3, bed_every=10 * SECOND)[0]
    return home, concat(list(simulate((home,), start=T0, end=T0 + 30 * HOUR, seed=3, step=DAY, order="got")))


def test_injected_gaps_add_up_under_their_causes(a_day: Any) -> None:
    home, readings = a_day
    homes = Homes()
    for device in home.devices:
        homes.add_device(home.id, device.id, device.profile)
    engine, coverage = Engine(homes, SITE.rules, SITE.metrics, SITE.zone), Coverage()
    begin = T0 + 24 * HOUR
    engine.step(readings.take(readings.got <= begin), begin)
    coverage.look(engine, homes, begin, connected=True, reached=True)
    assert math.isnan(coverage.shares(begin)[0])
    off, on = begin + HOUR + 7 * MINUTE + 30 * SECOND, begin + 2 * HOUR + 40 * MINUTE  # every plug is pulled
    cut, mended = begin + 3 * HOUR, begin + 3 * HOUR + 20 * MINUTE  # the broker goes
    alone, called = begin + 4 * HOUR, begin + 4 * HOUR + 5 * MINUTE  # nobody on duty
    down, up = begin + 5 * HOUR, begin + 5 * HOUR + 12 * MINUTE  # the service is stopped
    now, heard = begin, (readings.got <= off) | (readings.got > on)
    while now < begin + 6 * HOUR:
        then, now = now, now + MINUTE
        if down < now < up:
            continue
        batch = readings.take((readings.got > then) & (readings.got <= now) & heard)
        if now == up:
            engine.resume(now)
            coverage.downtime(down, up)
        engine.step(batch, now)
        coverage.look(engine, homes, now, connected=not cut <= now < mended, reached=not alone <= now < called)
    told = lost(coverage, homes, home.id, now)
    first, again = readings.got[readings.got <= off].max(), readings.got[readings.got > on].min()
    assert abs(told.pop("devices") - (again - first)) <= CELL + MINUTE  # to the engine's cell, by what was last heard
    assert told == {"broker": 20 * MINUTE, "nobody": 5 * MINUTE, "service": 12 * MINUTE}
    share = coverage.shares(now)[0]
    assert abs(share - (1 - sum(lost(coverage, homes, home.id, now).values()) / (6 * HOUR))) <= 0.001
    later = Coverage()
    later.restore(coverage.snapshot())
    assert later.shares(now).tolist() == coverage.shares(now).tolist()
    assert later.gaps(homes) == coverage.gaps(homes)


def test_random_gaps_equal_a_list_of_minutes() -> None:
    rng, n = np.random.default_rng(7), 12
    coverage, homes = Coverage(), Homes()
    for row in range(n):
        homes.add(f"h{row}")
    state, truth = np.zeros(n, np.int8), np.zeros((0, n), np.int8)
    now = T0
    coverage.note(state, np.full(n, now), now)
    for _ in range(2000):  # a day and a third in steps of a minute
        truth = np.vstack((truth, state))
        now += MINUTE
        turned = rng.random(n) < 0.01
        state = np.where(turned, rng.integers(0, len(CAUSES) + 1, n), state).astype(np.int8)
        coverage.note(state, np.full(n, now), now)
        if rng.random() < 0.01:
            coverage.shares(now)  # forgetting on the way changes nothing
    day = truth[-1440:]
    for row in range(n):
        assert coverage.shares(now)[row] == math.floor((day[:, row] == 0).mean() * 1000 + 1e-6) / 1000
        for cause, name in enumerate(CAUSES, 1):
            within = sum(
                (now if g.ends == NEVER else g.ends) - max(g.begins, now - DAY)
                for g in coverage.gaps(homes).get(f"h{row}", ())
                if g.cause == name
            )
            assert within == (day[:, row] == cause).sum() * MINUTE


def test_a_household_that_comes_later_is_counted_from_then_and_downtime_adds_nothing_to_a_gap() -> None:
    coverage, homes = Coverage(), Homes()
    for name in ("old", "new"):
        homes.add(name)
    coverage.note(np.array([DEVICES], np.int8), np.array([T0]), T0)
    coverage.note(np.array([DEVICES, 0], np.int8), np.array([T0, T0]), T0 + HOUR)
    coverage.downtime(T0 + 2 * HOUR, T0 + 3 * HOUR)
    now = T0 + 5 * HOUR
    coverage.note(np.array([0, BROKER], np.int8), np.array([now, now]), now)
    assert lost(coverage, homes, "old", now) == {"devices": 5 * HOUR}
    assert lost(coverage, homes, "new", now) == {"service": HOUR, "broker": 0}
    assert coverage.shares(now).tolist() == [0.0, 0.75]
    assert coverage.shares(now + 30 * HOUR).tolist() == [1.0, 0.0]
