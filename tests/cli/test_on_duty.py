"""The roster as a command: everybody on duty by day and role, and what a call would not reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mimamori.cli import main
from mimamori.model.times import parse_instant
from mimamori.on_duty import look_up
from mimamori.site import load_site
from mimamori.store.ledger import Ledger
from mimamori.store.records import Staff

NOW = parse_instant("2026-11-24T12:00:00+09:00")
EVERYBODY = [f"N-{n:02d}" for n in range(1, 7)]
ROSTER = load_site(None).alerts.roster


def staff(*ids: str) -> list[Staff]:
    return [Staff(id=i, name="看護 花子", role="nurse", password_hash="", phone="+819012345678") for i in ids]


def test_every_day_and_role_is_told_and_nothing_is_missing_when_all_can_be_called() -> None:
    told, holes = look_up(ROSTER, staff(*EVERYBODY), NOW, 3)
    lines = told.splitlines()
    for day in ("2026-11-24 Tue", "2026-11-25 Wed", "2026-11-26 Thu"):
        assert sum(line.startswith(day) for line in lines) == len(ROSTER.content.role)
    on_call = [line for line in lines if "nurse on call" in line]
    assert all(any(person in line for person in EVERYBODY) for line in on_call)
    assert holes == 0
    assert lines[-1] == "3 days: somebody can be reached at all times"


def test_with_nobody_in_the_ledger_every_stretch_is_a_hole() -> None:
    told, holes = look_up(ROSTER, [], NOW, 2)
    assert holes == told.count("(NOBODY REACHED)") > 0
    assert f"2 days: {holes} stretches in which a call would reach nobody" in told


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    ledger = await Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    await ledger.close()
    return tmp_path


def roster(data: Path) -> Result:
    return CliRunner().invoke(main, ["roster", "--days", "2", "--data", str(data)])


def test_the_command_ends_with_status_one_where_a_call_would_reach_nobody(data: Path) -> None:
    done = roster(data)
    assert (done.exit_code, "would reach nobody" in done.output) == (1, True)


def test_a_folder_without_a_ledger_is_named_with_its_mend(tmp_path: Path) -> None:
    done = roster(tmp_path)
    assert (done.exit_code, "name the service's data folder with --data" in done.output) == (1, True)
