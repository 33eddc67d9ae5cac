"""The benchmark measures what it says: counts that must come out, spreads in order, and the rules as shipped."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mimamori.bench import engine as bench
from mimamori.cli import main


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same benchmark with fewer readings: what is tested is not how fast this machine is."""
    for name, value in {"TICK_VALUES": 500, "LARGE": 2000, "IDLE_SECONDS": 130, "BUSY_TICKS": 7}.items():
        monkeypatch.setattr(bench, name, value)


@pytest.mark.usefixtures("small")
def test_figures_as_json() -> None:
    asked = ["bench", "engine", "--json", "--households", "3,40", "--replay-days", "1", "--seed", "5", "--twins", "7"]
    done = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert "inactivity" in record["rules"]
    assert [size["households"] for size in record["sizes"]] == [3, 40]
    for size in record["sizes"]:
        idle, looked = size["idle_tick"], size["idle_minute"]
        assert 0 <= 130 - idle["count"] <= 2 - looked["count"] + 1
        assert size["busy_tick"]["count"] == 7
        assert 0 < idle["median"] <= idle["p99"] <= idle["largest"]
        assert looked["largest"] <= idle["largest"]
        assert len(size["worst_at"]) == len("01:23:45")
        assert size["reading_ns"] > 0 < size["reading_cpu_ns"]
        assert size["idle_cpu"]["median"] <= size["hardest_second"] <= size["idle_cpu"]["largest"]
        assert (size["idle_cpu"]["count"], size["busy_cpu"]["count"]) == (idle["count"], 7)
        assert 1000 < size["bytes_per_household"] <= 4096
    assert record["start_seconds"] > 0
    twins = record["twins"]
    assert twins["same"]
    assert (twins["households"], twins["minutes"]) == (7, 12)
    assert twins["findings"] > 7 * len(twins["rules"]) / 2
    assert record["prometheus"] is None
    replay = record["replay"]
    assert replay["readings"] == 1000 * 4 * 24 * 60
    assert replay["per_second"] == pytest.approx(replay["readings"] / replay["seconds"])


@pytest.mark.usefixtures("small")
def test_figures_to_read() -> None:
    done = CliRunner().invoke(main, ["bench", "engine", "--households", "3"], catch_exceptions=False)
    assert "ns/reading" in done.stdout
    assert done.stdout.splitlines()[1].split()[0] == "3"
