"""`mimamori bench gate`: both figures of a gate, what "nobody" means, and a gate learned from a recording."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mimamori.cli import main

START = 1_767_193_200


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["bench", "gate", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.stdout, done.output


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people whose chest moves the sensor, and two empty rooms with a burst now and then; ten minutes each."""
    rng, rows = np.random.default_rng(8), []
    for household in ("p1", "p2", "p3", "p4", "EMPTY-1", "EMPTY-2"):
        for second in range(0, 600, 3):
            at = START + second
            burst = second % 200 < 12
            moved = rng.choice([1, 3, 5, 9]) if household[0] == "p" else rng.choice([12, 20]) if burst else 1
            pulse = 0 if second == 30 else 75  # the device's own word for "nobody"
            rows += [(at, household, "body_movement", moved), (at, household, "heart_rate", pulse)]
            rows += [(at, household, "respiration_rate", 17), (at, household, "distance", rng.integers(40, 60))]
    path = tmp_path_factory.mktemp("radar") / "radar.csv"
    lines = [f"{at},{household},radar60,{metric},{value}" for at, household, metric, value in sorted(rows)]
    path.write_text("time,household,device,metric,value\n" + "\n".join(lines) + "\n")
    return path


def test_both_figures_and_the_trade_off(recording: Path) -> None:
    status, told, _ = run(recording, "--profile", "radar60", "--empty", "EMPTY*", "--json")
    assert status == 0
    whole, *curve = json.loads(told)
    assert (whole["real"], whole["phantom"]) == (4 * 399, 2 * 399)  # without what means "no data"
    assert whole["real_refused"] < 0.1
    assert whole["phantom_refused"] > 0.9
    refused = [(m["real_refused"], m["phantom_refused"]) for m in curve]
    assert refused == sorted(refused)  # a higher share refuses more of both


def test_somebody_was_there_only_where_another_instrument_saw_a_pulse(recording: Path, tmp_path: Path) -> None:
    reference = tmp_path / "reference.csv"
    seen = [f"p1,{START + s},{72 if 100 <= s < 200 else 0}" for s in range(0, 600, 10)]
    reference.write_text("household,time,heart_rate\n" + "\n".join(seen) + "\n")
    _, told, _ = run(recording, "--profile", "radar60", "--empty", "EMPTY*", "--truth", reference, "--json")
    assert json.loads(told)[0]["real"] == 3 * 399 + 2 * 30  # p1: from 102 to 189 s


def test_a_gate_is_learned_and_judged_on_what_was_left_out(recording: Path) -> None:
    status, told, _ = run(recording, "--profile", "radar60", "--empty", "EMPTY*", "--learn")
    assert status == 0
    learned, *left_out = (line.split() for line in told.splitlines() if line.startswith(("learned", "  left out")))
    assert learned[1] == "body_movement"
    assert float(learned[5].rstrip("%")) <= 1.5
    assert float(learned[8].rstrip("%")) >= 95
    assert [line[3] for line in left_out] == ["0.75%", "1.50%", "2.25%", "3.00%"]
    refused = [float(line[-3].rstrip("%")) for line in left_out]
    assert refused[1] >= 90
    assert refused == sorted(refused)  # whoever may refuse more of the real ones refuses more phantoms


def test_what_is_missing_is_said(recording: Path) -> None:
    assert "there are bed-sensor" in run(recording, "--profile", "radar61")[2]
    assert "name the empty households" in run(recording, "--profile", "radar60", "--learn")[2]
    wrong = recording.with_name("wrong.csv")
    wrong.write_text("a,b\n1,2\n")
    assert "must be household,time,heart_rate" in run(recording, "--profile", "radar60", "--truth", wrong)[2]
