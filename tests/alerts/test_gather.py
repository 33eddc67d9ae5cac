"""A rule that gathers: one alert for all the households it hits, whose list grows and shrinks; state stays the fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mimamori.alerts.book import Book
from mimamori.alerts.fold import fold_all
from mimamori.alerts.policy import AlertContent
from mimamori.alerts.seen import WARD, RuleInfo
from mimamori.model.alert import AlertEvent
from mimamori.model.findings import FACTS, FindingBatch, Level, Verdict
from mimamori.model.homes import Homes
from mimamori.model.times import MINUTE, NEVER, parse_instant

START = parse_instant("2026-11-24T02:40:00+09:00")


def explain(facts: Mapping[str, float], since: int, at: int) -> tuple[str, str]:
    return f"{facts['households']:.0f}世帯。", f"{facts['households']:.0f} homes."


RULE = RuleInfo(
    name="power-outage", category="environment", title_ja="停電", title_en="power cut", explain=explain,
    facts=("households",), clears="itself", gathers="district",
)  # fmt: skip


class Town:
    """Eight homes in two districts and a book."""

    def __init__(self, content: AlertContent) -> None:
        self.homes, self.now, self.log = Homes(), START, []  # type: ignore[var-annotated]
        for i in range(8):
            self.homes.add(f"H{i}")
            self.homes.place(f"H{i}", ("浪岡", "常盤")[i // 4])
        self.book = Book([RULE], content, places={"H0": "A-00"})

    def say(self, *, fires: tuple[int, ...] = (), clears: tuple[int, ...] = (), since: int = 0) -> list[AlertEvent]:
        rows = [*fires, *clears]
        n, firing = len(rows), np.array([r in fires for r in rows])
        facts = np.full((n, FACTS), np.nan)
        facts[:, 0] = len(fires)
        events = self.book.apply(
            FindingBatch(
                home=np.array(rows, np.int32), device=np.full(n, -1, np.int32), rule=np.zeros(n, np.int16),
                verdict=np.where(firing, Verdict.FIRING, Verdict.CLEAR).astype(np.int8),
                level=np.where(firing, Level.HIGH, 0).astype(np.int8), since=np.full(n, since or self.now - 4 * MINUTE),
                at=np.full(n, self.now), score=np.zeros(n, np.float32), facts=facts,
            ), self.homes, self.now,
        )  # fmt: skip
        self.log += events
        self.now += MINUTE
        return events


@pytest.fixture
def town(content: AlertContent) -> Town:
    return Town(content)


def alerts(town: Town) -> list[Any]:
    assert {a.id: a for a in town.book.alerts()} == fold_all(town.log)
    return [(a.device, a.evidence["homes"], a.state, a.returned_at != NEVER) for a in town.book.alerts()]


def test_one_alert_a_district_with_its_list(town: Town) -> None:
    town.say(fires=(0, 1, 2, 5))
    assert alerts(town) == [("常盤", "H5", "open", False), ("浪岡", "H0 H1 H2", "open", False)]
    told = town.book.alerts()[1]
    assert (told.household, town.book.placed(told).household) == (WARD, "浪岡")
    assert told.why_ja.endswith("いま3世帯：A-00、H1、H2")
    assert told.why_en.endswith("Now 3: A-00, H1, H2")


def test_the_list_grows_and_shrinks_and_the_last_home_ends_it(town: Town) -> None:
    town.say(fires=(0, 1))
    joined = town.say(fires=(3,))
    assert [(e.kind, e.reason) for e in joined] == [("note", "also H3; 3 households now")]
    left = town.say(clears=(0, 1))
    assert [(e.kind, e.reason) for e in left] == [("note", "heard again A-00 H1; 1 households now")]
    assert alerts(town) == [("浪岡", "H3", "open", False)]
    town.say(clears=(3,))
    assert alerts(town) == [("浪岡", "H3", "open", True)]  # a high alert waits for somebody to look
    town.say(fires=(2,))
    assert alerts(town) == [("浪岡", "H2", "open", False)]  # the same alert, reopened, with its new list


def test_a_restart_restores_the_list_and_finds_what_was_missed(town: Town, content: AlertContent) -> None:
    town.say(fires=(0, 1))
    again = Town(content)
    again.book.restore(town.log)
    assert [a.evidence["homes"] for a in again.book.alerts()] == ["H0 H1"]
    assert [e.reason for e in again.say(fires=(0, 1, 2))] == ["also H2; 3 households now"]
    assert again.say(fires=(0, 1, 2)) == []
