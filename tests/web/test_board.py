"""The wall's tiles: making anew only what has changed tells the same as making them all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from mimamori.model.alert import Alert
from mimamori.model.homes import Homes
from mimamori.model.readings import reading_batch
from mimamori.model.times import MINUTE, NEVER, SECOND, parse_instant
from mimamori.rules.engine import Engine
from mimamori.service import board
from mimamori.service.board import Wall
from mimamori.site import Site, load_site
from mimamori.store.records import Resident
from mimamori.web.desk import Tile

T0 = parse_instant("2026-11-24T02:40:00+09:00")
METRICS = ("heart_rate", "in_bed", "power", "motion", "door_open")
HOMES = 40


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(None)


class House:
    """An engine that random readings come to, and what else the tiles are made of."""

    def __init__(self, site: Site) -> None:
        self.site, self.homes, self.rng, self.now = site, Homes(), np.random.default_rng(1), T0
        for i in range(HOMES):
            self.homes.add_device(f"h{i}", "d")
        self.engine = Engine(self.homes, site.rules, site.metrics, site.zone)
        self.residents: dict[str, Resident] = {}
        self.alerts: list[Alert] = []
        self.shares = np.full(HOMES, np.nan)
        self.ends: dict[str, set[int]] = {}
        self.said: dict[str, tuple[tuple[int, int], ...]] = {}

    def go_on(self, readings: int) -> None:
        rows = []
        for _ in range(readings):
            home, name = int(self.rng.integers(HOMES)), METRICS[self.rng.integers(len(METRICS))]
            value = float(self.rng.integers(2)) if name in {"in_bed", "motion", "door_open"} else 60.0
            rows.append((home, home, self.site.metrics.index(name), value, self.now, self.now, 0))
        self.now += 40 * SECOND
        self.shares = np.where(
            self.rng.random(HOMES) < 0.2, np.floor(self.rng.random(HOMES) * 1000) / 1000, self.shares
        )
        self.engine.step(reading_batch(rows), self.now)
        leaves, end = f"h{self.rng.integers(HOMES)}", self.now + int(self.rng.integers(1, 9)) * MINUTE
        self.said = self.said | {leaves: ((self.now, NEVER if self.rng.random() < 0.2 else end),)}
        self.ends.setdefault(leaves, set()).add(self.said[leaves][0][1])
        self.engine.declare({self.homes.find(h): spans for h, spans in self.said.items()})
        entered = f"h{self.rng.integers(HOMES)}"
        self.residents = self.residents | {
            entered: Resident(household=entered, code=f"A-{self.now % 97}", watched=bool(self.rng.integers(4)))
        }
        alert = Alert(
            id=f"{self.now}", household=f"h{self.rng.integers(HOMES)}", rule="r", device="", opened=self.now,
            since=self.now, category="resident", priority="high", state="open", title_ja="", title_en="", why_ja="",
            why_en="", evidence={},
        )  # fmt: skip
        self.alerts = [replace(a, state="resolved") if self.rng.random() < 0.2 else a for a in (*self.alerts, alert)]

    def open_ended(self) -> board.OpenEnded:
        told = [(self.homes.find(h), b) for h, spans in self.said.items() for b, end in spans if end == NEVER]
        return np.array([r for r, _ in told], np.intp), np.array([b for _, b in told], np.int64)

    def tiles(self, wall: Wall) -> tuple[Tile, ...]:
        return wall.tiles(
            self.engine,
            self.homes,
            self.site.metrics,
            self.residents,
            self.alerts,
            self.now,
            self.shares,
            self.open_ended(),
        )


def test_tiles_made_bit_by_bit_are_those_made_at_once(site: Site) -> None:
    house, wall = House(site), Wall()
    seen: set[tuple[str, bool]] = set()
    for _ in range(60):
        house.go_on(readings=15)
        assert repr(house.tiles(wall)) == repr(house.tiles(Wall()))  # repr: coverage is NaN
        seen |= {(t.absence, t.absent_until == NEVER) for t in house.tiles(wall)}
    assert seen >= {("", True), ("away", True), ("away", False), ("awaited", False)}
    for tile in house.tiles(wall):
        if tile.absence == "away":
            assert tile.state in {"absent", "alert"}
            assert tile.absent_until in house.ends[tile.household]
    before = house.tiles(wall)
    assert house.tiles(wall) is before
    house.now += 20 * MINUTE  # nobody is known to be up any more
    assert repr(house.tiles(wall)) == repr(house.tiles(Wall())) != repr(before)


def test_where_more_changes_than_can_be_shown_states_come_first_and_values_in_turn(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "AT_ONCE", 7)
    house, wall = House(site), Wall()
    for _ in range(30):
        house.go_on(readings=30)
        shown, fresh = house.tiles(wall), house.tiles(Wall())
        assert [(t.household, t.state, t.doing, t.priority) for t in shown] == [
            (t.household, t.state, t.doing, t.priority) for t in fresh
        ]
    for _ in range(-(-HOMES // 7)):
        shown = house.tiles(wall)
    assert repr(shown) == repr(house.tiles(Wall()))


def test_where_whole_towns_change_states_follow_in_the_next_views_and_alerts_do_not_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, wall = House(site), Wall()

    def view() -> tuple[Tile, ...]:
        with monkeypatch.context() as few:
            few.setattr(board, "STATES_AT_ONCE", 9)
            return house.tiles(wall)

    assert [len(view()) for _ in range(5)] == [9, 18, 27, 36, HOMES]  # as after a start
    for _ in range(20):
        house.go_on(readings=10)
    for _ in range(-(-HOMES // 9)):
        view()
    house.now += 20 * MINUTE  # nobody is known to be up any more
    behind = []
    for _ in range(-(-HOMES // 9)):
        shown, fresh = view(), house.tiles(Wall())
        behind.append(sum(a.doing != b.doing for a, b in zip(shown, fresh, strict=True)))
        assert [t.priority for t in shown] == [t.priority for t in fresh]
    assert behind[0] > 0
    assert all(left <= max(0, before - 9) for before, left in pairwise(behind))
    assert repr(shown) == repr(house.tiles(Wall()))
