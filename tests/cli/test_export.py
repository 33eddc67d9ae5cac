"""Alert lines out of a real ledger, while another connection to it is open, as with a running service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from mimamori.cli import main
from mimamori.model.alert import AlertEvent
from mimamori.model.times import HOUR, MINUTE, iso, parse_instant
from mimamori.store.ledger import Ledger

T0 = parse_instant("2026-11-24T02:40:00+09:00")
WANTED = {"id", "household", "rule", "category", "priority", "opened", "resolved", "why", "evidence"}


def local(at: int) -> str:
    return iso(at, "Asia/Tokyo")


def event(kind: str, household: str, at: int) -> AlertEvent:
    return AlertEvent(
        alert=f"{household}/inactivity/1", kind=kind, at=at, by="engine", reason="no sign of life",  # type: ignore[arg-type]
        household=household, rule="inactivity", since=at - MINUTE, title_ja="活動がありません", why_ja="05:10 から",
        evidence={"expected": 16.7},
    )  # fmt: skip


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    """A service's folder whose ledger is still open elsewhere, with three alerts, one of them over."""
    ledger = await Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    events = [event("opened", "h2", T0), event("opened", "h1", T0 + HOUR), event("returned", "h2", T0 + 2 * HOUR),
              event("opened", "h3", T0 + 3 * HOUR)]  # fmt: skip
    await ledger.commit(events=events, notices=[], now=T0)
    yield tmp_path
    await ledger.close()


def export(data: Path, *more: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["export", "--alerts", str(data / "a.jsonl"), "--data", str(data), *more])
    return done.exit_code, done.output


def told(data: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (data / "a.jsonl").read_text(encoding="utf-8").splitlines()]


def test_all_alerts_by_opening_with_their_numbers_and_ends(data: Path) -> None:
    assert export(data)[0] == 0
    lines = told(data)
    assert [(x["household"], x["opened"], x["resolved"]) for x in lines] == [
        ("h2", local(T0), local(T0 + 2 * HOUR)), ("h1", local(T0 + HOUR), None), ("h3", local(T0 + 3 * HOUR), None),
    ]  # fmt: skip
    assert all(set(x) >= WANTED and x["evidence"] == {"expected": 16.7} for x in lines)


def test_times_of_opening_choose(data: Path) -> None:
    code, said = export(data, "--since", iso(T0 + HOUR), "--until", iso(T0 + 3 * HOUR))
    assert (code, [x["household"] for x in told(data)]) == (0, ["h1"])
    assert "1 alerts in" in said


def test_a_folder_without_a_ledger_is_named_with_its_mend(tmp_path: Path) -> None:
    code, said = export(tmp_path)
    assert (code, "holds no ledger; name the service's data folder with --data" in said) == (1, True)
    assert not (tmp_path / "a.jsonl").exists()
