"""`mimamori bench ingest`, small: every message of the load is on the disk, and the figures say what they cost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest


def run(*words: str) -> dict[str, float]:
    return bench("ingest", "--rate", "1000", "--households", "100", *words)


def bench(*words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "mimamori.cli", "bench", *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.server
def test_every_message_of_the_load_is_stored_and_accounted_for() -> None:
    told = run("--seconds", "3", "--start", "1", "--whole")
    assert (told["messages"], told["acknowledged"], told["left_over"], told["redelivered"]) == (3000, 3000, 0, 0)
    assert told["waiting"] == 4 * 3000
    assert told["start_p50_ms"] <= told["start_p99_ms"]
    assert told["p50_ms"] <= told["p99_ms"]
    assert told["service_cores"] > 0
    assert told["broker_memory_mb"] > 0
    assert told["ticks"] > 0


@pytest.mark.server
def test_what_came_while_the_collector_was_away_and_the_broker_was_killed_is_stored() -> None:
    told = run("--seconds", "3", "--away", "2", "--kill")
    assert (told["messages"], told["acknowledged"], told["left_over"]) == (3000, 3000, 0)


@pytest.mark.server
def test_what_goes_to_influxdb_is_all_there_and_told_apart() -> None:
    told = run("--seconds", "3", "--influx")
    assert (told["messages"], told["acknowledged"], told["left_over"], told["redelivered"]) == (3000, 3000, 0, 0)
    assert told["influx_cores"] > 0
    assert told["influx_memory_mb"] > 0
    limit = bench("influx", "--messages", "5000", "--households", "100")
    assert limit["prepared"]["a_second"] > 0
    assert limit["spooled"]["a_second"] > 0
