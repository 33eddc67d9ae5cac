"""`mimamori bench restart`, small: the service that comes back reads its snapshot and ticks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.server
def test_a_killed_service_comes_back_and_ticks() -> None:
    words = ["bench", "restart", "--households", "30", "--minutes", "2", "--since-mark", "30"]
    done = subprocess.run(
        [sys.executable, "-m", "mimamori.cli", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "snapshot not used" not in done.stderr
    told = json.loads(done.stdout)
    assert (told["households"], told["readings"], told["caught_up"]) == (30, 30 * 24 * 4, 30 * 6 * 4)
    assert told["first_tick_s"] > 0
    assert told["memory_mb"] > 0
