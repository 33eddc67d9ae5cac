"""A small ward for the alert tests: real content of alerts/, a book, a planner, and a clock that tests move by hand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mimamori.alerts.book import Book
from mimamori.alerts.fold import fold_all
from mimamori.alerts.group import History
from mimamori.alerts.plan import Person, Plan, plan
from mimamori.alerts.policy import AlertContent, read_alerts
from mimamori.alerts.seen import RuleInfo
from mimamori.model.alert import Alert, AlertEvent
from mimamori.model.commands import Command
from mimamori.model.findings import FACTS, FindingBatch, Level, Verdict, no_findings
from mimamori.model.homes import Homes
from mimamori.model.times import SECOND, parse_instant

FOLDER = Path(__file__).parents[2] / "alerts"
START = parse_instant("2026-11-24T02:40:05+09:00")  # a working day, in the night shift


def tables() -> dict[str, dict[str, Any]]:
    return {p.stem: tomllib.loads(p.read_text(encoding="utf-8")) for p in FOLDER.glob("*.toml")}


def explain(facts: Mapping[str, float], since: int, at: int) -> tuple[str, str]:
    return f"{facts['expected']:.1f}回の動きが見込まれましたが0回でした", f"expected {facts['expected']:.1f}, saw none"


def broken(facts: Mapping[str, float], since: int, at: int) -> tuple[str, str]:
    raise KeyError("expected")


RULES = (
    RuleInfo(name="inactivity", category="resident", title_ja="動きがない", title_en="no activity", explain=explain,
             facts=("expected", "bed"), clears="itself"),
    RuleInfo(name="fall", category="resident", title_ja="転倒の疑い", title_en="possible fall", explain=explain,
             facts=("expected",), clears="person"),
    RuleInfo(name="device-silent", category="technical", title_ja="機器応答なし", title_en="device silent",
             explain=explain, facts=("expected",), clears="itself"),
    RuleInfo(name="odd", category="environment", title_ja="室温", title_en="room", explain=broken, facts=(),
             clears="itself"),
)  # fmt: skip
NAMES = [r.name for r in RULES]
PEOPLE = {f"N-{i:02d}": Person(id=f"N-{i:02d}", role="nurse", phone=f"+8190000000{i:02d}") for i in range(1, 7)}


class Ward:
    """Feeds a book and a planner as the service does, and keeps everything that came out."""

    def __init__(self, content: AlertContent, homes: Sequence[str] = ("A-12", "B-01")) -> None:
        self.content = content
        self.homes = Homes()
        for home in homes:
            self.homes.add_device(home, "bed-1")
        self.book = Book(RULES, content)
        self.people = dict(PEOPLE)
        self.history = History()
        self.now = START
        self.log: list[AlertEvent] = []
        self.plans: list[Plan] = []

    def batch(self, *rows: tuple[str, str, Verdict, Level], since: int | None = None, device: str = "") -> FindingBatch:
        n = len(rows)
        facts = np.full((n, FACTS), np.nan)
        facts[:, 0] = 16.7
        return FindingBatch(
            home=np.array([self.homes.find(r[0]) for r in rows], np.int32),
            device=np.array([self.homes.find_device(r[0], device) if device else -1 for r in rows], np.int32),
            rule=np.array([NAMES.index(r[1]) for r in rows], np.int16),
            verdict=np.array([r[2] for r in rows], np.int8), level=np.array([r[3] for r in rows], np.int8),
            since=np.full(n, self.now - 35 * 60 * SECOND if since is None else since, np.int64),
            at=np.full(n, self.now, np.int64), score=np.full(n, 13.3, np.float32), facts=facts,
        )  # fmt: skip

    def step(self, batch: FindingBatch | None = None) -> list[AlertEvent]:
        return self._took(self.book.apply(batch or no_findings(), self.homes, self.now))

    def fire(self, home: str = "A-12", rule: str = "inactivity", level: Level = Level.HIGH, **more: Any) -> Alert:
        self.step(self.batch((home, rule, Verdict.FIRING, level), **more))
        return next(a for a in reversed(self.book.alerts()) if a.household == home and a.rule == rule)

    def says(self, verdict: Verdict, home: str = "A-12", rule: str = "inactivity", **more: Any) -> list[AlertEvent]:
        return self.step(self.batch((home, rule, verdict, Level.NONE), **more))

    def do(self, action: Any, alert: str, by: str = "N-01", **more: Any) -> list[AlertEvent]:
        return self._took(self.book.command(Command(action=action, alert=alert, by=by, **more), self.now))

    def wait(self, span: int) -> list[AlertEvent]:
        """Moves the clock, ticking once at the end."""
        self.now += span
        return self.step()

    def _took(self, events: list[AlertEvent]) -> list[AlertEvent]:
        self.log += events
        done = plan(events, self.book, self.people, self.history, self.now)
        self.history = done.history
        self.plans.append(done)
        return events

    @property
    def notices(self) -> list[Any]:
        return [n for p in self.plans for n in p.notices]

    def sms(self) -> list[Any]:
        return [n for n in self.notices if n.channel == "sms"]

    @property
    def cancelled(self) -> list[str]:
        return [k for p in self.plans for k in p.cancelled]

    def folded(self) -> dict[str, Alert]:
        return fold_all(self.log)


@pytest.fixture(scope="session")
def content() -> AlertContent:
    found, errors = read_alerts(tables())
    assert found is not None, [str(e) for e in errors]
    return found


@pytest.fixture
def ward(content: AlertContent) -> Ward:
    return Ward(content)


@pytest.fixture(scope="session")
def new_ward(content: AlertContent) -> Any:
    return lambda *homes: Ward(content, homes or ("A-12", "B-01"))


@pytest.fixture
def raw() -> dict[str, dict[str, Any]]:
    """The tables of alerts/, parsed anew: a test may spoil them."""
    return tables()
