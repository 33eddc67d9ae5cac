"""`mimamori bench ingest`, small: every message of the load is on the disk, and the figures say what they cost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.server
def test_every_message_of_the_load_is_stored_and_accounted_for() -> None:
    words = ["bench", "ingest", "--rate", "1000", "--seconds", "2", "--households", "100"]
    done = subprocess.run(
        [sys.executable, "-m", "mimamori.cli", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["messages"], told["stored"], told["left_over"]) == (2000, 2000, 0)
    assert told["waiting"] <= 4 * 2000
    assert told["p50_ms"] <= told["p99_ms"]
    assert told["service_cores"] > 0
