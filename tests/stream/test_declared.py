"""The file of declared absences: what is written is read; what is not understood is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mimamori.model.declared import Declaration, as_of
from mimamori.model.times import DAY, HOUR, NEVER, parse_instant
from mimamori.simulator.declare import declared
from mimamori.simulator.truth import TruthEvent
from mimamori.stream.declared import read_absences, write_absences

T0 = parse_instant("2026-11-24T09:00:00+09:00")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    said = (
        Declaration(at=NEVER, household="A", spans=((T0, NEVER), (T0 + 9 * DAY, T0 + 10 * DAY))),
        Declaration(at=T0 + HOUR, household="B", spans=((T0 + HOUR, T0 + DAY),)),
        Declaration(at=T0 + 2 * HOUR, household="A", spans=()),
    )
    assert write_absences(tmp_path / "a.csv", said, "Asia/Tokyo") == 4
    assert read_absences(tmp_path / "a.csv") == said
    assert as_of(said, T0) == {"A": said[0].spans}
    assert as_of(said, T0 + 2 * HOUR) == {"B": said[1].spans}


def test_a_file_by_hand_needs_no_said_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("household,start,end\nA,2026-11-24T09:00:00+09:00,\n")
    assert read_absences(path) == (Declaration(at=NEVER, household="A", spans=((T0, NEVER),)),)


def test_every_row_that_is_not_understood_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "household,start,end,said\nA,soon,,\n,2026-11-24T09:00:00+09:00,,\n"
        "A,2026-11-24T09:00:00+09:00,2026-11-24T08:00:00+09:00,\nA,2026-11-24T09:00:00+09:00,,\n"
    )
    with pytest.raises(ValueError, match=r"a.csv:2.*\n.*a.csv:3.*\n.*a.csv:4") as wrong:
        read_absences(path)
    assert "a.csv:5" not in str(wrong.value)
    path.write_text("home,from,to\n")
    with pytest.raises(ValueError, match="household,start,end,said"):
        read_absences(path)


def test_families_tell_of_a_stay_before_it_and_of_a_hospital_as_it_goes() -> None:
    stay = TruthEvent(household="A", kind="overnight-stay", start=T0 + HOUR // 2, end=T0 + DAY + HOUR // 4)
    ill = TruthEvent(household="B", kind="hospital-stay", start=T0, end=T0 + 5 * DAY)
    out = TruthEvent(household="C", kind="outing", start=T0, end=T0 + HOUR)
    told = declared([ill, stay, out])
    assert [d.household for d in told] == ["B", "B", "A"]
    assert as_of(told, stay.start)["A"] == ((T0, T0 + DAY + HOUR),)
    assert as_of(told, T0 + DAY)["B"] == ((T0, NEVER),)
    assert as_of(told, ill.end)["B"] == ((T0, ill.end),)
