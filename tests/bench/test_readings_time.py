"""The store's benchmark: sizes of a real sealed store, and questions that bring back all that was put in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mimamori.bench import readings as bench_store
from mimamori.cli import main


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["bench", "store", *arguments], catch_exceptions=False)
    return done.exit_code, done.stdout, done.output


def test_bytes_of_each_recording(tmp_path: Path) -> None:
    recording = tmp_path / "power.csv"
    rows = [f"2026-11-24T{h:02}:{m:02}:00+09:00,h1,meter,power,{100 + m}" for h in range(24) for m in range(60)]
    recording.write_text("time,household,device,metric,value\n" + "\n".join((*rows, rows[-1])) + "\n")
    status, told, _ = run(str(recording))
    assert status == 0
    (size,) = json.loads(told)["recordings"]
    assert (size["recording"], size["readings"]) == ("power.csv", 24 * 60)  # the repeated one is not stored twice
    assert size["figures"] == 0  # a reading a minute is its own figure
    assert 0 < size["raw"] < size["file"]


def test_a_full_store_gives_back_days_and_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_store, "ASKED", 5)
    status, told, _ = run("--readings", str(2 * 14 * 1440 * 4), "--seed", "3")
    assert status == 0
    full = json.loads(told)["full"]
    assert (full["households"], full["readings"]) == (2, 2 * 14 * 1440 * 4)
    for answers in (full["running"], full["sealed"]):
        assert (answers["day_readings"], answers["minutes"]) == (1440 * 4, 14 * 1440)
        assert 0 < answers["day_ms"] <= answers["day_p99_ms"]
        assert 0 < answers["minutes_ms"] <= answers["minutes_p99_ms"]


def test_a_file_that_is_no_recording_is_said(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n")
    status, _, said = run(str(wrong))
    assert status == 1
    assert "the first line must be time,household,device,metric,value" in said
